"""How SQLite files are opened: pragmas, pools, and the refusal of a second SQLite library.

In WAL mode `synchronous = NORMAL` survives `kill -9` and loses the last commits with the power; FULL loses
nothing and costs an fsync. So it is chosen for each transaction (see design/store.md).
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection, create_engine, event
from sqlalchemy.pool import QueuePool

from athanor.errors import StoreError

MINIMUM = (3, 35, 0)
"""RETURNING arrived in 3.35 (March 2021)."""
BUSY_SECONDS = 30.0
"""How long a transaction waits for the writer of another process."""
_RIVALS = ("apsw", "pysqlite3", "pysqlcipher3", "sqlcipher3", "sqlean", "turso", "libsql_experimental")
_READERS = 4


def engines(url: URL) -> tuple[Engine, Engine]:
    """The writer's engine and the readers' engine of the file in `url`.

    Raises:
        StoreError: no file is named or it cannot be made, the library is too old, or a second one is loaded.
    """
    path = _file(url)
    _check_library()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # For its owner only, before there is anything in it; SQLite gives its -wal and -shm files the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"The store cannot be opened: {error}.", where=str(path)) from error
    return _engine(path, writer=True), _engine(path, writer=False)


def check_single_library() -> None:
    """Refuse to work beside another SQLite library.

    POSIX drops all locks of a process on a file when any of its descriptors is closed, and each library
    guards only its own: with two, a commit can destroy the database.

    Raises:
        StoreError: one of the known rivals of the standard library's `sqlite3` is imported.
    """
    loaded = sorted(set(_RIVALS) & set(sys.modules))
    if loaded:
        raise StoreError(
            f"A second SQLite library is loaded: {', '.join(loaded)}.",
            hint="Two libraries on one file lose its locks; do not import it in this process.",
        )


def set_durable(connection: Connection | PoolProxiedConnection, durable: bool) -> None:
    """Choose how the next transaction of `connection` is committed. Not inside one: SQLite would ignore it."""
    mode = "FULL" if durable else "NORMAL"
    if connection.info.get("synchronous") != mode:
        pooled = connection.connection if isinstance(connection, Connection) else connection
        raw = pooled.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.execute(f"PRAGMA synchronous = {mode}")
        connection.info["synchronous"] = mode


@contextmanager
def immediate(pooled: PoolProxiedConnection) -> Iterator[sqlite3.Connection]:
    """A write transaction of the driver's own connection: committed at exit, rolled back when the body raises."""
    raw = pooled.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    raw.execute("BEGIN IMMEDIATE")
    try:
        yield raw
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise


def _check_library() -> None:
    check_single_library()
    if sqlite3.sqlite_version_info < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise StoreError(
            f"SQLite {sqlite3.sqlite_version} is too old.", hint=f"Use a Python built on {wanted} or newer."
        )


def _file(url: URL) -> Path:
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise StoreError(f"{url.drivername!r} is not supported.", where="store.url", hint="Write sqlite:///path.")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StoreError("A store needs a file.", where="store.url", hint="Write sqlite:///path, without parameters.")
    return Path(url.database).expanduser().resolve()


def _engine(path: Path, *, writer: bool) -> Engine:
    def connect() -> sqlite3.Connection:
        # isolation_level=None: the module opens no transactions of its own, ours are explicit.
        raw = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("PRAGMA cache_size = -4096")
        if writer:
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute("PRAGMA journal_size_limit = 67108864")
            # What was deleted is overwritten, not left in free pages.
            raw.execute("PRAGMA secure_delete = ON")
        else:
            raw.execute("PRAGMA query_only = ON")
        return raw

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=1 if writer else _READERS,
        max_overflow=0 if writer else 2 * _READERS,
        pool_timeout=BUSY_SECONDS,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine
