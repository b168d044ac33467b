"""Connections and transactions for one database URL: who may write when, and how errors leave.

SQLite: one writer connection behind a lock, every write transaction opened with BEGIN IMMEDIATE, so that it
waits for other processes at its start and never fails half-way; readers come from a pool and are refused
writes by SQLite itself. PostgreSQL: one pool; writers run READ COMMITTED and lock the rows they compute
from, readers get one REPEATABLE READ snapshot.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from athanor.errors import AthanorError, ConflictError, StoreError
from athanor.store import postgresql, sqlite
from athanor.store.append import Appender

_AFTER_COMMIT = "athanor_after_commit"
_URLS = "Use sqlite:////absolute/file or postgresql+psycopg://user@host/name."


class Database:
    """Engines of one database. Threads share it; processes each open their own."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet.

        Raises:
            StoreError: the URL is not one of SQLite (a file) or PostgreSQL.
        """
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise StoreError("This is not the URL of a store.", where="store.url", hint=_URLS) from error
        self.where = parsed.render_as_string(hide_password=True)
        self._writing = threading.Lock()
        self._owner: int | None = None
        match parsed.get_backend_name():
            case "sqlite":
                self.dialect = "sqlite"
                self._writer, self._reader = sqlite.engines(parsed)
            case "postgresql":
                self.dialect = "postgresql"
                self._writer, self._reader = postgresql.engines(parsed)
            case other:
                raise StoreError(f"There is no store on {other!r}.", where="store.url", hint=_URLS)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """One transaction: committed at exit, rolled back when the body raises.

        Args:
            durable: survive a power failure, not only `kill -9`. False spares SQLite one fsync; whatever is
                durable later makes it durable too. PostgreSQL decides for itself.

        Raises:
            ConflictError: a constraint refused a row.
            StoreError: the database failed, or this thread already writes (pass `conn=` instead).
        """
        with self._turn(), self.translated():
            with self._writer.connect() as connection, self._begun(connection, durable):
                hooks: list[Callable[[], None]] = []
                connection.info[_AFTER_COMMIT] = hooks
                yield connection
            for hook in hooks:
                hook()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One read-only snapshot: everything read inside belongs to the same commit.

        Raises:
            StoreError: the database failed, or the body tried to write.
        """
        with self.translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, conn: Connection | None) -> Iterator[Connection]:
        """`conn` where the caller has a transaction open, or one of its own."""
        if conn is not None:
            yield conn
        else:
            with self.write() as own:
                yield own

    @contextmanager
    def reading(self, conn: Connection | None) -> Iterator[Connection]:
        """`conn` where the caller has a transaction open, or a snapshot of its own."""
        if conn is not None:
            yield conn
        else:
            with self.read() as own:
                yield own

    @contextmanager
    def appending(self, appender: Appender | None = None, *, durable: bool = True) -> Iterator[Appender]:
        """`appender` where the caller has one, or one with a transaction of its own; `durable` as in `write`.

        On SQLite it bypasses SQLAlchemy, whose connection, transaction and statements cost twice what the commit does.

        Raises:
            ConflictError: a constraint refused a row.
            StoreError: the database failed, or this thread already writes.
        """
        if appender is not None:
            yield appender
        elif self.dialect != "sqlite":
            with self.write(durable=durable) as conn:
                yield Appender.of(conn)
        else:
            with self._turn(), self.translated():
                pooled = self._writer.raw_connection()
                try:
                    sqlite.set_durable(pooled, durable)
                    with sqlite.immediate(pooled) as raw:
                        yield Appender.raw(raw)
                finally:
                    pooled.close()

    def close(self) -> None:
        """Close every connection. Those in use are closed when they are given back."""
        self._reader.dispose()
        self._writer.dispose()

    @property
    def engines(self) -> tuple[Engine, Engine]:
        """The writer's and the readers' engine, for tests and measurements."""
        return self._writer, self._reader

    @contextmanager
    def _begun(self, connection: Connection, durable: bool) -> Iterator[None]:
        if self.dialect == "sqlite":
            sqlite.set_durable(connection, durable)
        with connection.begin():
            yield

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self.dialect != "sqlite":
            yield
            return
        me = threading.get_ident()
        if self._owner == me:
            raise StoreError("This thread already has a write transaction open.", hint="Pass conn= to the inner call.")
        with self._writing:
            self._owner = me
            try:
                yield
            finally:
                self._owner = None

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Let the database's errors leave as ours: ConflictError for a constraint, StoreError for the rest."""
        try:
            yield
        except AthanorError:
            raise
        except IntegrityError as error:
            if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_TRIGGER":
                raise StoreError(f"The database refused: {_reason(error)}.", where=self.where) from error
            raise ConflictError(f"The database refused a row: {_reason(error)}.", where=self.where) from error
        except sqlite3.IntegrityError as error:  # rows that went to the driver itself
            raise ConflictError(f"The database refused a row: {error}.", where=self.where) from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError(f"The database failed: {_reason(error)}.", where=self.where, hint=_hint(error)) from error


def after_commit(conn: Connection, hook: Callable[[], None]) -> None:
    """Run `hook` once the transaction of `conn` is on disk; never when it rolls back."""
    conn.info[_AFTER_COMMIT].append(hook)


def drop_hooks(conn: Connection, keep: int) -> None:
    """Forget hooks beyond the first `keep`: their savepoint was rolled back."""
    del conn.info[_AFTER_COMMIT][keep:]


def count_hooks(conn: Connection) -> int:
    """How many hooks wait for the commit of `conn`."""
    return len(conn.info[_AFTER_COMMIT])


def _reason(error: Exception) -> str:
    original = getattr(error, "orig", None)
    text = str(original or error).strip()
    return (text.splitlines() or [type(error).__name__])[0].rstrip(".")


def _hint(error: Exception) -> str | None:
    text = str(error)
    if "database is locked" in text:
        return "Another process held the write lock for too long; stop it or wait."
    if "disk is full" in text or "No space left" in text:
        return "Free some space on the disk that holds the state folder."
    if "malformed" in text or "not a database" in text:
        return "The file is damaged; restore it from a backup."
    return None
