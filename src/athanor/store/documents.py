"""Documents and their versions. A document, its chunks, words and vectors change in one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from athanor.errors import ConflictError, InputError, NotFoundError
from athanor.store import tables as t
from athanor.store.access import access_of, class_of
from athanor.store.bases import Bases, base_row, bump
from athanor.store.passages import insert_chunks, remove_chunks
from athanor.types import OPEN, Chunk, Document, DocumentStatus, DocumentVersion, SourceState


class Documents(Bases):
    """Replace, fail, delete and look up documents."""

    def replace_document(
        self,
        document: Document,
        chunks: Sequence[Chunk],
        vectors: Sequence[bytes],
        *,
        embedder: str,
        conn: Connection | None = None,
    ) -> Document:
        """Make `document` the current version of its source, with these chunks and vectors and no others.

        The stored document is returned. Its id and `created_at` are those of the source's existing row where
        there is one, its version is one more than the old one (from 1), its status is ready; what the argument
        says about these is ignored.

        Raises:
            NotFoundError: no such knowledge base.
            ConflictError: the vectors are of another embedder or size, or a chunk id or ordinal is doubled.
            InputError: chunks and vectors differ in number, a text holds NUL, or there is no source text.
        """
        if document.text_sha256 is None:
            raise InputError("A ready document needs its source text.", where=document.source)
        with self._db.writing(conn) as c:
            base = base_row(c, document.knowledge_base, lock=True)
            if embedder != base.embedder:
                raise ConflictError(
                    f"Knowledge base {base.name!r} holds vectors of {base.embedder!r}, not of {embedder!r}.",
                    where=document.source,
                    hint="Create another base for the other embedder and ingest again.",
                )
            old = _by_source(c, base.seq, document.source)
            now = time.time()
            stored = replace(
                document,
                id=old.id if old else document.id,
                version=old.version + 1 if old else 1,
                status=DocumentStatus.READY,
                error=None,
                chunks=len(chunks),
                created_at=old.created_at if old else now,
                updated_at=now,
            )
            _write_row(c, base.seq, stored, new=old is None)
            _write_version(c, stored)
            gone = remove_chunks(c, self._index, base.seq, stored.id) if old else 0
            insert_chunks(c, self._index, base, stored, chunks, vectors)
            bump(c, base.seq, documents=0 if old and old.version else 1, chunks=len(chunks) - gone)
        return stored

    def fail_document(self, document: Document, error: str, *, conn: Connection | None = None) -> Document:
        """Record that the source of `document` can no longer be read, and why; the stored document is returned.

        A source that was good keeps its last good version, which stays searchable: only its status and error
        change. A source that never was good gets a row of version 0, without chunks.

        Raises:
            NotFoundError: no such knowledge base.
        """
        with self._db.writing(conn) as c:
            base = base_row(c, document.knowledge_base, lock=True)
            row = _by_source(c, base.seq, document.source)
            now = time.time()
            if row is not None and row.version:
                values = {"status": DocumentStatus.FAILED.value, "error": error, "updated_at": now}
                c.execute(update(t.documents).where(t.documents.c.id == row.id).values(**values))
                return _document(c.execute(_documents().where(t.documents.c.id == row.id)).one())
            stored = replace(
                document,
                id=row.id if row else document.id,
                version=0,
                text_sha256=None,
                pages=(),
                status=DocumentStatus.FAILED,
                error=error,
                chunks=0,
                created_at=row.created_at if row else now,
                updated_at=now,
            )
            _write_row(c, base.seq, stored, new=row is None)
        return stored

    def delete_document(self, document: str, *, conn: Connection | None = None) -> None:
        """Delete a document (by id): every version, chunk, word and vector is gone at commit.

        Raises:
            NotFoundError: no such document.
        """
        with self._db.writing(conn) as c:
            owner = select(t.knowledge_bases.c.id).join(t.documents).where(t.documents.c.id == document)
            base = c.scalar(owner)
            if base is None:
                raise _missing(document)
            # The base is locked first, as in a replacement, so that the two cannot wait for each other.
            seq = base_row(c, base, lock=True).seq
            row = c.execute(select(t.documents.c.version).where(t.documents.c.id == document)).one_or_none()
            if row is None:
                raise _missing(document)
            versions = t.document_versions.c
            texts = c.scalars(select(versions.text_sha256).where(versions.document == document))
            self._release(c, set(texts))
            gone = remove_chunks(c, self._index, seq, document)
            c.execute(delete(t.document_versions).where(versions.document == document))
            c.execute(delete(t.documents).where(t.documents.c.id == document))
            bump(c, seq, documents=-1 if row.version else 0, chunks=-gone)

    def document(self, document: str, *, conn: Connection | None = None) -> Document:
        """The document with this id, at its current version.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.reading(conn) as c:
            row = c.execute(_documents().where(t.documents.c.id == document)).one_or_none()
        if row is None:
            raise _missing(document)
        return _document(row)

    def document_by_source(
        self, knowledge_base: str, source: str, *, conn: Connection | None = None
    ) -> Document | None:
        """The document of this source in the base (by id), or `None`."""
        query = _documents().where(t.knowledge_bases.c.id == knowledge_base, t.documents.c.source == source)
        with self._db.reading(conn) as c:
            row = c.execute(query).one_or_none()
        return None if row is None else _document(row)

    def documents(
        self,
        knowledge_base: str,
        *,
        status: DocumentStatus | None = None,
        limit: int = 100,
        after: str | None = None,
        conn: Connection | None = None,
    ) -> list[Document]:
        """Documents of the base (by id) in the order of their source; `after` is the last source of the page before."""
        query = _documents().where(t.knowledge_bases.c.id == knowledge_base)
        if status is not None:
            query = query.where(t.documents.c.status == status.value)
        if after is not None:
            query = query.where(t.documents.c.source > after)
        with self._db.reading(conn) as c:
            return [_document(row) for row in c.execute(query.order_by(t.documents.c.source).limit(limit))]

    def count_documents(
        self, knowledge_base: str, *, status: DocumentStatus | None = None, conn: Connection | None = None
    ) -> int:
        """How many documents the base (by id) has, those included that never were good."""
        query = select(func.count()).select_from(t.documents.join(t.knowledge_bases))
        query = query.where(t.knowledge_bases.c.id == knowledge_base)
        if status is not None:
            query = query.where(t.documents.c.status == status.value)
        with self._db.reading(conn) as c:
            return c.scalar(query) or 0

    def document_version(self, document: str, version: int, *, conn: Connection | None = None) -> DocumentVersion:
        """One version of a document, current or old.

        Raises:
            NotFoundError: there is none.
        """
        columns = t.document_versions.c
        query = select(t.document_versions).where(columns.document == document, columns.version == version)
        with self._db.reading(conn) as c:
            row = c.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"Document {document!r} has no version {version}.")
        return DocumentVersion(**{**row._asdict(), "pages": tuple(row.pages)})

    def sources(self, knowledge_base: str, *, conn: Connection | None = None) -> dict[str, SourceState]:
        """The state of every source of the base (by id), to find those that changed."""
        columns = t.documents.c
        query = (
            select(
                columns.source,
                columns.id,
                columns.sha256,
                columns.version,
                columns.status,
                columns.size,
                columns.origin,
                columns.stamp,
                columns.container,
            )
            .join(t.knowledge_bases)
            .where(t.knowledge_bases.c.id == knowledge_base)
        )
        with self._db.reading(conn) as c:
            return {
                row.source: SourceState(
                    document=row.id,
                    sha256=row.sha256,
                    version=row.version,
                    status=DocumentStatus(row.status),
                    size=row.size,
                    origin=row.origin,
                    stamp=row.stamp,
                    container=row.container,
                )
                for row in c.execute(query)
            }


def _documents() -> Select[Any]:
    columns = [column for column in t.documents.c if column.name not in {"base", "access"}]
    joined = t.documents.join(t.knowledge_bases).outerjoin(
        t.access_classes, t.access_classes.c.seq == t.documents.c.access
    )
    return select(t.knowledge_bases.c.id.label("knowledge_base"), t.access_classes.c.access, *columns).select_from(
        joined
    )


def _document(row: Row[Any]) -> Document:
    access = OPEN if row.access is None else access_of(orjson.loads(row.access))
    status = DocumentStatus(row.status)
    return Document(**{**row._asdict(), "pages": tuple(row.pages), "status": status, "access": access})


def _by_source(conn: Connection, base: int, source: str) -> Row[Any] | None:
    columns = t.documents.c
    query: Select[Any] = select(columns.id, columns.version, columns.created_at)
    return conn.execute(query.where(columns.base == base, columns.source == source)).one_or_none()


def _write_row(conn: Connection, base: int, document: Document, *, new: bool) -> None:
    values = {column.name: getattr(document, column.name) for column in t.documents.c if column.name != "base"}
    values |= {"base": base, "pages": [*document.pages], "status": document.status.value}
    values |= {"access": class_of(conn, base, document.access), "attributes": dict(document.attributes)}
    if new:
        conn.execute(insert(t.documents), values)
    else:
        conn.execute(update(t.documents).where(t.documents.c.id == document.id).values(**values))


def _write_version(conn: Connection, document: Document) -> None:
    conn.execute(
        insert(t.document_versions).values(
            document=document.id,
            version=document.version,
            sha256=document.sha256,
            text_sha256=document.text_sha256,
            title=document.title,
            pages=[*document.pages],
            created_at=document.updated_at,
        )
    )


def _missing(document: str) -> NotFoundError:
    return NotFoundError(f"There is no document {document!r}.")
