"""Sealing what is there: after encryption was switched on, and when a key is changed.

The work's state is the rows themselves: a value is done when the key in use sealed it. So it can be cut off at any
moment and goes on where it was, and several processes may do it at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Text, and_, case, cast, func, or_, select, tuple_, update

from athanor.errors import EncryptionError
from athanor.store.base import Repository
from athanor.store.crypto import SEALED as MARK
from athanor.store.crypto import Cipher, key_of
from athanor.store.data_keys import KeyInfo
from athanor.store.keyring import FIELDS, RETIRED_SECONDS, KeyRing
from athanor.store.sealed import SEALED, SealedFields
from athanor.store.transactions import Database

PAGE = 200
"""Rows of one transaction."""
Progress = Callable[[int, int], None]
"""`progress(done, total)` in rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Values that are not empty, counted by what sealed them."""

    plain: Mapping[str, int] = field(default_factory=dict)
    """Table → plain values."""
    sealed: Mapping[str, int] = field(default_factory=dict)
    """Table → sealed values."""
    keys: Mapping[str, int] = field(default_factory=dict)
    """Data key → values that it sealed."""


class Resealing(Repository):
    """Brings all rows under the key in use."""

    def __init__(self, database: Database, cipher: Cipher, ring: KeyRing) -> None:
        super().__init__(database)
        self._cipher = cipher
        self._ring = ring

    def census(self, *, conn: Connection | None = None) -> Census:
        """What is sealed by which key. Reads every sealed table once; needs no master key."""
        plain: dict[str, int] = {}
        sealed: dict[str, int] = {}
        keys: dict[str, int] = {}
        with self._db.reading(conn) as c:
            for fields in SEALED:
                for name in fields.columns:
                    start = func.substr(_text(fields, name), 1, _length(fields, name)).label("start")
                    # Plain values all begin otherwise: they are one group.
                    group = case((func.substr(start, 1 + (name in fields.json), len(MARK)) == MARK, start), else_="")
                    query = select(group, func.count()).where(_text(fields, name) != "").group_by(group)
                    for found, count in c.execute(query):
                        key = key_of(found.strip('"'))
                        into = plain if key is None else sealed
                        into[fields.table.name] = into.get(fields.table.name, 0) + count
                        if key is not None:
                            keys[key] = keys.get(key, 0) + count
        return Census(plain=plain, sealed=sealed, keys=keys)

    def renew(self) -> str | None:
        """A new data key, which is in use from now on; `None` where the rotation before is not finished.

        Raises:
            EncryptionError: the store was opened without its master key.
        """
        active = self._ring.active().id
        if any(count for key, count in self.census().keys.items() if key != active):
            return None
        with self._db.write() as conn:
            made = self._ring.renew(conn=conn)
        self._ring.reload()
        return made

    def reseal(self, progress: Progress | None = None) -> int:
        """Seal every value by the key in use; how many rows were changed.

        Raises:
            EncryptionError: a value cannot be opened; what was done until then stays done.
        """
        active = self._ring.active().id
        total = sum(self._waiting(fields, active) for fields in SEALED)
        done = 0
        for fields in SEALED:
            for count in self._pages(fields, active):
                done += count
                if progress is not None:
                    progress(done, max(total, done))
        return done

    def settle(self, *, content: bool) -> list[KeyInfo]:
        """After `reseal`: refuse plain values from now on (with `content`), and drop keys that nobody needs.

        Returns:
            The retired keys that are still there: of rows, or too new to be dropped.
        """
        census = self.census()
        if content and not self._ring.whole and not any(census.plain.values()):
            self._ring.set_whole(whole=True)
        return self.prune(census)

    def prune(self, census: Census | None = None) -> list[KeyInfo]:
        """Drop retired keys that sealed no row, an hour after they were retired; the retired ones that are left."""
        retired = [key for key in self._ring.infos() if key.purpose == FIELDS and key.retired_at is not None]
        if not retired:
            return []
        used = (census or self.census()).keys
        now = time.time()
        old = [key for key in retired if not used.get(key.id) and now - (key.retired_at or now) >= RETIRED_SECONDS]
        if old:
            with self._db.write() as conn:
                self._ring.drop([key.id for key in old], conn=conn)
        return [key for key in retired if key not in old]

    def verify(self) -> Iterator[str]:
        """Open every sealed value; one line for each that does not open."""
        for fields in SEALED:
            with self._db.read() as conn:
                query = select(*_columns(fields))
                for row in conn.execute(query, execution_options={"yield_per": PAGE}):
                    for name in fields.columns:
                        try:
                            fields.open(self._cipher, row, name)
                        except EncryptionError as error:
                            yield f"{error.message} [{error.where}]"

    def _waiting(self, fields: SealedFields, active: str) -> int:
        with self._db.read() as conn:
            query = select(func.count()).select_from(fields.table).where(self._undone(fields, active))
            return conn.scalar(query) or 0

    def _pages(self, fields: SealedFields, active: str) -> Iterator[int]:
        keys = list(fields.table.primary_key)
        last: tuple[Any, ...] | None = None
        while True:
            query = select(*_columns(fields)).where(self._undone(fields, active)).order_by(*keys).limit(PAGE)
            if last is not None:
                query = query.where(tuple_(*keys) > tuple_(*last))
            with self._db.write() as conn:
                rows = conn.execute(query.with_for_update()).all()
                for row in rows:
                    self._change(conn, fields, row)
            if not rows:
                return
            last = tuple(getattr(rows[-1], key.name) for key in keys)
            yield len(rows)

    def _change(self, conn: Connection, fields: SealedFields, row: Row[Any]) -> None:
        values: dict[str, Any] = {}
        for name in fields.columns:
            plain, place = fields.open(self._cipher, row, name), fields.place(row, name)
            if name in fields.json:
                values[name] = self._cipher.seal_json(plain, *place)
            elif fields.secret:
                values[name] = self._cipher.seal(plain, *place) if plain else plain
            else:
                values[name] = self._cipher.seal_content(plain, *place)
        same = and_(*(key == getattr(row, key.name) for key in fields.table.primary_key))
        conn.execute(update(fields.table).where(same).values(**values))

    def _undone(self, fields: SealedFields, active: str) -> ColumnElement[bool]:
        """Rows with a value that is not empty and that the key in use did not seal."""
        start = f"{MARK}{active}:"
        return or_(
            *(
                and_(
                    _text(fields, name) != "",
                    func.substr(_text(fields, name), 1 + (name in fields.json), len(start)) != start,
                )
                for name in fields.columns
            )
        )


def _columns(fields: SealedFields) -> list[Any]:
    names = dict.fromkeys([*(key.name for key in fields.table.primary_key), *fields.row, *fields.columns])
    return [fields.table.c[name] for name in names]


def _text(fields: SealedFields, name: str) -> ColumnElement[str]:
    """The column as text; a string in a column of JSON has its quotes."""
    column = fields.table.c[name]
    return cast(column, Text) if name in fields.json else column


def _length(fields: SealedFields, name: str) -> int:
    """Characters of the beginning of a value that hold its key."""
    return len(MARK) + 10 + 1 + (name in fields.json)
