"""The audit chain: append-only, each entry's hash covers the entry and the hash before it.

Triggers refuse changes, and `verify` finds those made around them. The chain alone cannot show that its newest
entries were cut off, or that all of it was made anew: for that, `head()` is noted elsewhere (see `observe.anchors`, and
`athanor audit head`) and compared.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text

from athanor.errors import InputError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.types import AuditEntry

GENESIS = "0" * 64
"""What the first entry follows."""


class Audit(Repository):
    """Appends and reads the chain; there is no way to change it."""

    def append(
        self,
        *,
        principal: str,
        action: str,
        subject: str,
        details: Mapping[str, Any] | None = None,
        conn: Connection | None = None,
    ) -> AuditEntry:
        """Add an entry. With `conn=` it commits together with what it tells of.

        Raises:
            InputError: `details` are not JSON.
        """
        try:
            written = json.loads(_canonical(dict(details or {})))
        except (TypeError, ValueError) as error:
            raise InputError(f"The details of an audit entry must be JSON: {error}.", where=action) from error
        with self._db.writing(conn) as c:
            if self._db.dialect == "postgresql":
                # One appender at a time until the commit; readers go on. SQLite has one writer anyway.
                c.execute(text("LOCK TABLE audit IN EXCLUSIVE MODE"))
            sequence, previous = _head(c)
            values = {
                "sequence": sequence + 1,
                "at": time.time(),
                "principal": principal,
                "action": action,
                "subject": subject,
                "details": written,
                "previous": previous,
            }
            entry = AuditEntry(**values, hash=entry_hash(values))
            c.execute(insert(t.audit), {**values, "details": _canonical(written), "hash": entry.hash})
        return entry

    def entries(
        self,
        *,
        action: str | None = None,
        limit: int = 100,
        before: int | None = None,
        conn: Connection | None = None,
    ) -> list[AuditEntry]:
        """Entries, newest first; `before` is the last sequence of the page before."""
        query = select(t.audit).order_by(t.audit.c.sequence.desc()).limit(limit)
        if action is not None:
            query = query.where(t.audit.c.action == action)
        if before is not None:
            query = query.where(t.audit.c.sequence < before)
        with self._db.reading(conn) as c:
            return [_entry(row) for row in c.execute(query)]

    def head(self, *, conn: Connection | None = None) -> tuple[int, str]:
        """Sequence and hash of the newest entry; (0, `GENESIS`) of an empty chain."""
        with self._db.reading(conn) as c:
            return _head(c)

    def verify(self, *, heads: Mapping[int, str] | None = None, conn: Connection | None = None) -> list[str]:
        """One line for each place where the chain is broken; empty when it is whole.

        Args:
            heads: sequence → hash of entries that were the newest once, as they were noted elsewhere (see `head`):
                a chain that was cut behind one of them, or made anew, does not have it.
        """
        noted = dict(heads or {})
        problems = []
        sequence, previous = 0, GENESIS
        with self._db.reading(conn) as c:
            query = select(t.audit).order_by(t.audit.c.sequence)
            for row in c.execute(query, execution_options={"yield_per": 1000}):
                if row.sequence != sequence + 1:
                    problems.append(f"Entries {sequence + 1} to {row.sequence - 1} are missing.")
                if row.previous != previous:
                    problems.append(f"Entry {row.sequence} does not follow the entry before it.")
                if not _sound(row):
                    problems.append(f"Entry {row.sequence} was changed.")
                if noted.pop(row.sequence, row.hash) != row.hash:
                    problems.append(f"Entry {row.sequence} is not the one that was noted when it was the newest.")
                sequence, previous = row.sequence, row.hash
        if last := max(noted, default=0):
            problems.append(f"The chain ends at entry {sequence}, and entry {last} was noted: its end was cut off.")
        return problems


def entry_hash(values: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of an entry: all its fields but `hash`, `details` as an object."""
    return hashlib.sha256(_canonical(values).encode()).hexdigest()


def _canonical(value: Any) -> str:
    # ensure_ascii keeps lone surrogates and NUL out of the column.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _head(conn: Connection) -> tuple[int, str]:
    row = conn.execute(
        select(t.audit.c.sequence, t.audit.c.hash).order_by(t.audit.c.sequence.desc()).limit(1)
    ).one_or_none()
    return (0, GENESIS) if row is None else (row.sequence, row.hash)


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(**{**row._asdict(), "details": json.loads(row.details)})


def _sound(row: Row[Any]) -> bool:
    try:
        values = {**row._asdict(), "details": json.loads(row.details)}
    except ValueError:
        return False
    # The very characters: JSON can write one text in two ways.
    return _canonical(values["details"]) == row.details and bool(values.pop("hash") == entry_hash(values))
