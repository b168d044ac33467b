"""Documents and their versions. A document, its chunks, words and vectors change in one transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from athanor.errors import ConflictError, InputError
from athanor.store import tables as t
from athanor.store.access import class_of, collect_classes
from athanor.store.bases import base_row, blobs_of, bump
from athanor.store.deletions import mark
from athanor.store.filters import checked
from athanor.store.insides import Insides
from athanor.store.lookup import document_of, missing_document, select_documents
from athanor.store.near import forget, renew
from athanor.store.passages import insert_chunks, remove_chunks
from athanor.types import OPEN, UNFINISHED, Access, Attributes, Chunk, Document, DocumentStatus, StoredPicture


class Documents(Insides):
    """Replace, fail, close and delete documents."""

    def replace_document(
        self,
        document: Document,
        chunks: Sequence[Chunk],
        vectors: Sequence[bytes],
        *,
        embedder: str,
        pictures: Sequence[StoredPicture] = (),
        conn: Connection | None = None,
    ) -> Document:
        """Make `document` the current version of its source, with these chunks and vectors and no others.

        The stored document is returned. Its id, `created_at` and access are those of the source's existing row where
        there is one (`set_access` changes the last), its version is one more than the old one (from 1), its status is
        ready; what the argument says about these is ignored. Attributes stay unless the argument has some. A new
        member of a container is closed as its container is, unless it has an access of its own. The blobs of
        `pictures` are stored already.

        Raises:
            NotFoundError: no such knowledge base.
            ConflictError: the vectors are of another embedder or size, or a chunk id or ordinal is doubled.
            InputError: chunks and vectors differ in number, a text holds NUL, there is no source text, or an attribute
                cannot be stored.
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
                **_closed(c, base.seq, document, old),
            )
            _write_row(c, base.seq, stored, new=old is None)
            _write_version(c, stored, pictures)
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
            if row is not None and row.version:
                values = {"status": DocumentStatus.FAILED.value, "error": error, "updated_at": time.time()}
                c.execute(update(t.documents).where(t.documents.c.id == row.id).values(**values))
                return self.document(row.id, conn=c)
            return _write_unread(c, base.seq, document, row, DocumentStatus.FAILED, error)

    def begin_document(self, document: Document, *, conn: Connection | None = None) -> None:
        """Record that the container `document` is being read, so that its members have where to belong.

        A source that was good keeps its last version and gets the stamp `UNFINISHED`; another gets a row of version 0
        that is being read.

        Raises:
            NotFoundError: no such knowledge base.
        """
        with self._db.writing(conn) as c:
            base = base_row(c, document.knowledge_base, lock=True)
            row = _by_source(c, base.seq, document.source)
            if row is not None and row.version:
                c.execute(update(t.documents).where(t.documents.c.id == row.id).values(stamp=UNFINISHED))
            else:
                _write_unread(c, base.seq, document, row, DocumentStatus.READING, None)

    def set_access(self, document: str, access: Access, *, conn: Connection | None = None) -> Document:
        """Say who may read a document (by id) from this commit on, and with it the members of a container.

        Raises:
            NotFoundError: no such document.
        """
        with self._db.writing(conn) as c:
            base, found = _placed(c, document)
            ids = [one.id for one in self._with_members(c, found)]
            number = class_of(c, base.seq, access)
            for one in ids:
                c.execute(update(t.documents).where(t.documents.c.id == one).values(access=number))
            _renew(c, base, ids, access=number)
            collect_classes(c, base.seq)
            return self.document(document, conn=c)

    def set_attributes(self, document: str, attributes: Attributes, *, conn: Connection | None = None) -> Document:
        """Replace the attributes of a document (by id), and with it of the members of a container.

        Raises:
            NotFoundError: no such document.
            InputError: they cannot be stored.
        """
        with self._db.writing(conn) as c:
            base, found = _placed(c, document)
            ids = [one.id for one in self._with_members(c, found)]
            values = {"attributes": checked(attributes, where=found.source)}
            for one in ids:
                c.execute(update(t.documents).where(t.documents.c.id == one).values(**values))
            _renew(c, base, ids)
            return self.document(document, conn=c)

    def set_stamps(self, stamps: Mapping[str, str], *, conn: Connection | None = None) -> None:
        """Give documents (by id) new stamps; ids that are not there are left out. No search sees a change."""
        with self._db.writing(conn) as c:
            for document, stamp in stamps.items():
                c.execute(update(t.documents).where(t.documents.c.id == document).values(stamp=stamp))

    def delete_document(self, document: str, *, asked: int | None = None, conn: Connection | None = None) -> None:
        """Delete a document (by id), and with it the members of a container: every version, chunk, word, vector and
        picture is gone at commit. `deleted_since` tells of it; where its source was found gone, from the revision
        `asked` at which it was asked what is there.

        Raises:
            NotFoundError: no such document.
        """
        with self._db.writing(conn) as c:
            base, found = _placed(c, document)
            gone = self._with_members(c, found)
            for one in gone:
                self._release(c, blobs_of(c, t.documents.c.id == one.id))
                remove_chunks(c, self._index, base.seq, one.id)
                forget(c, one.id)
                for table in (t.document_versions, t.pictures):
                    c.execute(delete(table).where(table.c.document == one.id))
                c.execute(delete(t.documents).where(t.documents.c.id == one.id))
            renew(c, base.seq, [one.id for one in gone])
            good = sum(one.version > 0 for one in gone)
            bump(c, base.seq, documents=-good, chunks=-sum(one.chunks for one in gone))
            mark(c, base.seq, found.source, base.revision + 1 if asked is None else asked)
            collect_classes(c, base.seq)

    def _with_members(self, conn: Connection, document: Document) -> list[Document]:
        """The document, the members of it as a container, their members, and so on."""
        found = {document.id: document}
        containers = self.containers(document.knowledge_base, conn=conn)
        waiting = [document]
        while waiting:
            container = waiting.pop().source
            if container not in containers:
                continue
            for member in self.members(document.knowledge_base, container, conn=conn):
                if member.id not in found:
                    found[member.id] = member
                    waiting.append(member)
        return [*found.values()]


def _placed(conn: Connection, document: str) -> tuple[Row[Any], Document]:
    """The locked row of the base of a document (by id), and the document.

    Raises:
        NotFoundError: no such document.
    """
    owner = conn.scalar(select(t.knowledge_bases.c.id).join(t.documents).where(t.documents.c.id == document))
    if owner is None:
        raise missing_document(document)
    # The base is locked first, as in a replacement, so that the two cannot wait for each other.
    base = base_row(conn, owner, lock=True)
    row = conn.execute(select_documents().where(t.documents.c.id == document)).one_or_none()
    if row is None:
        raise missing_document(document)
    return base, document_of(row)


def _by_source(conn: Connection, base: int, source: str) -> Document | None:
    query = select_documents().where(t.documents.c.base == base, t.documents.c.source == source)
    row = conn.execute(query).one_or_none()
    return None if row is None else document_of(row)


def _closed(conn: Connection, base: int, document: Document, old: Document | None) -> dict[str, Any]:
    """Access and attributes that `document` is stored with: what was closed is not opened by being read again."""
    if old is not None:
        return {"access": old.access, "attributes": document.attributes or old.attributes}
    access = document.access
    if access == OPEN and document.container is not None:
        container = _by_source(conn, base, document.container)
        access = OPEN if container is None else container.access
    return {"access": access, "attributes": document.attributes}


def _write_unread(
    conn: Connection, base: int, document: Document, row: Document | None, status: DocumentStatus, error: str | None
) -> Document:
    """A row of version 0, over `row` where there is one."""
    now = time.time()
    stored = replace(
        document,
        id=row.id if row else document.id,
        version=0,
        text_sha256=None,
        pages=(),
        status=status,
        error=error,
        chunks=0,
        created_at=row.created_at if row else now,
        updated_at=now,
        **_closed(conn, base, document, row),
    )
    _write_row(conn, base, stored, new=row is None)
    return stored


def _write_row(conn: Connection, base: int, document: Document, *, new: bool) -> None:
    ours = {"base", "words"}
    values = {column.name: getattr(document, column.name) for column in t.documents.c if column.name not in ours}
    values |= {"base": base, "pages": [*document.pages], "status": document.status.value}
    values["access"] = class_of(conn, base, document.access)
    values["attributes"] = checked(document.attributes, where=document.source)
    if new:
        conn.execute(insert(t.documents), values)
    else:
        conn.execute(update(t.documents).where(t.documents.c.id == document.id).values(**values))


def _write_version(conn: Connection, document: Document, pictures: Sequence[StoredPicture]) -> None:
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
    rows = [
        {"document": document.id, "version": document.version, "ordinal": ordinal, **asdict(picture)}
        for ordinal, picture in enumerate(pictures)
    ]
    if rows:
        conn.execute(insert(t.pictures), rows)


def _renew(conn: Connection, base: Row[Any], documents: Sequence[str], **values: Any) -> None:
    """Let the chunks of `documents` (by id) belong to the base's next revision, and give them `values`."""
    for document in documents:
        changed = update(t.chunks).where(t.chunks.c.document == document)
        conn.execute(changed.values(revision=base.revision + 1, **values))
    bump(conn, base.seq, documents=0, chunks=0)
