"""Uploaded files; their bytes are blobs."""

from __future__ import annotations

import builtins
import time

from sqlalchemy import Connection, delete, insert, select

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.blobs import Blobs, referenced
from athanor.store.transactions import Database, after_commit
from athanor.types import File


class Files(Repository):
    """What was uploaded, by whom and for what."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        super().__init__(database)
        self._blobs = blobs

    def insert(self, file: File, *, conn: Connection | None = None) -> None:
        """Record a file whose blob is stored already.

        Raises:
            ConflictError: the id is taken.
        """
        with self._db.writing(conn) as c:
            c.execute(insert(t.files), {column.name: getattr(file, column.name) for column in t.files.c})

    def get(self, file: str, *, conn: Connection | None = None) -> File:
        """The file with this id.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.reading(conn) as c:
            row = c.execute(select(t.files).where(t.files.c.id == file)).one_or_none()
        if row is None:
            raise _missing(file)
        return File(**row._asdict())

    def list(
        self,
        *,
        principal: str | None = None,
        purpose: str | None = None,
        limit: int = 100,
        before: str | None = None,
        conn: Connection | None = None,
    ) -> builtins.list[File]:
        """Files, newest first; `before` is the last id of the page before."""
        query = select(t.files).order_by(t.files.c.id.desc()).limit(limit)
        if principal is not None:
            query = query.where(t.files.c.principal == principal)
        if purpose is not None:
            query = query.where(t.files.c.purpose == purpose)
        if before is not None:
            query = query.where(t.files.c.id < before)
        with self._db.reading(conn) as c:
            return [File(**row._asdict()) for row in c.execute(query)]

    def expired(self, *, at: float | None = None, conn: Connection | None = None) -> builtins.list[File]:
        """The files whose time is over `at` (now), the oldest end first."""
        now = time.time() if at is None else at
        query = select(t.files).where(t.files.c.expires_at <= now).order_by(t.files.c.expires_at, t.files.c.id)
        with self._db.reading(conn) as c:
            return [File(**row._asdict()) for row in c.execute(query)]

    def delete(self, file: str, *, conn: Connection | None = None) -> None:
        """Forget a file (by id). Its blob goes after the commit, unless something else refers to it.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.writing(conn) as c:
            sha256 = c.scalar(delete(t.files).where(t.files.c.id == file).returning(t.files.c.sha256))
            if sha256 is None:
                raise _missing(file)
            after_commit(c, lambda: self._release(sha256))

    def _release(self, sha256: str) -> None:
        with self._db.read() as reader:
            kept = referenced(reader, [sha256])
        if not kept:
            self._blobs.discard(sha256)


def _missing(file: str) -> NotFoundError:
    return NotFoundError(f"There is no file {file!r}.")
