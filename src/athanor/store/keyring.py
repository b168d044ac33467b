"""The data keys: random, in the database, wrapped by the master key.

Two purposes: keys for `fields` are changed by rotation, and the one for `secrets`, from which `Cipher.secret` derives,
stays for good. Every key's row says whether all content is sealed (`whole`); purpose, id and that word are
authenticated by the wrapping, so that who can write the database cannot make a store accept plain values.
"""

from __future__ import annotations

import binascii
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from athanor.errors import AthanorError, EncryptionError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.data_keys import DataKey, KeyInfo, found_master, info_of
from athanor.store.master import MasterKey, MasterSource
from athanor.store.sealed import SEALED
from athanor.store.transactions import Database

log = logging.getLogger(__name__)

FIELDS, SECRETS = "fields", "secrets"
_REFRESH_SECONDS = 60.0
"""After so long a process asks again which key is active, so that it follows a rotation by another."""
RETIRED_SECONDS = 3600.0
"""A key that no row uses is kept for so long after it was retired: a process may still be sealing with it."""
_KEYS = select(t.data_keys).order_by(t.data_keys.c.created_at, t.data_keys.c.id)
_NO_KEY = "The store was opened without its master key."


@dataclass(frozen=True, slots=True, repr=False)
class _State:
    active: DataKey
    keys: dict[str, DataKey]
    root: bytes
    whole: bool
    at: float


class KeyRing(Repository):
    """Holds the unwrapped keys of one store. Threads share one."""

    def __init__(self, database: Database) -> None:
        """Without keys, until `unlock`."""
        super().__init__(database)
        self._lock = threading.Lock()
        self._source: MasterSource | MasterKey | None = None
        self._master: MasterKey | None = None
        self._content = True
        self._state: _State | None = None
        self._locked: bool | None = None

    @property
    def sealing(self) -> bool:
        """Is content to be sealed.

        Raises:
            EncryptionError: it is, and the master key is missing.
        """
        if self._state is not None:
            return self._content
        if self._locked is None:
            self._locked = bool(self.infos())
        if self._locked:
            raise EncryptionError(_NO_KEY, hint="Open it with the settings that it is served with.")
        return False

    @property
    def whole(self) -> bool:
        """Is all content sealed, so that a plain value is a forgery."""
        return self._state is not None and self._state.whole

    @property
    def master(self) -> MasterKey | None:
        """What the keys were unwrapped by."""
        return self._master

    def unlock(self, source: MasterSource | MasterKey, *, content: bool = True) -> None:
        """Unwrap the keys; make them, and the master key, where there are none yet.

        Args:
            content: seal contents that are written from now on. Off, only secrets are sealed.

        Raises:
            EncryptionError: no master key, the wrong one, or a key's row was changed.
        """
        infos = self.infos()
        self._source = source
        self._master = found_master(source, infos)
        self._content = content
        if not infos:
            with self._db.write() as conn:
                if not self.infos(conn=conn):  # another process may have been faster
                    self._make(conn, SECRETS, whole=False)
                    self._make(conn, FIELDS, whole=content and not _any_content(conn))
        self._load()
        if self.whole and not content:
            self.set_whole(whole=False)

    def active(self) -> DataKey:
        """The key to seal with.

        Raises:
            EncryptionError: the store was opened without its master key.
        """
        state = self._state
        if state is None:
            raise EncryptionError(_NO_KEY, hint="Open it with the settings that it is served with.")
        if time.monotonic() - state.at > _REFRESH_SECONDS:
            state = self._load()
        return state.active

    def get(self, id_: str, *, where: str) -> DataKey:
        """The key with this id.

        Raises:
            EncryptionError: there is none, or the store was opened without its master key.
        """
        state = self._state
        if state is None:
            raise EncryptionError(_NO_KEY, where=where, hint="Open it with the settings that it is served with.")
        if id_ not in state.keys:  # another process may have made it
            state = self._load()
        if id_ not in state.keys:
            raise EncryptionError(
                f"The data key {id_!r} is not in this database.",
                where=where,
                hint="The value was sealed for another database, or the table `data_keys` was not restored with it.",
            )
        return state.keys[id_]

    def secret(self, purpose: str) -> bytes:
        """32 bytes for `purpose`, by HMAC-SHA-256 under the key for secrets.

        Raises:
            EncryptionError: the store was opened without its master key.
        """
        self.active()
        assert self._state is not None
        return hmac.digest(self._state.root, f"athanor secret\0{purpose}".encode(), "sha256")

    def infos(self, *, conn: Connection | None = None) -> list[KeyInfo]:
        """What there is, oldest first. Needs no master key."""
        with self._db.reading(conn) as c:
            return [info_of(row) for row in c.execute(_KEYS)]

    def renew(self, *, conn: Connection) -> str:
        """Make a new key for fields and retire those before it; its id. `reload` after the commit."""
        columns = t.data_keys.c
        whole = self.whole
        conn.execute(
            update(t.data_keys)
            .where(columns.purpose == FIELDS, columns.retired_at.is_(None))
            .values(retired_at=time.time())
        )
        return self._make(conn, FIELDS, whole=whole)

    def drop(self, ids: list[str], *, conn: Connection) -> None:
        """Delete retired keys for good. What they sealed can never be read again."""
        columns = t.data_keys.c
        conn.execute(delete(t.data_keys).where(columns.id.in_(ids), columns.retired_at.is_not(None)))

    def rewrap(self, master: MasterKey) -> int:
        """Wrap all keys by another master key, in one transaction; how many."""
        with self._db.write() as conn:
            rows = conn.execute(select(t.data_keys)).all()
            for row in rows:
                self._store(conn, row, self._unwrapped(row), master=master, whole=row.whole)
        self._master = master
        self._load()
        return len(rows)

    def set_whole(self, *, whole: bool) -> None:
        """Say whether all content is sealed now."""
        assert self._master is not None
        with self._db.write() as conn:
            for row in conn.execute(select(t.data_keys).where(t.data_keys.c.purpose == FIELDS)).all():
                self._store(conn, row, self._unwrapped(row), master=self._master, whole=whole)
        self._load()

    def reload(self) -> None:
        """Read the keys again."""
        self._load()

    def _make(self, conn: Connection, purpose: str, *, whole: bool) -> str:
        assert self._master is not None
        id_ = secrets.token_hex(5)
        wrapped = self._master.wrap(secrets.token_bytes(32), _about(id_, purpose, whole))
        values: dict[str, Any] = {"id": id_, "purpose": purpose, "master": self._master.id, "whole": whole}
        conn.execute(insert(t.data_keys).values(**values, wrapped=_text(wrapped), created_at=time.time()))
        return id_

    def _store(self, conn: Connection, row: Row[Any], key: bytes, *, master: MasterKey, whole: bool) -> None:
        wrapped = _text(master.wrap(key, _about(row.id, row.purpose, whole)))
        changed = update(t.data_keys).where(t.data_keys.c.id == row.id)
        conn.execute(changed.values(wrapped=wrapped, master=master.id, whole=whole))

    def _unwrapped(self, row: Row[Any]) -> bytes:
        assert self._master is not None
        return self._master.unwrap(binascii.a2b_base64(row.wrapped), _about(row.id, row.purpose, row.whole))

    def _load(self) -> _State:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  start-up need not pay for it

        assert self._master is not None
        with self._lock:
            with self._db.read() as conn:
                rows = conn.execute(_KEYS).all()
            if rows and rows[-1].master != self._master.id and not self._follow(rows):
                assert self._state is not None
                self._state = replace(self._state, at=time.monotonic())
                return self._state
            raw = {row.id: self._unwrapped(row) for row in rows}
            keys = {row.id: DataKey(row.id, AESGCM(raw[row.id])) for row in rows if row.purpose == FIELDS}
            actives = [row for row in rows if row.purpose == FIELDS and row.retired_at is None]
            roots = [row for row in rows if row.purpose == SECRETS]
            if not actives or not roots:
                raise EncryptionError(
                    "The database has no data key in use.",
                    where="data_keys",
                    hint="Restore the table `data_keys` from the backup of this database.",
                )
            newest = actives[-1]
            self._state = _State(
                keys[newest.id], keys, raw[roots[0].id], self._content and bool(newest.whole), time.monotonic()
            )
            return self._state

    def _follow(self, rows: Sequence[Row[Any]]) -> bool:
        """Take the master key that another process changed to. Where it cannot be read, go on with what is unwrapped.

        Raises:
            EncryptionError: nothing was unwrapped yet.
        """
        try:
            assert self._source is not None
            self._master = found_master(self._source, [info_of(row) for row in rows])
        except AthanorError as error:
            if self._state is None:
                raise
            log.warning("the master key was changed, and this process goes on with the data keys it has: %s", error)
            return False
        return True


def _any_content(conn: Connection) -> bool:
    return any(conn.execute(select(fields.table).limit(1)).first() is not None for fields in SEALED)


def _about(id_: str, purpose: str, whole: object) -> bytes:
    return f"athanor data key\0{id_}\0{purpose}\0{int(bool(whole))}".encode()


def _text(wrapped: bytes) -> str:
    return binascii.b2a_base64(wrapped, newline=False).decode()
