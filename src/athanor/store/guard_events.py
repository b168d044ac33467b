"""What guards found: one row for each finding that a policy acted on. No row holds any of the text."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, select

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.append import Appender
from athanor.store.base import Repository
from athanor.types import Decision, GuardEvent, Origin

_COLUMNS = tuple(column.name for column in t.guard_events.c)


class GuardEvents(Repository):
    """Findings, newest first."""

    def insert(self, events: Sequence[GuardEvent], *, into: Appender | None = None) -> None:
        """Store findings.

        Raises:
            ConflictError: an id is there already.
        """
        rows = [tuple(getattr(event, name) for name in _COLUMNS) for event in events]
        with self._db.appending(into) as appender:
            appender.insert("guard_events", _COLUMNS, rows)

    def get(self, id_: str, *, conn: Connection | None = None) -> GuardEvent:
        """One finding.

        Raises:
            NotFoundError: there is none of this id.
        """
        with self._db.reading(conn) as c:
            row = c.execute(select(t.guard_events).where(t.guard_events.c.id == id_)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no guard event {id_!r}.")
        return _event(row)

    def list(
        self,
        *,
        category: str | None = None,
        since: float | None = None,
        before: float | None = None,
        after: str | None = None,
        limit: int = 100,
        conn: Connection | None = None,
        **equal: str | None,
    ) -> builtins.list[GuardEvent]:
        """Findings, newest first.

        Args:
            category: `pii.email`, or `pii.*` for a family.
            since, before: times in Unix seconds.
            after: id of the last one of the page before.
            equal: what a column holds: `decision`, `action`, `guard`, `origin`, `principal`, `trace`, …; `None` is
                anything.
        """
        column = t.guard_events.c
        query = select(t.guard_events).order_by(column.id.desc()).limit(limit)
        query = _narrowed(query, category=category, since=since, before=before, equal=equal)
        if after is not None:
            query = query.where(column.id < after)
        with self._db.reading(conn) as c:
            return [_event(row) for row in c.execute(query)]

    def counts(
        self, *, since: float | None = None, before: float | None = None, conn: Connection | None = None
    ) -> builtins.list[tuple[str, Decision, int]]:
        """(category, what was done, how often), the most frequent first."""
        column = t.guard_events.c
        query = select(column.category, column.action, func.count()).group_by(column.category, column.action)
        query = _narrowed(query, category=None, since=since, before=before, equal={})
        with self._db.reading(conn) as c:
            rows = [(category, Decision(action), count) for category, action, count in c.execute(query)]
        return sorted(rows, key=lambda row: (-row[2], row[0]))

    def expire(self, before: float, *, limit: int | None = None, conn: Connection | None = None) -> int:
        """Delete findings from before a time in Unix seconds, at most `limit` of them; how many there were."""
        column = t.guard_events.c
        old = column.at < before
        if limit is not None:
            old = column.id.in_(select(column.id).where(old).order_by(column.at).limit(limit))
        with self._db.writing(conn) as c:
            return c.execute(delete(t.guard_events).where(old)).rowcount


def _narrowed(
    query: Select[Any],
    *,
    category: str | None,
    since: float | None,
    before: float | None,
    equal: Mapping[str, str | None],
) -> Select[Any]:
    column = t.guard_events.c
    if category is not None:
        if category.endswith("*"):
            query = query.where(column.category.startswith(category.rstrip("*"), autoescape=True))
        else:
            query = query.where(column.category == category)
    if since is not None:
        query = query.where(column.at >= since)
    if before is not None:
        query = query.where(column.at < before)
    for name, value in equal.items():
        if value is not None:
            query = query.where(column[name] == value)
    return query


def _event(row: Row[Any]) -> GuardEvent:
    values = row._asdict()
    values["origin"] = Origin(values["origin"])
    values["decision"] = Decision(values["decision"])
    values["action"] = Decision(values["action"])
    return GuardEvent(**values)
