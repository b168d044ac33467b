"""What a model has written about passages: kept with them, indexed with them, and gone with their version."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, select, update

from athanor.errors import ConflictError, InputError
from athanor.store import tables as t
from athanor.store.base import Repository, TextIndex
from athanor.store.bases import base_row, bump
from athanor.store.transactions import Database

_FLOAT32 = 4


class Contexts(Repository):
    """Contexts of passages. Bases are named by id everywhere."""

    def __init__(self, database: Database, index: TextIndex) -> None:
        super().__init__(database)
        self._index = index

    def documents(self, knowledge_base: str, *, written: bool, conn: Connection | None = None) -> dict[str, int]:
        """Document id → how many of its passages have a context, or with `written=False` have none; in the order of
        sources, without those that have no such passage.

        Raises:
            NotFoundError: no such base.
        """
        chunks = t.chunks.c
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            query = select(chunks.document, func.count().label("passages")).join_from(t.chunks, t.documents)
            query = query.where(chunks.base == base.seq, (chunks.context != "") == written)
            query = query.group_by(chunks.document, t.documents.c.source).order_by(t.documents.c.source)
            return {row.document: row.passages for row in c.execute(query)}

    def put(
        self,
        document: str,
        version: int,
        contexts: Mapping[str, str],
        vectors: Mapping[str, bytes],
        *,
        embedder: str,
        conn: Connection | None = None,
    ) -> int:
        """Give passages of a document (by id) new contexts, and the vectors that belong to them; how many there were.

        Args:
            version: that they were written for. They go with it: a new version of the document has none.
            contexts: chunk id → context; empty takes it away. Ids that are not there are left out.
            vectors: chunk id → little-endian float32, for every one of `contexts`.

        Raises:
            ConflictError: the document has another version by now, or is gone, or the vectors do not fit the base.
            InputError: a context holds NUL.
        """
        if any("\0" in context for context in contexts.values()):
            raise InputError("A context holds NUL characters.", where=document)
        chunks = t.chunks.c
        with self._db.writing(conn) as c:
            owner = select(t.knowledge_bases.c.id).join(t.documents).where(t.documents.c.id == document)
            name = c.scalar(owner)
            base = None if name is None else base_row(c, name, lock=True)
            now = c.scalar(select(t.documents.c.version).where(t.documents.c.id == document))
            if base is None or now != version:
                raise ConflictError(f"Version {version} of this document is not its current one.", where=document)
            width = _FLOAT32 * base.dimension
            if embedder != base.embedder or any(len(vectors[chunk]) != width for chunk in contexts):
                raise ConflictError(f"The vectors are not of {base.embedder!r}, as those of the base.", where=document)
            found = {
                row.id: row.seq
                for row in c.execute(select(chunks.id, chunks.seq).where(chunks.document == document))
                if row.id in contexts
            }
            if not found:
                return 0
            # The text index reads the old words through the rows, so it goes first and comes back last.
            self._index.remove(c, base.seq, document)
            for chunk, seq in found.items():
                values = {"context": contexts[chunk], "revision": base.revision + 1}
                c.execute(update(t.chunks).where(chunks.seq == seq).values(**values))
                c.execute(update(t.vectors).where(t.vectors.c.chunk == seq).values(data=vectors[chunk]))
            self._index.add(c, base.seq, document)
            bump(c, base.seq, documents=0, chunks=0)
        return len(found)
