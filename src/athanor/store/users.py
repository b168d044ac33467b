"""Principals who sign in: their password's hash, the provider that vouches for them, and whether they still may."""

from __future__ import annotations

import builtins
import time
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from athanor.errors import ConflictError, NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.principals import WITH_TEAM, principal_of
from athanor.types import User

_USERS = WITH_TEAM.add_columns(
    t.users.c.password.is_not(None).label("has_password"),
    t.users.c.issuer,
    t.users.c.subject,
    t.users.c.created_at.label("user_created_at"),
    t.users.c.changed_at,
    t.users.c.disabled_at,
).join(t.users, t.users.c.principal == t.principals.c.id)


class Users(Repository):
    """People who sign in. Nothing here ever sees a password."""

    def create(
        self,
        principal: str,
        *,
        password: str | None = None,
        issuer: str | None = None,
        subject: str | None = None,
        conn: Connection | None = None,
    ) -> User:
        """Let a principal (by id) sign in.

        Args:
            password: its hash.

        Raises:
            ConflictError: they may already.
        """
        now = time.time()
        values = {"principal": principal, "password": password, "issuer": issuer, "subject": subject}
        with self._db.writing(conn) as c:
            if c.scalar(select(t.users.c.principal).where(t.users.c.principal == principal)) is not None:
                raise ConflictError(
                    "They sign in already.", where=principal, hint="'athanor users password' changes it."
                )
            changed = None if password is None else now
            c.execute(insert(t.users), {**values, "created_at": now, "changed_at": changed})
            return self.get(principal, conn=c)

    def find(self, id_or_name: str, *, conn: Connection | None = None) -> User | None:
        """The user with this principal's id, else with this name, else `None`."""
        with self._db.reading(conn) as c:
            for column in (t.principals.c.id, t.principals.c.name):
                row = c.execute(_USERS.where(column == id_or_name)).one_or_none()
                if row is not None:
                    return _user(row)
        return None

    def get(self, id_or_name: str, *, conn: Connection | None = None) -> User:
        """Like `find`.

        Raises:
            NotFoundError: there is none.
        """
        found = self.find(id_or_name, conn=conn)
        if found is None:
            raise NotFoundError(f"There is no user {id_or_name!r}.", hint="'athanor users list' shows them.")
        return found

    def vouched(self, issuer: str, subject: str, *, conn: Connection | None = None) -> User | None:
        """The user whom a provider calls `subject`."""
        with self._db.reading(conn) as c:
            row = c.execute(_USERS.where(t.users.c.issuer == issuer, t.users.c.subject == subject)).one_or_none()
        return None if row is None else _user(row)

    def password(self, principal: str, *, conn: Connection | None = None) -> str | None:
        """The hash of a principal's (by id) password."""
        with self._db.reading(conn) as c:
            return c.scalar(select(t.users.c.password).where(t.users.c.principal == principal))

    def set_password(
        self, principal: str, password: str, *, changed: bool = True, conn: Connection | None = None
    ) -> None:
        """Replace the hash; with `changed` false it is of the same password."""
        values: dict[str, Any] = {"password": password} | ({"changed_at": time.time()} if changed else {})
        with self._db.writing(conn) as c:
            c.execute(update(t.users).where(t.users.c.principal == principal).values(values))

    def disable(self, principal: str, *, disabled: bool, conn: Connection | None = None) -> None:
        """Let somebody in no longer, or again."""
        with self._db.writing(conn) as c:
            at = time.time() if disabled else None
            c.execute(update(t.users).where(t.users.c.principal == principal).values(disabled_at=at))

    def disabled(self, principal: str, *, conn: Connection | None = None) -> bool:
        """Is this principal (by id) a user who was disabled."""
        with self._db.reading(conn) as c:
            return c.scalar(select(t.users.c.disabled_at).where(t.users.c.principal == principal)) is not None

    def list(self, *, conn: Connection | None = None) -> builtins.list[User]:
        """All users, oldest first."""
        with self._db.reading(conn) as c:
            return [_user(row) for row in c.execute(_USERS.order_by(t.principals.c.id))]


def _user(row: Row[Any]) -> User:
    return User(
        principal=principal_of(row),
        has_password=bool(row.has_password),
        issuer=row.issuer,
        subject=row.subject,
        created_at=row.user_created_at,
        changed_at=row.changed_at,
        disabled_at=row.disabled_at,
    )
