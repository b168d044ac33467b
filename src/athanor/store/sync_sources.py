"""What bases are kept in step with."""

from __future__ import annotations

import builtins
from typing import Any

from sqlalchemy import Connection, Row, case, delete, insert, select, update

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.bases import base_row
from athanor.types import SyncSource


class SyncSources(Repository):
    """Folders and repositories of bases (by id), one row for each origin."""

    def put(self, source: SyncSource, *, conn: Connection | None = None) -> None:
        """Store a source in place of the one with its base and origin, where there is one.

        Raises:
            NotFoundError: no such base.
        """
        columns = t.sync_sources.c
        values = {column.name: getattr(source, column.name) for column in columns}
        with self._db.writing(conn) as c:
            base = base_row(c, source.base, lock=True).seq
            c.execute(delete(t.sync_sources).where(columns.base == base, columns.origin == source.origin))
            c.execute(insert(t.sync_sources), {**values, "base": base})

    def list(self, knowledge_base: str | None = None, *, conn: Connection | None = None) -> builtins.list[SyncSource]:
        """The sources of a base, or of all, oldest first."""
        query = _sources()
        if knowledge_base is not None:
            query = query.where(t.knowledge_bases.c.id == knowledge_base)
        with self._db.reading(conn) as c:
            rows = c.execute(query.order_by(t.sync_sources.c.created_at, t.sync_sources.c.origin)).all()
        return [_source(row) for row in rows]

    def get(self, knowledge_base: str, origin: str, *, conn: Connection | None = None) -> SyncSource:
        """The source of a base with this origin.

        Raises:
            NotFoundError: there is none.
        """
        query = _sources().where(t.knowledge_bases.c.id == knowledge_base, t.sync_sources.c.origin == origin)
        with self._db.reading(conn) as c:
            row = c.execute(query).one_or_none()
        if row is None:
            raise _missing(origin)
        return _source(row)

    def change(self, source: SyncSource, *, conn: Connection | None = None) -> bool:
        """Store who registered a source, how often it is synchronised, and its prefix; False where it is not there.

        What it was at is forgotten with another prefix, so that the next job reads it under the new names.
        """
        columns = t.sync_sources.c
        seq = select(t.knowledge_bases.c.seq).where(t.knowledge_bases.c.id == source.base).scalar_subquery()
        query = update(t.sync_sources).where(columns.base == seq, columns.origin == source.origin)
        state = case((columns.prefix == source.prefix, columns.state), else_="")
        values = {name: getattr(source, name) for name in ("every", "principal", "prefix")}
        with self._db.writing(conn) as c:
            return c.execute(query.values(**values, state=state)).rowcount == 1

    def begin(self, source: SyncSource, *, after: str | None, conn: Connection | None = None) -> bool:
        """Store what is new of `source`, its new job above all, if its last job is still the one with the id `after`.

        False, and nothing is changed, where another was faster, or the source is not there any more. Of several
        processes that begin a job after the same one, exactly one is told True.
        """
        columns = t.sync_sources.c
        names = ("synced_at", "state", "job", "failures", "error")
        seq = select(t.knowledge_bases.c.seq).where(t.knowledge_bases.c.id == source.base).scalar_subquery()
        same = columns.job.is_(None) if after is None else columns.job == after
        query = update(t.sync_sources).where(columns.base == seq, columns.origin == source.origin, same)
        with self._db.writing(conn) as c:
            return c.execute(query.values({name: getattr(source, name) for name in names})).rowcount == 1

    def delete(self, knowledge_base: str, origin: str, *, conn: Connection | None = None) -> None:
        """Stop keeping a base in step with `origin`. Its documents stay.

        Raises:
            NotFoundError: no such base or source.
        """
        columns = t.sync_sources.c
        with self._db.writing(conn) as c:
            base = base_row(c, knowledge_base).seq
            gone = delete(t.sync_sources).where(columns.base == base, columns.origin == origin)
            if c.execute(gone).rowcount == 0:
                raise _missing(origin)


def _sources() -> Any:
    columns = [column for column in t.sync_sources.c if column.name != "base"]
    return select(t.knowledge_bases.c.id.label("base"), *columns).join_from(t.sync_sources, t.knowledge_bases)


def _source(row: Row[Any]) -> SyncSource:
    return SyncSource(**row._asdict())


def _missing(origin: str) -> NotFoundError:
    return NotFoundError(f"The knowledge base is not kept in step with {origin!r}.")
