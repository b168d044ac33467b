"""Containers and their members, and what became of sources meanwhile: what an ingestion looks up."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from athanor.store import tables as t
from athanor.store.bases import base_row
from athanor.store.blobs import referenced
from athanor.store.deletions import deleted
from athanor.store.lookup import Lookup
from athanor.store.transactions import after_commit
from athanor.types import DocumentStatus, SourceState

_STATE = ("sha256", "version", "size", "origin", "stamp", "container", "updated_at")


class Insides(Lookup):
    """Look up sources for their next ingestion."""

    def sources(
        self, knowledge_base: str, *, members: bool = True, conn: Connection | None = None
    ) -> dict[str, SourceState]:
        """The state of every source of the base (by id), to find those that changed; or only of no `members`."""
        query = _states(knowledge_base)
        if not members:
            query = query.where(t.documents.c.container.is_(None))
        with self._db.reading(conn) as c:
            return {row.source: _state(row) for row in c.execute(query)}

    def sources_inside(
        self, knowledge_base: str, container: str, *, conn: Connection | None = None
    ) -> dict[str, SourceState]:
        """The state of every member of the source `container` of the base (by id), at all depths."""
        column = t.documents.c.container
        inside = func.substr(column, 1, len(container) + 1) == f"{container}/"
        with self._db.reading(conn) as c:
            query = _states(knowledge_base).where(column.is_not(None), (column == container) | inside)
            return {row.source: _state(row) for row in c.execute(query)}

    def containers(self, knowledge_base: str, *, conn: Connection | None = None) -> frozenset[str]:
        """The sources of the base (by id) that documents came out of."""
        column = t.documents.c.container
        query = select(column).join(t.knowledge_bases).where(t.knowledge_bases.c.id == knowledge_base)
        with self._db.reading(conn) as c:
            return frozenset(c.scalars(query.where(column.is_not(None)).distinct()))

    def deleted_since(
        self, knowledge_base: str, sources: Collection[str], revision: int, *, conn: Connection | None = None
    ) -> set[str]:
        """Those of `sources` of the base (by id) that were deleted after its `revision`.

        With `conn`, a transaction that writes, the base is locked, so that the answer holds until the commit.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.reading(conn) as c:
            return deleted(c, base_row(c, knowledge_base, lock=conn is not None).seq, sources, revision)

    def release(self, names: Collection[str], *, conn: Connection) -> None:
        """After the commit of `conn`, remove those of the blobs `names` that no row keeps, however new they are."""

        def hook() -> None:
            with self._db.read() as reader:
                kept = referenced(reader, names)
            for sha256 in set(names) - kept:
                self._blobs.discard(sha256, older=0.0)

        after_commit(conn, hook)


def _states(knowledge_base: str) -> Select[Any]:
    columns = t.documents.c
    query = select(columns.source, columns.id, columns.status, *(columns[name] for name in _STATE))
    return query.join(t.knowledge_bases).where(t.knowledge_bases.c.id == knowledge_base)


def _state(row: Row[Any]) -> SourceState:
    values = {name: getattr(row, name) for name in _STATE}
    return SourceState(document=row.id, status=DocumentStatus(row.status), **values)
