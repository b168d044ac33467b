"""Chunks: fetching, word search, vectors for a derived index, and the check that all of it is in step."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from athanor.store import tables as t
from athanor.store.base import Repository, TextIndex
from athanor.store.bases import base_row
from athanor.store.integrity import blob_names, problems
from athanor.store.transactions import Database
from athanor.store.views import among, narrowed, seen_chunks
from athanor.store.words import distinct, split
from athanor.types import Chunk, Hit, VectorChanges, View

_FETCH = 500
"""Ids in one query."""
_NAMES = ("id", "document", "ordinal", "start", "end", "page", "heading", "text", "place", "line", "context")
_COLUMNS = [t.chunks.c[name] for name in _NAMES]


class Chunks(Repository):
    """The passages of knowledge bases. Bases are named by id everywhere."""

    def __init__(self, database: Database, index: TextIndex) -> None:
        super().__init__(database)
        self._index = index

    def get(
        self, knowledge_base: str, ids: Sequence[str], *, view: View | None = None, conn: Connection | None = None
    ) -> list[Chunk]:
        """The chunks with these ids, in this order. Ids that do not exist, or not in `view`, are left out."""
        with self._db.reading(conn) as c:
            found = {row.id: _chunk(row) for row in _fetch(c, select(*_COLUMNS), knowledge_base, ids, view)}
        return [found[chunk] for chunk in ids if chunk in found]

    def hits(
        self, knowledge_base: str, ids: Sequence[str], *, view: View | None = None, conn: Connection | None = None
    ) -> list[Hit]:
        """Like `get`, as hits without scores: each chunk with its document's current version, source and title."""
        about = t.documents.c
        query = select(*_COLUMNS, about.version, about.source, about.title, about.pages).join_from(
            t.chunks, t.documents
        )
        with self._db.reading(conn) as c:
            found = {
                row.id: Hit(
                    chunk=_chunk(row),
                    document_version=row.version,
                    source=row.source,
                    title=row.title,
                    score=0.0,
                    pages=tuple(row.pages),
                )
                for row in _fetch(c, query, knowledge_base, ids, view)
            }
        return [found[chunk] for chunk in ids if chunk in found]

    def of_document(self, document: str, *, conn: Connection | None = None) -> list[Chunk]:
        """The chunks of a document (by id), in order."""
        query = select(*_COLUMNS).where(t.chunks.c.document == document).order_by(t.chunks.c.ordinal)
        with self._db.reading(conn) as c:
            return [_chunk(row) for row in c.execute(query)]

    def at(
        self,
        knowledge_base: str,
        document: str,
        ordinals: Collection[int],
        *,
        view: View | None = None,
        conn: Connection | None = None,
    ) -> list[Chunk]:
        """The chunks of a document (by id) of the base that have these ordinals, in order.

        Ordinals that do not exist, or not in `view`, are left out.

        Raises:
            NotFoundError: no such base.
        """
        columns = t.chunks.c
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            query = select(*_COLUMNS).where(columns.base == base.seq, columns.document == document)
            query = query.where(among(c, columns.ordinal, ordinals), *seen_chunks(c, narrowed(c, base, view)))
            return [_chunk(row) for row in c.execute(query.order_by(columns.ordinal))]

    def ids(self, knowledge_base: str, *, view: View | None = None, conn: Connection | None = None) -> list[str]:
        """The ids of all chunks of the base, of those that `view` shows.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            query = select(t.chunks.c.id).where(t.chunks.c.base == base.seq).order_by(t.chunks.c.seq)
            return [*c.scalars(query.where(*seen_chunks(c, narrowed(c, base, view))))]

    def search_text(
        self,
        knowledge_base: str,
        terms: Sequence[str],
        *,
        view: View | None = None,
        limit: int = 100,
        text_weight: float = 1.0,
        heading_weight: float = 1.0,
        conn: Connection | None = None,
    ) -> list[tuple[str, float]]:
        """(chunk id, BM25 score) of the best chunks that hold any of `terms`, best first.

        Terms are plain text: no character has a meaning. They are cut into words, repeated words count once,
        and words are compared by their Porter stem without case and diacritics. k1 is 1.2, b is 0.75.
        With a `view`, every number and the order are as if what it hides were not in the base.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            words = distinct(terms)
            if not words or limit < 1:
                return []
            weights = (text_weight, heading_weight)
            seen = narrowed(c, base, view)
            return self._index.search(c, base.seq, words, view=seen, limit=limit, weights=weights)

    def term_frequencies(
        self, knowledge_base: str, terms: Sequence[str], *, view: View | None = None, conn: Connection | None = None
    ) -> tuple[int, Mapping[str, int]]:
        """The number of chunks, and for each different term how many chunks hold it; several words are a phrase.

        With a `view`, as if what it hides were not in the base.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            wanted = dict.fromkeys(terms, 0)
            some = [term for term in wanted if split(term)]
            total, found = self._index.frequencies(c, base.seq, some, view=narrowed(c, base, view))
            return total, wanted | dict(found)

    def vectors(
        self, knowledge_base: str, *, after: int = 0, batch: int = 4096, conn: Connection | None = None
    ) -> Iterator[tuple[list[str], bytes]]:
        """Batches of (chunk ids, their vectors joined row by row) that were added after a revision.

        Memory holds one batch at a time. All batches belong to one snapshot.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            rows = c.execute(_added(base.seq, after), execution_options={"yield_per": batch})
            for part in rows.partitions(batch):
                yield [row.id for row in part], b"".join(row.data for row in part)

    def vectors_of(
        self, knowledge_base: str, ids: Sequence[str], *, view: View | None = None, conn: Connection | None = None
    ) -> dict[str, bytes]:
        """The vectors of these chunks (little-endian float32). Ids that do not exist, or not in `view`, are left out.

        Raises:
            NotFoundError: no such base.
        """
        query = select(t.chunks.c.id, t.vectors.c.data).join_from(t.chunks, t.vectors)
        with self._db.reading(conn) as c:
            return {row.id: row.data for row in _fetch(c, query, knowledge_base, ids, view)}

    def changes(self, knowledge_base: str, since: int, *, conn: Connection | None = None) -> VectorChanges:
        """What an index at revision `since` must add, replace and drop to equal the base now.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            rows = [] if base.revision == since else c.execute(_added(base.seq, since)).all()
            return VectorChanges(
                revision=base.revision,
                added=tuple(row.id for row in rows),
                matrix=b"".join(row.data for row in rows),
                present=tuple(self.ids(knowledge_base, conn=c)),
                documents=tuple(row.document for row in rows),
                classes=tuple(row.access for row in rows),
            )

    def verify(self, knowledge_base: str, *, conn: Connection | None = None) -> list[str]:
        """One line for each way in which documents, chunks, words, vectors and counts disagree; empty when sound.

        Raises:
            NotFoundError: no such base.
        """
        # Not a read: FTS5 starts its check by an INSERT (that changes nothing).
        with self._db.writing(conn) as c:
            return problems(c, self._index, base_row(c, knowledge_base))

    def blobs(self, knowledge_base: str, *, conn: Connection | None = None) -> dict[str, str]:
        """SHA-256 of every blob that the base's documents need, in all their versions → what it is, for people.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.reading(conn) as c:
            return blob_names(c, base_row(c, knowledge_base).seq)


def _fetch(
    conn: Connection, query: Select[Any], knowledge_base: str, ids: Sequence[str], view: View | None
) -> Iterator[Row[Any]]:
    base = base_row(conn, knowledge_base)
    query = query.where(t.chunks.c.base == base.seq, *seen_chunks(conn, narrowed(conn, base, view)))
    for start in range(0, len(ids), _FETCH):
        yield from conn.execute(query.where(t.chunks.c.id.in_(ids[start : start + _FETCH])))


def _chunk(row: Row[Any]) -> Chunk:
    return Chunk(**{name: getattr(row, name) for name in _NAMES})


def _added(base: int, after: int) -> Select[Any]:
    columns = t.chunks.c
    query = select(columns.id, columns.document, columns.access, t.vectors.c.data).join_from(t.chunks, t.vectors)
    query = query.where(columns.base == base, columns.revision > after)
    # The order of the index on (base, revision): no sort of the vectors.
    return query.order_by(columns.revision, columns.seq)
