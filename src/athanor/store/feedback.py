"""Verdicts on answers: one for each trace and principal, replaced when it changes."""

from __future__ import annotations

import builtins
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from athanor.errors import InputError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.crypto import Cipher
from athanor.store.transactions import Database
from athanor.types import Feedback as Verdict
from athanor.types import new_id


class Feedback(Repository):
    """Thumbs up and down."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        super().__init__(database)
        self._cipher = cipher

    def put(
        self, *, trace: str, principal: str, rating: int, comment: str = "", conn: Connection | None = None
    ) -> Verdict:
        """Record a verdict, in place of an earlier one by the same principal (by id).

        Raises:
            InputError: `rating` is neither 1 nor -1.
            EncryptionError: the store was opened without its master key.
        """
        if rating not in {-1, 1}:
            raise InputError(f"A rating is 1 or -1, not {rating}.", where="rating")
        make = sqlite.insert if self._db.dialect == "sqlite" else postgresql.insert
        query = make(t.feedback).values(
            id=new_id("fb"),
            trace=trace,
            principal=principal,
            rating=rating,
            comment=self._cipher.seal_content(comment, "feedback", f"{trace}/{principal}", "comment"),
            created_at=time.time(),
        )
        changed = {name: query.excluded[name] for name in ("rating", "comment", "created_at")}
        query = query.on_conflict_do_update(index_elements=["trace", "principal"], set_=changed)
        with self._db.writing(conn) as c:
            return self._verdict(c.execute(query.returning(*t.feedback.c)).one())

    def of_trace(self, trace: str, *, conn: Connection | None = None) -> builtins.list[Verdict]:
        """All verdicts on one answer, oldest first."""
        query = select(t.feedback).where(t.feedback.c.trace == trace).order_by(t.feedback.c.created_at)
        with self._db.reading(conn) as c:
            return [self._verdict(row) for row in c.execute(query)]

    def counts(self, traces: Sequence[str], *, conn: Connection | None = None) -> dict[str, tuple[int, int]]:
        """(good, bad) verdicts on each of these answers; those without any are not in it."""
        column = t.feedback.c
        query = (
            select(column.trace, func.sum(case((column.rating > 0, 1), else_=0)), func.count())
            .where(column.trace.in_(traces))
            .group_by(column.trace)
        )
        with self._db.reading(conn) as c:
            return {trace: (int(good), int(total - good)) for trace, good, total in c.execute(query)}

    def list(
        self,
        *,
        rating: int | None = None,
        limit: int = 100,
        before: float | None = None,
        conn: Connection | None = None,
    ) -> builtins.list[Verdict]:
        """Verdicts, newest first; `before` is a time in Unix seconds."""
        query = select(t.feedback).order_by(t.feedback.c.created_at.desc(), t.feedback.c.id).limit(limit)
        if rating is not None:
            query = query.where(t.feedback.c.rating == rating)
        if before is not None:
            query = query.where(t.feedback.c.created_at < before)
        with self._db.reading(conn) as c:
            return [self._verdict(row) for row in c.execute(query)]

    def delete(self, *, trace: str, principal: str, conn: Connection | None = None) -> None:
        """Take a verdict back; does nothing where there is none."""
        column = t.feedback.c
        with self._db.writing(conn) as c:
            c.execute(delete(t.feedback).where(column.trace == trace, column.principal == principal))

    def _verdict(self, row: Row[Any]) -> Verdict:
        comment = self._cipher.open(row.comment, "feedback", f"{row.trace}/{row.principal}", "comment")
        return Verdict(**row._asdict() | {"comment": comment})
