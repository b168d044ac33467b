"""Failed sign-ins, counted by whom they count for. Bounded: what is forgotten first is what is oldest."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, delete, func, select, update

from athanor.store import tables as t
from athanor.store.base import Repository

LARGEST = 10_000
"""Rows."""


class Attempts(Repository):
    """Counts of failures. Subjects are hashes: nothing of what was typed is kept."""

    def read(self, subjects: Collection[str], *, conn: Connection | None = None) -> Mapping[str, tuple[int, float]]:
        """Subject → its failures, and when the last one was (Unix seconds)."""
        query = select(t.attempts).where(t.attempts.c.subject.in_([*subjects]))
        with self._db.reading(conn) as c:
            return {row.subject: (row.failures, row.at) for row in c.execute(query)}

    def put(self, subject: str, failures: int, *, conn: Connection | None = None) -> None:
        """Write a count, as of now."""
        columns, values = t.attempts.c, {"failures": failures, "at": time.time()}
        with self._db.writing(conn) as c:
            if c.execute(update(t.attempts).where(columns.subject == subject).values(values)).rowcount == 0:
                c.execute(t.attempts.insert(), {"subject": subject, **values})

    def take_back(self, subject: str, *, conn: Connection | None = None) -> None:
        """Count one failure less; what has none is forgotten."""
        columns = t.attempts.c
        with self._db.writing(conn) as c:
            c.execute(update(t.attempts).where(columns.subject == subject).values(failures=columns.failures - 1))
            c.execute(delete(t.attempts).where(columns.subject == subject, columns.failures <= 0))

    def forget(self, subjects: Collection[str], *, conn: Connection | None = None) -> None:
        """Delete counts."""
        with self._db.writing(conn) as c:
            c.execute(delete(t.attempts).where(t.attempts.c.subject.in_([*subjects])))

    def purge(self, before: float, *, conn: Connection | None = None) -> None:
        """Delete what is older than `before` (Unix seconds), and the oldest of what is too much."""
        columns = t.attempts.c
        with self._db.writing(conn) as c:
            c.execute(delete(t.attempts).where(columns.at < before))
            over = (c.scalar(select(func.count()).select_from(t.attempts)) or 0) - LARGEST
            if over > 0:
                oldest = select(columns.subject).order_by(columns.at).limit(over + LARGEST // 10)
                c.execute(delete(t.attempts).where(columns.subject.in_(oldest)))
