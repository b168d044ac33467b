"""API keys as they are stored: a hash, a hint, and how long they hold."""

from __future__ import annotations

import builtins
import time
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from athanor.errors import NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.principals import WITH_TEAM, principal_of
from athanor.store.teams import limits_of, limits_row
from athanor.types import ApiKey, Principal, Scopes

_KEY = [column for column in t.keys.c if column.name != "hash"]


class Keys(Repository):
    """API keys. Nothing here ever sees a secret."""

    def insert(self, key: ApiKey, hash_: str, *, conn: Connection | None = None) -> None:
        """Store `key`, found from now on by the hash of its secret.

        Raises:
            ConflictError: the principal does not exist, or the hash does.
        """
        values = {column.name: getattr(key, column.name) for column in _KEY}
        values |= {"scopes": scopes_row(key.scopes), "limits": limits_row(key.limits)}
        with self._db.writing(conn) as c:
            c.execute(insert(t.keys), values | {"hash": hash_})

    def by_hash(self, hash_: str, *, conn: Connection | None = None) -> tuple[ApiKey, Principal] | None:
        """The key with this hash and its principal, expired and revoked keys included."""
        with self._db.reading(conn) as c:
            row = c.execute(select(*_KEY).where(t.keys.c.hash == hash_)).one_or_none()
            if row is None:
                return None
            owner = c.execute(WITH_TEAM.where(t.principals.c.id == row.principal)).one()
        return _key(row), principal_of(owner)

    def get(self, key: str, *, conn: Connection | None = None) -> ApiKey:
        """The key with this id.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.reading(conn) as c:
            row = c.execute(select(*_KEY).where(t.keys.c.id == key)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no key {key!r}.", hint="'athanor keys list' shows them.")
        return _key(row)

    def list(self, *, principal: str | None = None, conn: Connection | None = None) -> builtins.list[ApiKey]:
        """All keys, or those of one principal (by id), oldest first."""
        query = select(*_KEY).order_by(t.keys.c.id)
        if principal is not None:
            query = query.where(t.keys.c.principal == principal)
        with self._db.reading(conn) as c:
            return [_key(row) for row in c.execute(query)]

    def change(self, key: ApiKey, *, conn: Connection | None = None) -> ApiKey:
        """Replace the name, end, scopes, limits, recording and successor of a key.

        Raises:
            NotFoundError: there is none with its id.
        """
        values = {name: getattr(key, name) for name in ("name", "expires_at", "record_content", "replaced_by")}
        values |= {"scopes": scopes_row(key.scopes), "limits": limits_row(key.limits)}
        with self._db.writing(conn) as c:
            c.execute(update(t.keys).where(t.keys.c.id == key.id).values(values))
            return self.get(key.id, conn=c)

    def revoke(self, key: str, *, conn: Connection | None = None) -> ApiKey:
        """Revoke a key (by id) from now on. A key that is revoked already keeps its time.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.writing(conn) as c:
            c.execute(
                update(t.keys).where(t.keys.c.id == key, t.keys.c.revoked_at.is_(None)).values(revoked_at=time.time())
            )
            return self.get(key, conn=c)


def scopes_row(scopes: Scopes) -> dict[str, Any]:
    """Scopes as JSON, without those that are open."""
    return {name: list(value) for name, value in asdict(scopes).items() if value is not None}


def _key(row: Row[Any]) -> ApiKey:
    values = row._asdict()
    scopes = {name: tuple(value) for name, value in (values.pop("scopes") or {}).items()}
    return ApiKey(**values | {"scopes": Scopes(**scopes), "limits": limits_of(values["limits"])})
