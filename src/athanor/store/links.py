"""One-time console links and the sessions they open, by the hashes of their tokens."""

from __future__ import annotations

import time

from sqlalchemy import Connection, delete, insert, or_, update

from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.principals import WITH_TEAM, principal_of
from athanor.types import Principal


class Links(Repository):
    """Links and sessions. Nothing here ever sees a token."""

    def create(self, hash_: str, principal: str, *, expires_at: float, conn: Connection | None = None) -> None:
        """Store a link for a principal (by id)."""
        values = {"hash": hash_, "principal": principal, "created_at": time.time(), "expires_at": expires_at}
        with self._db.writing(conn) as c:
            c.execute(insert(t.links), values)

    def take(self, hash_: str, *, conn: Connection | None = None) -> Principal | None:
        """Use a link up and return whom it is for; `None` where it is unknown, used or expired.

        Of several that try at once, one succeeds.
        """
        now = time.time()
        used = (
            update(t.links)
            .where(t.links.c.hash == hash_, t.links.c.used_at.is_(None), t.links.c.expires_at > now)
            .values(used_at=now)
            .returning(t.links.c.principal)
        )
        with self._db.writing(conn) as c:
            owner = c.scalar(used)
            if owner is None:
                return None
            return principal_of(c.execute(WITH_TEAM.where(t.principals.c.id == owner)).one())

    def open_session(self, hash_: str, principal: str, *, expires_at: float, conn: Connection | None = None) -> None:
        """Store a session of a principal (by id)."""
        values = {"hash": hash_, "principal": principal, "created_at": time.time(), "expires_at": expires_at}
        with self._db.writing(conn) as c:
            c.execute(insert(t.sessions), values)

    def session(self, hash_: str, *, conn: Connection | None = None) -> tuple[Principal, float] | None:
        """The principal of a session and when it expires; `None` where it is unknown, revoked or expired."""
        session = t.sessions.c
        query = (
            WITH_TEAM.add_columns(session.expires_at)
            .join(t.sessions, session.principal == t.principals.c.id)
            .where(session.hash == hash_, session.revoked_at.is_(None), session.expires_at > time.time())
        )
        with self._db.reading(conn) as c:
            row = c.execute(query).one_or_none()
        return None if row is None else (principal_of(row), row.expires_at)

    def revoke_session(self, hash_: str, *, conn: Connection | None = None) -> None:
        """End a session; does nothing where there is none."""
        with self._db.writing(conn) as c:
            c.execute(update(t.sessions).where(t.sessions.c.hash == hash_).values(revoked_at=time.time()))

    def purge(self, *, conn: Connection | None = None) -> int:
        """Delete links and sessions that can no longer be used; how many."""
        now = time.time()
        with self._db.writing(conn) as c:
            dead = c.execute(delete(t.links).where(or_(t.links.c.used_at.is_not(None), t.links.c.expires_at <= now)))
            over = or_(t.sessions.c.revoked_at.is_not(None), t.sessions.c.expires_at <= now)
            return dead.rowcount + c.execute(delete(t.sessions).where(over)).rowcount
