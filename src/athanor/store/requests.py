"""The ledger (one row for each request) and the traces beside it."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Label, Row, Table, delete, func, or_, select

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.append import Appender
from athanor.store.base import Repository
from athanor.store.crypto import Cipher
from athanor.store.tombstones import Tombstones
from athanor.store.transactions import Database
from athanor.types import Content, RequestRecord, Span, Usage

_USAGE = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "written_tokens",
    "reasoning_tokens",
    "seconds",
    "cost",
)
_COLUMNS = tuple(column.name for column in t.requests.c)


class Requests(Repository):
    """The ledger."""

    def insert(self, records: Sequence[RequestRecord], *, into: Appender | None = None) -> None:
        """Store what requests used.

        Raises:
            ConflictError: a trace is recorded already.
        """
        rows = [
            tuple(getattr(r.usage, name) if name in _USAGE else getattr(r, name) for name in _COLUMNS) for r in records
        ]
        with self._db.appending(into) as appender:
            appender.insert("requests", _COLUMNS, rows)

    def get(self, trace: str, *, conn: Connection | None = None) -> RequestRecord:
        """The request of a trace.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.reading(conn) as c:
            row = c.execute(select(t.requests).where(t.requests.c.trace == trace)).one_or_none()
        if row is None:
            raise missing_request(trace)
        return _record(row)

    def list(
        self,
        *,
        model: str | None = None,
        status: str | None = None,
        trace: str | None = None,
        since: float | None = None,
        before: float | None = None,
        limit: int = 100,
        conn: Connection | None = None,
        **equal: str | Sequence[str] | None,
    ) -> builtins.list[RequestRecord]:
        """Requests, newest first.

        Args:
            model: as it was asked for, or the target that answered.
            status: `ok`, `cancelled`, an error's code, or `failed` for every error.
            trace: a part of the trace's id.
            since, before: arrival times in Unix seconds.
            equal: what a column holds, or one of what: `principal`, `key`, `team`, `door`; `None` is anything.
        """
        column = t.requests.c
        query = select(t.requests).order_by(column.at.desc(), column.trace.desc()).limit(limit)
        for name, value in equal.items():
            if value is not None:
                query = query.where(column[name].in_([value] if isinstance(value, str) else value))
        if model is not None:
            query = query.where((column.model == model) | (column.target == model))
        if status == "failed":
            query = query.where(column.status.not_in(["ok", "cancelled"]))
        elif status is not None:
            query = query.where(column.status == status)
        if trace is not None:
            query = query.where(column.trace.contains(trace, autoescape=True))
        if since is not None:
            query = query.where(column.at >= since)
        if before is not None:
            query = query.where(column.at < before)
        with self._db.reading(conn) as c:
            return [_record(row) for row in c.execute(query)]

    def spent(
        self, since: float, *, conn: Connection | None = None
    ) -> builtins.list[tuple[str | None, str | None, float]]:
        """(key, team, US dollars) of everything since a time in Unix seconds."""
        column = t.requests.c
        query = (
            select(column.key, column.team, func.sum(column.cost))
            .where(column.at >= since, column.cost > 0)
            .group_by(column.key, column.team)
        )
        with self._db.reading(conn) as c:
            return [(key, team, float(total)) for key, team, total in c.execute(query)]

    def costs(
        self,
        *,
        by: Sequence[str],
        since: float,
        until: float | None = None,
        principal: str | None = None,
        conn: Connection | None = None,
    ) -> builtins.list[dict[str, Any]]:
        """Sums for each group, the dearest first.

        Args:
            by: any of `day` (UTC, `YYYY-MM-DD`), or columns: `key`, `team`, `principal`, `model`, `target`, `status` ….
            principal: only theirs (by id).
        """
        column = t.requests.c
        groups = [self._group(name) for name in by]
        total = func.sum(column.cost).label("cost")
        sums = [func.sum(column[name]).label(name) for name in (*_USAGE[:6], "saved")]
        query = (
            select(*groups, func.count().label("requests"), total, *sums)
            .where(column.at >= since)
            .group_by(*groups)
            .order_by(total.desc(), func.count().desc())
        )
        if until is not None:
            query = query.where(column.at < until)
        if principal is not None:
            query = query.where(column.principal == principal)
        with self._db.reading(conn) as c:
            return [dict(row._mapping) for row in c.execute(query)]

    def latencies(
        self,
        *,
        by: str,
        since: float,
        until: float | None = None,
        principal: str | None = None,
        conn: Connection | None = None,
    ) -> builtins.list[dict[str, Any]]:
        """Percentiles (nearest rank) for each group, over requests that a model answered: no errors, no cache hits.

        Args:
            by: as in `costs`, one.
            principal: only theirs (by id).

        Returns:
            One row for each group, the most used first: the group, `answers`, and in seconds `duration_p50`, `_p95`,
            `_p99`, `first_token_p50`, `_p95`, `_p99`.
        """
        column = t.requests.c
        answered = (column.at >= since, column.status == "ok", column.cache == "", column.first_token.is_not(None))
        rows: dict[str | None, dict[str, Any]] = {}
        with self._db.reading(conn) as c:
            for what in ("duration", "first_token"):
                group = self._group(by)
                rank = func.row_number().over(partition_by=group, order_by=column[what]).label("rank")
                count = func.count().over(partition_by=group).label("answers")
                inner = select(group, column[what].label("value"), rank, count).where(*answered)
                if until is not None:
                    inner = inner.where(column.at < until)
                if principal is not None:
                    inner = inner.where(column.principal == principal)
                table = inner.subquery().c
                # The smallest value that at least so many per cent of all do not exceed; sorted once for all three.
                ranks = {share: (table.answers * share + 99) // 100 for share in (50, 95, 99)}
                query = select(table[by], table.value, table.answers, table.rank).where(
                    or_(*(table.rank == rank for rank in ranks.values()))
                )
                for name, value, answers, place in c.execute(query):
                    row = rows.setdefault(name, {by: name, "answers": answers})
                    row |= {f"{what}_p{share}": value for share in ranks if place == (answers * share + 99) // 100}
        return sorted(rows.values(), key=lambda row: -row["answers"])

    def _group(self, name: str) -> Label[Any]:
        column = t.requests.c
        if name != "day":
            return column[name].label(name)
        if self._db.dialect == "sqlite":
            return func.strftime("%Y-%m-%d", column.at, "unixepoch").label(name)
        utc = func.to_timestamp(column.at).op("AT TIME ZONE")("UTC")
        return func.to_char(utc, "YYYY-MM-DD").label(name)

    def count(self, *, conn: Connection | None = None) -> int:
        """Rows of the ledger."""
        with self._db.reading(conn) as c:
            return c.scalar(select(func.count()).select_from(t.requests)) or 0

    def expire(self, before: float, *, limit: int | None = None, conn: Connection | None = None) -> int:
        """Delete rows from before a time in Unix seconds, at most `limit` of them; how many there were."""
        with self._db.writing(conn) as c:
            return _expire(c, t.requests, before, limit)


class Traces(Repository):
    """The spans of each trace."""

    def insert(self, rows: Sequence[tuple[str, float, str]], *, into: Appender | None = None) -> None:
        """Store (trace, Unix seconds, spans as `Span` objects in a JSON array).

        Raises:
            ConflictError: a trace is there already.
        """
        with self._db.appending(into) as appender:
            appender.insert("traces", ("trace", "at", "spans"), rows)

    def get(self, trace: str, *, conn: Connection | None = None) -> list[Span]:
        """All spans of a trace in the order in which they began, the root first; none where it expired."""
        with self._db.reading(conn) as c:
            raw = c.scalar(select(t.traces.c.spans).where(t.traces.c.trace == trace))
        found = [Span(trace=trace, **row) for row in orjson.loads(raw or "[]")]
        return sorted(found, key=lambda span: (span.started_at, span.id))

    def expire(self, before: float, *, limit: int | None = None, conn: Connection | None = None) -> int:
        """Delete traces from before a time in Unix seconds, at most `limit` of them; how many there were."""
        with self._db.writing(conn) as c:
            return _expire(c, t.traces, before, limit)


class Contents(Repository):
    """Texts of requests and answers, where they are recorded."""

    def __init__(self, database: Database, tombstones: Tombstones, cipher: Cipher) -> None:
        super().__init__(database)
        self._tombstones = tombstones
        self._cipher = cipher

    def insert(self, rows: Sequence[Content], *, into: Appender | None = None) -> None:
        """Store what was said; not what names a document that was erased while it was being said.

        Raises:
            ConflictError: a trace is there already.
            EncryptionError: the store was opened without its master key.
        """
        values = [
            (row.trace, row.at, orjson.dumps(row.request).decode(), orjson.dumps(row.answer).decode()) for row in rows
        ]
        values = [row for row in values if not self._tombstones.named(row[2]) and not self._tombstones.named(row[3])]
        seal = self._cipher.seal_content
        sealed = [
            (trace, at, seal(request, "contents", trace, "request"), seal(answer, "contents", trace, "answer"))
            for trace, at, request, answer in values
        ]
        with self._db.appending(into) as appender:
            appender.insert("contents", ("trace", "at", "request", "answer"), sealed)

    def get(self, trace: str, *, conn: Connection | None = None) -> Content | None:
        """What was said in a trace; `None` where it was not recorded.

        Raises:
            EncryptionError: the key is missing, or what is stored was changed.
        """
        with self._db.reading(conn) as c:
            row = c.execute(select(t.contents).where(t.contents.c.trace == trace)).one_or_none()
        if row is None:
            return None
        request: Mapping[str, Any] = orjson.loads(self._cipher.open(row.request, "contents", trace, "request"))
        answer: Mapping[str, Any] = orjson.loads(self._cipher.open(row.answer, "contents", trace, "answer"))
        return Content(trace=row.trace, at=row.at, request=request, answer=answer)

    def expire(self, before: float, *, limit: int | None = None, conn: Connection | None = None) -> int:
        """Delete what was said before a time in Unix seconds, at most `limit` traces of it; how many there were."""
        with self._db.writing(conn) as c:
            return _expire(c, t.contents, before, limit)


def missing_request(trace: str) -> NotFoundError:
    """The one answer for a request that is not there and for one that is another's."""
    return NotFoundError(f"There is no request with trace {trace!r}.")


def _expire(conn: Connection, table: Table, before: float, limit: int | None) -> int:
    column = table.c
    old = column.at < before
    if limit is not None:
        old = column.trace.in_(select(column.trace).where(old).order_by(column.at).limit(limit))
    return conn.execute(delete(table).where(old)).rowcount


def _record(row: Row[Any]) -> RequestRecord:
    values = row._asdict()
    usage = Usage(**{name: values.pop(name) for name in _USAGE})
    return RequestRecord(**values, usage=usage)
