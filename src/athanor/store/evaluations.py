"""What bases are measured by, and how they did."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.bases import base_row
from athanor.store.crypto import Cipher
from athanor.store.transactions import Database
from athanor.types import Evaluation, Question

_WORDS = ("text", "answer")


class Questions(Repository):
    """The questions of bases (by id)."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        super().__init__(database)
        self._cipher = cipher

    def put(self, questions: Iterable[Question], *, conn: Connection | None = None) -> None:
        """Store questions; one with an id that exists replaces the old one.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.writing(conn) as c:
            seqs: dict[str, int] = {}
            rows = []
            for question in questions:
                if question.base not in seqs:
                    seqs[question.base] = base_row(c, question.base).seq
                values = {column.name: getattr(question, column.name) for column in t.questions.c}
                values |= {
                    name: self._cipher.seal_content(values[name], "questions", question.id, name) for name in _WORDS
                }
                rows.append({**values, "base": seqs[question.base], "relevant": dict(question.relevant)})
            for row in rows:
                c.execute(delete(t.questions).where(t.questions.c.id == row["id"]))
            if rows:
                c.execute(insert(t.questions), rows)

    def list(
        self, knowledge_base: str, *, origin: str | None = None, conn: Connection | None = None
    ) -> builtins.list[Question]:
        """The questions of a base in the order they were made.

        Raises:
            NotFoundError: no such base.
        """
        columns = t.questions.c
        with self._db.reading(conn) as c:
            query = select(t.questions).where(columns.base == base_row(c, knowledge_base).seq)
            if origin is not None:
                query = query.where(columns.origin == origin)
            rows = c.execute(query.order_by(columns.id)).all()
        return [self._question(row, knowledge_base) for row in rows]

    def get(self, question: str, *, conn: Connection | None = None) -> Question:
        """The question with this id.

        Raises:
            NotFoundError: there is none.
        """
        query = select(t.questions, t.knowledge_bases.c.id.label("owner")).join(t.knowledge_bases)
        with self._db.reading(conn) as c:
            row = c.execute(query.where(t.questions.c.id == question)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no question {question!r}.")
        return self._question(row, row.owner)

    def count(self, knowledge_base: str, *, conn: Connection | None = None) -> int:
        """How many a base has.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.reading(conn) as c:
            ours = t.questions.c.base == base_row(c, knowledge_base).seq
            return c.scalar(select(func.count()).select_from(t.questions).where(ours)) or 0

    def delete(
        self,
        knowledge_base: str,
        *,
        ids: Collection[str] | None = None,
        origin: str | None = None,
        conn: Connection | None = None,
    ) -> int:
        """Delete the questions of a base, or those of them with these `ids` or of this `origin`; how many.

        Raises:
            NotFoundError: no such base.
        """
        columns = t.questions.c
        with self._db.writing(conn) as c:
            wanted = delete(t.questions).where(columns.base == base_row(c, knowledge_base).seq)
            if ids is not None:
                wanted = wanted.where(columns.id.in_(ids))
            if origin is not None:
                wanted = wanted.where(columns.origin == origin)
            return c.execute(wanted).rowcount

    def _question(self, row: Row[Any], knowledge_base: str) -> Question:
        values: dict[str, Any] = {name: getattr(row, name) for name in ("id", "relevant", "origin")}
        values |= {name: self._cipher.open(getattr(row, name), "questions", row.id, name) for name in _WORDS}
        return Question(**values, base=knowledge_base)


class Evaluations(Repository):
    """The measurements of bases (by id)."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        super().__init__(database)
        self._cipher = cipher

    def add(self, evaluation: Evaluation, *, conn: Connection | None = None) -> None:
        """Store a measurement.

        Raises:
            NotFoundError: no such base.
            ConflictError: the id is taken.
        """
        values = {column.name: getattr(evaluation, column.name) for column in t.evaluations.c}
        details = [dict(entry) for entry in evaluation.details]
        values["figures"] = dict(evaluation.figures)
        values["details"] = self._cipher.seal_json(details, "evaluations", evaluation.id, "details")
        with self._db.writing(conn) as c:
            c.execute(insert(t.evaluations), {**values, "base": base_row(c, evaluation.base).seq})

    def list(
        self,
        knowledge_base: str,
        *,
        version: int | None = None,
        questions: str | None = None,
        limit: int = 100,
        conn: Connection | None = None,
    ) -> builtins.list[Evaluation]:
        """Measurements of a base, newest first; only those of one `version` or set of `questions` where given.

        Raises:
            NotFoundError: no such base.
        """
        columns = t.evaluations.c
        with self._db.reading(conn) as c:
            query = select(t.evaluations).where(columns.base == base_row(c, knowledge_base).seq)
            if version is not None:
                query = query.where(columns.version == version)
            if questions is not None:
                query = query.where(columns.questions == questions)
            rows = c.execute(query.order_by(columns.created_at.desc(), columns.id.desc()).limit(limit)).all()
        return [self._evaluation(row, knowledge_base) for row in rows]

    def get(self, evaluation: str, *, conn: Connection | None = None) -> Evaluation:
        """The measurement with this id.

        Raises:
            NotFoundError: there is none.
        """
        query = select(t.evaluations).where(t.evaluations.c.id == evaluation)
        with self._db.reading(conn) as c:
            row = c.execute(query).one_or_none()
            if row is None:
                raise NotFoundError(f"There is no evaluation {evaluation!r}.")
            base: str = c.execute(
                select(t.knowledge_bases.c.id).where(t.knowledge_bases.c.seq == row.base)
            ).scalar_one()
        return self._evaluation(row, base)

    def delete(self, evaluation: str, *, conn: Connection | None = None) -> None:
        """Forget a measurement (by id).

        Raises:
            NotFoundError: there is none.
        """
        with self._db.writing(conn) as c:
            if c.execute(delete(t.evaluations).where(t.evaluations.c.id == evaluation)).rowcount == 0:
                raise NotFoundError(f"There is no evaluation {evaluation!r}.")

    def _evaluation(self, row: Row[Any], knowledge_base: str) -> Evaluation:
        details = self._cipher.open_json(row.details, "evaluations", row.id, "details")
        return Evaluation(**{**row._asdict(), "base": knowledge_base, "details": tuple(details)})
