"""Reading documents: one, many, what a view shows, what is inside a container."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, case, func, select

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.access import access_of, visible
from athanor.store.bases import Bases, base_row
from athanor.store.filters import matching
from athanor.store.views import among, narrowed, seen_documents, statistics
from athanor.types import (
    OPEN,
    Document,
    DocumentStatus,
    DocumentVersion,
    Filter,
    Reader,
    StoredPicture,
    View,
)


class Lookup(Bases):
    """Look documents up. A `view` hides what its reader may not read; without one, all is seen."""

    def view(
        self,
        knowledge_base: str,
        reader: Reader,
        filter: Filter | None = None,  # noqa: A002  the name that the wire has for it
        *,
        conn: Connection | None = None,
    ) -> View:
        """What `reader` sees of the base (by id) now, narrowed to the documents that satisfy `filter`.

        Only a reader of everything gets `classes` of `None`: others get the classes by number even where they are all,
        so that a document closed after this moment is not seen by an older view.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            view = View(base=knowledge_base, revision=base.revision, classes=visible(c, base.seq, reader))
            if filter is None:
                return view
            return replace(view, documents=matching(c, base.seq, filter, view))

    def document(self, document: str, *, conn: Connection | None = None) -> Document:
        """The document with this id, at its current version.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.reading(conn) as c:
            row = c.execute(select_documents().where(t.documents.c.id == document)).one_or_none()
        if row is None:
            raise missing_document(document)
        return document_of(row)

    def documents_of(self, documents: Collection[str], *, conn: Connection | None = None) -> dict[str, Document]:
        """The documents with these ids, by id, at their current version. Those that are not there are left out."""
        with self._db.reading(conn) as c:
            rows = c.execute(select_documents().where(among(c, t.documents.c.id, documents)))
            return {row.id: document_of(row) for row in rows}

    def document_by_source(
        self, knowledge_base: str, source: str, *, conn: Connection | None = None
    ) -> Document | None:
        """The document of this source in the base (by id), or `None`."""
        query = select_documents().where(t.knowledge_bases.c.id == knowledge_base, t.documents.c.source == source)
        with self._db.reading(conn) as c:
            row = c.execute(query).one_or_none()
        return None if row is None else document_of(row)

    def documents(
        self,
        knowledge_base: str,
        *,
        view: View | None = None,
        status: DocumentStatus | None = None,
        limit: int = 100,
        after: str | None = None,
        conn: Connection | None = None,
    ) -> list[Document]:
        """Documents of the base (by id) in the order of their source; `after` is the last source of the page before."""
        query = select_documents().where(t.knowledge_bases.c.id == knowledge_base)
        if status is not None:
            query = query.where(t.documents.c.status == status.value)
        if after is not None:
            query = query.where(t.documents.c.source > after)
        with self._db.reading(conn) as c:
            query = query.where(*seen_documents(c, view)).order_by(t.documents.c.source).limit(limit)
            return [document_of(row) for row in c.execute(query)]

    def count_documents(
        self,
        knowledge_base: str,
        *,
        view: View | None = None,
        status: DocumentStatus | None = None,
        conn: Connection | None = None,
    ) -> int:
        """How many documents the base (by id) has, those included that never were good."""
        query = select(func.count()).select_from(t.documents.join(t.knowledge_bases))
        query = query.where(t.knowledge_bases.c.id == knowledge_base)
        if status is not None:
            query = query.where(t.documents.c.status == status.value)
        with self._db.reading(conn) as c:
            return c.scalar(query.where(*seen_documents(c, view))) or 0

    def counts(self, knowledge_base: str, view: View | None, *, conn: Connection | None = None) -> tuple[int, int]:
        """`KnowledgeBase.documents` and `.chunks` as they would be if the base (by id) held only what `view` shows.

        Raises:
            NotFoundError: no such base.
        """
        columns = t.documents.c
        with self._db.reading(conn) as c:
            base = base_row(c, knowledge_base)
            seen = narrowed(c, base, view)
            chunks, _ = statistics(c, base.seq, seen)
            if seen is None:
                return base.documents, chunks
            good = select(func.count()).select_from(t.documents).where(columns.base == base.seq, columns.version > 0)
            return c.scalar(good.where(*seen_documents(c, seen))) or 0, chunks

    def tally(
        self, knowledge_base: str, view: View | None, *, conn: Connection | None = None
    ) -> dict[DocumentStatus, tuple[int, int]]:
        """How many documents of the base (by id) `view` shows, and the bytes of their sources, by state."""
        columns = t.documents.c
        query = select(columns.status, func.count().label("documents"), func.sum(columns.size).label("size"))
        query = query.join(t.knowledge_bases).where(t.knowledge_bases.c.id == knowledge_base)
        with self._db.reading(conn) as c:
            rows = c.execute(query.where(*seen_documents(c, view)).group_by(columns.status))
            return {DocumentStatus(row.status): (row.documents, int(row.size)) for row in rows}

    def origins(self, knowledge_base: str, *, conn: Connection | None = None) -> dict[str, tuple[int, int]]:
        """How many documents of the base (by id) each origin keeps in step, and how many of these could not be read."""
        columns = t.documents.c
        failed = func.sum(case((columns.status == DocumentStatus.FAILED.value, 1), else_=0)).label("failed")
        query = select(columns.origin, func.count().label("documents"), failed).join(t.knowledge_bases)
        query = query.where(t.knowledge_bases.c.id == knowledge_base).group_by(columns.origin)
        with self._db.reading(conn) as c:
            return {row.origin: (row.documents, int(row.failed)) for row in c.execute(query)}

    def members(self, knowledge_base: str, container: str, *, conn: Connection | None = None) -> list[Document]:
        """The documents of the base (by id) that came out of the source `container`, by source; not theirs."""
        query = select_documents().where(t.knowledge_bases.c.id == knowledge_base)
        query = query.where(t.documents.c.container == container).order_by(t.documents.c.source)
        with self._db.reading(conn) as c:
            return [document_of(row) for row in c.execute(query)]

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

    def pictures(self, document: str, version: int, *, conn: Connection | None = None) -> list[StoredPicture]:
        """The images inside one version of a document, in the order they were given; empty where there is none."""
        columns = t.pictures.c
        query = select(columns.sha256, columns.mime, columns.start, columns.alt)
        query = query.where(columns.document == document, columns.version == version).order_by(columns.ordinal)
        with self._db.reading(conn) as c:
            return [StoredPicture(**row._asdict()) for row in c.execute(query)]


def select_documents() -> Select[Any]:
    """Rows for `document_of`."""
    columns = [column for column in t.documents.c if column.name not in {"base", "access", "words"}]
    joined = t.documents.join(t.knowledge_bases).outerjoin(
        t.access_classes, t.access_classes.c.seq == t.documents.c.access
    )
    return select(t.knowledge_bases.c.id.label("knowledge_base"), t.access_classes.c.access, *columns).select_from(
        joined
    )


def document_of(row: Row[Any]) -> Document:
    """The document in a row of `select_documents`."""
    access = OPEN if row.access is None else access_of(orjson.loads(row.access))
    status = DocumentStatus(row.status)
    return Document(**{**row._asdict(), "pages": tuple(row.pages), "status": status, "access": access})


def missing_document(document: str) -> NotFoundError:
    """There is no such document, or its reader must not know of it."""
    return NotFoundError(f"There is no document {document!r}.")
