"""Knowledge bases: the rows that documents hang on."""

from __future__ import annotations

import builtins
import time
from collections.abc import Collection, Mapping, Sequence
from types import EllipsisType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, or_, select, update

from athanor.errors import ConflictError, NotFoundError
from athanor.store import tables as t
from athanor.store.access import rules_of, rules_row
from athanor.store.base import Repository, TextIndex
from athanor.store.blobs import Blobs, referenced
from athanor.store.transactions import Database, after_commit
from athanor.types import AccessRule, KnowledgeBase, RetrievalSettings, new_id

TOUCH_SECONDS = 60.0
"""The last use of a base is written this often at most."""
DAY_SECONDS = 86400.0


class Bases(Repository):
    """Create, find, rename and delete knowledge bases."""

    def __init__(self, database: Database, index: TextIndex, blobs: Blobs) -> None:
        super().__init__(database)
        self._index = index
        self._blobs = blobs

    def create(self, name: str, *, embedder: str, dimension: int, conn: Connection | None = None) -> KnowledgeBase:
        """A new, empty base that accepts vectors of `embedder` only.

        Raises:
            ConflictError: the name is taken.
        """
        with self._db.writing(conn) as c:
            if c.scalar(select(t.knowledge_bases.c.seq).where(t.knowledge_bases.c.name == name)) is not None:
                raise _taken(name)
            made = new_id("kb")
            row = {"id": made, "name": name, "embedder": embedder, "dimension": dimension}
            added = c.execute(
                insert(t.knowledge_bases).values(**row, created_at=time.time()).returning(t.knowledge_bases.c.seq)
            ).one()
            self._index.create(c, added.seq)
            return self.get(made, conn=c)

    def find(self, id_or_name: str, *, conn: Connection | None = None) -> KnowledgeBase | None:
        """The base with this id, else the one with this name, else `None`."""
        with self._db.reading(conn) as c:
            for column in (t.knowledge_bases.c.id, t.knowledge_bases.c.name):
                row = c.execute(_bases().where(column == id_or_name)).one_or_none()
                if row is not None:
                    return _base(row)
        return None

    def get(self, id_or_name: str, *, conn: Connection | None = None) -> KnowledgeBase:
        """Like `find`.

        Raises:
            NotFoundError: there is none.
        """
        found = self.find(id_or_name, conn=conn)
        if found is None:
            raise _missing(id_or_name)
        return found

    def list(self, *, conn: Connection | None = None) -> builtins.list[KnowledgeBase]:
        """All bases, by name."""
        with self._db.reading(conn) as c:
            return [_base(row) for row in c.execute(_bases().order_by(t.knowledge_bases.c.name))]

    def rename(self, knowledge_base: str, name: str, *, conn: Connection | None = None) -> KnowledgeBase:
        """Give the base (by id) another name.

        Raises:
            NotFoundError: no such base.
            ConflictError: the name is taken.
        """
        with self._db.writing(conn) as c:
            taken = c.scalar(select(t.knowledge_bases.c.id).where(t.knowledge_bases.c.name == name))
            if taken is not None and taken != knowledge_base:
                raise _taken(name)
            seq = base_row(c, knowledge_base, lock=True).seq
            c.execute(update(t.knowledge_bases).where(t.knowledge_bases.c.seq == seq).values(name=name))
            return self.get(knowledge_base, conn=c)

    def update(
        self,
        knowledge_base: str,
        *,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_after: int | EllipsisType | None = ...,
        conn: Connection | None = None,
    ) -> KnowledgeBase:
        """Change what is said of the base (by id); what is not given stays.

        Args:
            description: for people.
            metadata: the caller's own notes, in place of the old ones.
            expires_after: days after its last use on which it is deleted; `None` is never.

        Raises:
            NotFoundError: no such base.
        """
        values: dict[str, Any] = {}
        if description is not None:
            values["description"] = description
        if metadata is not None:
            values["metadata"] = dict(metadata)
        if not isinstance(expires_after, EllipsisType):
            values["expires_after"] = expires_after
        with self._db.writing(conn) as c:
            seq = base_row(c, knowledge_base, lock=True).seq
            if values:
                c.execute(update(t.knowledge_bases).where(t.knowledge_bases.c.seq == seq).values(**values))
            return self.get(knowledge_base, conn=c)

    def set_rules(
        self, knowledge_base: str, rules: Sequence[AccessRule], *, conn: Connection | None = None
    ) -> KnowledgeBase:
        """Replace the access rules of the base (by id). No document changes: see `set_access`.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.writing(conn) as c:
            seq = base_row(c, knowledge_base, lock=True).seq
            values = {"rules": rules_row(tuple(rules))}
            c.execute(update(t.knowledge_bases).where(t.knowledge_bases.c.seq == seq).values(**values))
            return self.get(knowledge_base, conn=c)

    def touch(self, knowledge_base: str, *, at: float | None = None) -> None:
        """Note that the base (by id) is used `at` (now). Within a minute of the last time this writes nothing, and a
        power failure may undo it; nothing where there is no such base."""
        now = time.time() if at is None else at
        columns = t.knowledge_bases.c
        stale = or_(columns.last_active_at.is_(None), columns.last_active_at < now - TOUCH_SECONDS)
        with self._db.read() as c:
            due = c.execute(select(columns.seq).where(columns.id == knowledge_base, stale)).one_or_none()
        if due is not None:
            with self._db.write(durable=False) as c:
                c.execute(update(t.knowledge_bases).where(columns.seq == due.seq, stale).values(last_active_at=now))

    def expired(self, *, at: float | None = None, conn: Connection | None = None) -> builtins.list[KnowledgeBase]:
        """The bases whose days are over `at` (now), counted from their last use or else their making."""
        now = time.time() if at is None else at
        columns = t.knowledge_bases.c
        ends = func.coalesce(columns.last_active_at, columns.created_at) + DAY_SECONDS * columns.expires_after
        query = _bases().where(columns.expires_after.is_not(None), ends <= now)
        with self._db.reading(conn) as c:
            return [_base(row) for row in c.execute(query.order_by(columns.name))]

    def delete(self, knowledge_base: str, *, conn: Connection | None = None) -> None:
        """Delete the base (by id) with all its documents, versions, chunks and vectors.

        Raises:
            NotFoundError: no such base.
        """
        with self._db.writing(conn) as c:
            base = base_row(c, knowledge_base, lock=True).seq
            owned = select(t.documents.c.id).where(t.documents.c.base == base)
            self._release(c, blobs_of(c, t.documents.c.base == base))
            self._index.drop(c, base)
            members = select(t.chunks.c.seq).where(t.chunks.c.base == base)
            c.execute(delete(t.vectors).where(t.vectors.c.chunk.in_(members)))
            c.execute(delete(t.chunks).where(t.chunks.c.base == base))
            for table in (t.signature_bands, t.signatures):
                c.execute(delete(table).where(table.c.base == base))
            for table in (t.document_versions, t.pictures):
                c.execute(delete(table).where(table.c.document.in_(owned)))
            c.execute(delete(t.documents).where(t.documents.c.base == base))
            for table in (
                t.access_classes,
                t.deletions,
                t.knowledge_versions,
                t.questions,
                t.evaluations,
                t.sync_sources,
            ):
                c.execute(delete(table).where(table.c.base == base))
            c.execute(delete(t.knowledge_bases).where(t.knowledge_bases.c.seq == base))

    def _release(self, conn: Connection, names: Collection[str]) -> None:
        """After the commit, remove those of the blobs `names` that no row keeps."""

        def hook() -> None:
            with self._db.read() as reader:
                kept = referenced(reader, names)
            for sha256 in set(names) - kept:
                self._blobs.discard(sha256)

        if names:
            after_commit(conn, hook)


def base_row(conn: Connection, knowledge_base: str, *, lock: bool = False) -> Row[Any]:
    """The row of the base with this id; `lock` keeps other writers of the base out until the commit.

    Raises:
        NotFoundError: no such base.
    """
    query = select(t.knowledge_bases).where(t.knowledge_bases.c.id == knowledge_base)
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise _missing(knowledge_base)
    return row


def bump(conn: Connection, base: int, *, documents: int, chunks: int) -> None:
    """One more revision of the base (by seq), and its new counts."""
    column = t.knowledge_bases.c
    conn.execute(
        update(t.knowledge_bases)
        .where(column.seq == base)
        .values(revision=column.revision + 1, documents=column.documents + documents, chunks=column.chunks + chunks)
    )


def blobs_of(conn: Connection, where: ColumnElement[bool]) -> set[str]:
    """The texts and pictures of every version of the documents with `where`."""
    owned = select(t.documents.c.id).where(where)
    texts = select(t.document_versions.c.text_sha256).where(t.document_versions.c.document.in_(owned))
    pictures = select(t.pictures.c.sha256).where(t.pictures.c.document.in_(owned))
    return {*conn.scalars(texts), *conn.scalars(pictures)}


def _bases() -> Select[Any]:
    """Bases with the settings of their version in use."""
    joined = t.knowledge_bases.outerjoin(
        t.knowledge_versions,
        (t.knowledge_versions.c.base == t.knowledge_bases.c.seq)
        & (t.knowledge_versions.c.version == t.knowledge_bases.c.version),
    )
    return select(*t.knowledge_bases.c, t.knowledge_versions.c.settings).select_from(joined)


def _base(row: Row[Any]) -> KnowledgeBase:
    values = row._asdict()
    del values["seq"], values["words"]
    values |= {"rules": rules_of(row.rules), "settings": RetrievalSettings(**(row.settings or {}))}
    return KnowledgeBase(**values)


def _missing(knowledge_base: str) -> NotFoundError:
    return NotFoundError(f"There is no knowledge base {knowledge_base!r}.", hint="'athanor kb list' shows them.")


def _taken(name: str) -> ConflictError:
    return ConflictError(f"A knowledge base named {name!r} exists.", hint="Choose another name.")
