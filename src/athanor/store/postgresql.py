"""How PostgreSQL is reached: psycopg 3, one pool, a snapshot for readers."""

from __future__ import annotations

from sqlalchemy import URL, Engine, create_engine

from athanor.errors import StoreError
from athanor.plugins import require


def engines(url: URL) -> tuple[Engine, Engine]:
    """The writers' engine and the readers' engine; they share one pool.

    Raises:
        MissingExtraError: psycopg is not installed.
        StoreError: the URL names another driver.
    """
    if url.drivername not in {"postgresql", "postgresql+psycopg"}:
        raise StoreError(
            f"{url.drivername!r} is not supported.", where="store.url", hint="Write postgresql+psycopg://…."
        )
    require("psycopg", extra="postgres")
    writer = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        pool_size=4,
        max_overflow=8,
        pool_pre_ping=True,
        connect_args={"application_name": "athanor"},
    )
    reader = writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return writer, reader
