"""What happened in a request, stage by stage (spans), and what it used (requests)."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.types import RequestRecord, Span, Usage

_USAGE = ("prompt_tokens", "completion_tokens", "cached_tokens", "seconds")


class Spans(Repository):
    """Timed stages, grouped by trace."""

    def insert(self, spans: Sequence[Span], *, conn: Connection | None = None) -> None:
        """Store finished spans. Their attributes must be JSON.

        Raises:
            ConflictError: an id is taken.
        """
        if not spans:
            return
        rows = [
            {c.name: getattr(span, c.name) for c in t.spans.c} | {"attributes": dict(span.attributes)} for span in spans
        ]
        with self._db.writing(conn) as c:
            c.execute(insert(t.spans), rows)

    def trace(self, trace: str, *, conn: Connection | None = None) -> list[Span]:
        """All spans of a trace in the order in which they began; the root is the one without a parent."""
        query = select(t.spans).where(t.spans.c.trace == trace).order_by(t.spans.c.started_at, t.spans.c.id)
        with self._db.reading(conn) as c:
            return [Span(**row._asdict()) for row in c.execute(query)]

    def roots(self, *, limit: int = 100, before: float | None = None, conn: Connection | None = None) -> list[Span]:
        """The root spans of the latest traces, newest first; `before` is a start time in Unix seconds."""
        query = select(t.spans).where(t.spans.c.parent.is_(None)).order_by(t.spans.c.started_at.desc()).limit(limit)
        if before is not None:
            query = query.where(t.spans.c.started_at < before)
        with self._db.reading(conn) as c:
            return [Span(**row._asdict()) for row in c.execute(query)]


class Requests(Repository):
    """One row for each request, to be metered by."""

    def insert(self, record: RequestRecord, *, conn: Connection | None = None) -> None:
        """Store what a request used.

        Raises:
            ConflictError: its trace is recorded already.
        """
        values = {c.name: getattr(record, c.name) for c in t.requests.c if c.name not in _USAGE}
        values |= {name: getattr(record.usage, name) for name in _USAGE}
        with self._db.writing(conn) as c:
            c.execute(insert(t.requests), values)

    def get(self, trace: str, *, conn: Connection | None = None) -> RequestRecord:
        """The request of a trace.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.reading(conn) as c:
            row = c.execute(select(t.requests).where(t.requests.c.trace == trace)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no request with trace {trace!r}.")
        return _record(row)

    def list(
        self,
        *,
        principal: str | None = None,
        limit: int = 100,
        before: float | None = None,
        conn: Connection | None = None,
    ) -> builtins.list[RequestRecord]:
        """Requests, newest first; `before` is an arrival time in Unix seconds."""
        query = select(t.requests).order_by(t.requests.c.at.desc(), t.requests.c.trace.desc()).limit(limit)
        if principal is not None:
            query = query.where(t.requests.c.principal == principal)
        if before is not None:
            query = query.where(t.requests.c.at < before)
        with self._db.reading(conn) as c:
            return [_record(row) for row in c.execute(query)]


def _record(row: Row[Any]) -> RequestRecord:
    values = row._asdict()
    usage = Usage(**{name: values.pop(name) for name in _USAGE})
    return RequestRecord(**values, usage=usage)
