"""The schema's history. Alembic is imported only when a database is behind."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from athanor.errors import StoreError
from athanor.store.transactions import Database

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""Every revision, oldest first. The last one is what this code works with."""
HEAD = REVISIONS[-1]
_LOCK = 0x61746861  # "atha"


def ensure(database: Database) -> None:
    """Bring the schema to `HEAD`, in one transaction; do nothing but look where it is there.

    Raises:
        StoreError: the schema is newer than this code, or the database failed.
    """
    with database.read() as conn:
        if not _behind(conn, database):
            return
    with database.write() as conn:
        if database.dialect == "postgresql":
            conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        # Another process may have been faster.
        if _behind(conn, database):
            upgrade(conn)


def upgrade(conn: Connection, revision: str = "head") -> None:
    """Run the migrations up to `revision` inside the transaction of `conn`."""
    from alembic import command  # noqa: PLC0415 - a quarter of a second that a second start must not pay
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


def version(conn: Connection) -> str | None:
    """The schema's revision; `None` where there is no schema."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    found: str | None = conn.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _behind(conn: Connection, database: Database) -> bool:
    found = version(conn)
    if found is not None and found not in REVISIONS:
        raise StoreError(
            f"The store has schema {found}, and this Athanor knows none after {HEAD}.",
            where=database.where,
            hint="It was written by a newer version; install that one.",
        )
    return found != HEAD
