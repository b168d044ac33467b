"""What pseudonyms stand for, conversation by conversation. Values are sealed, whatever the settings say of contents."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select, update

from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.crypto import Cipher
from athanor.store.transactions import Database


class Vaults(Repository):
    """Pseudonyms by vault: one for each conversation of a principal."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        super().__init__(database)
        self._cipher = cipher

    def get(self, vault: str, *, conn: Connection | None = None) -> dict[str, str]:
        """Pseudonym → value, in the order in which they were made.

        Raises:
            EncryptionError: the key is missing, or what is stored was changed.
        """
        column = t.pseudonyms.c
        query = select(column.pseudonym, column.value).where(column.vault == vault)
        with self._db.reading(conn) as c:
            rows = c.execute(query.order_by(column.at, column.pseudonym)).all()
        return {row.pseudonym: self._cipher.open(row.value, *_place(vault, row.pseudonym)) for row in rows}

    def use(self, vault: str) -> dict[str, str]:
        """The same, and the vault's time begins anew. Raises as `get`."""
        found = self.get(vault)
        if found:
            with self._db.writing(None) as c:
                c.execute(update(t.pseudonyms).where(t.pseudonyms.c.vault == vault).values(used_at=time.time()))
        return found

    def add(self, vault: str, *, principal: str, values: Mapping[str, str], conn: Connection | None = None) -> None:
        """Keep pseudonyms with their values, for the vault's time from now on.

        Raises:
            ConflictError: one of them stands for something already; nothing is kept.
            EncryptionError: the store was opened without its master key.
        """
        now = time.time()
        rows = [
            {
                "vault": vault,
                "pseudonym": name,
                "principal": principal,
                "value": self._cipher.seal(value, *_place(vault, name)),
                "at": now,
                "used_at": now,
            }
            for name, value in values.items()
        ]
        column = t.pseudonyms.c
        with self._db.writing(conn) as c:
            c.execute(update(t.pseudonyms).where(column.vault == vault).values(used_at=now))
            if rows:
                c.execute(insert(t.pseudonyms), rows)

    def forget(self, *, principal: str, conn: Connection | None = None) -> int:
        """Delete everything of a principal's conversations; how many rows that were."""
        with self._db.writing(conn) as c:
            return c.execute(delete(t.pseudonyms).where(t.pseudonyms.c.principal == principal)).rowcount

    def expire(self, before: float, *, limit: int, conn: Connection | None = None) -> int:
        """Delete vaults that were last written to before a time in Unix seconds, some `limit` rows at once; how many
        rows went."""
        column = t.pseudonyms.c
        with self._db.writing(conn) as c:
            old = c.scalars(select(column.vault).where(column.used_at < before).limit(limit)).all()
            if not old:
                return 0
            return c.execute(delete(t.pseudonyms).where(column.vault.in_(set(old)), column.used_at < before)).rowcount


def _place(vault: str, name: str) -> tuple[str, str, str]:
    """As the cipher calls it; see `sealed.SEALED`."""
    return "pseudonyms", f"{vault}/{name}", "value"
