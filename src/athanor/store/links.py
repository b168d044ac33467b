"""One-time console links and the sessions they open, by the hashes of their tokens."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, literal, or_, update

from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.principals import WITH_TEAM, principal_of
from athanor.types import Principal, Session, Visitor


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

    def open_session(
        self,
        hash_: str,
        principal: str,
        *,
        way: str,
        visitor: Visitor,
        expires_at: float,
        conn: Connection | None = None,
    ) -> None:
        """Store a session of a principal (by id)."""
        now = time.time()
        values = {"hash": hash_, "principal": principal, "created_at": now, "expires_at": expires_at, "seen_at": now}
        values |= {"way": way, "agent": visitor.agent, "address": visitor.address}
        with self._db.writing(conn) as c:
            c.execute(insert(t.sessions), values)

    def session(self, hash_: str, *, idle: float, conn: Connection | None = None) -> Session | None:
        """A session; `None` where it is unknown, was ended, has expired, or was not used for `idle` seconds."""
        with self._db.reading(conn) as c:
            row = c.execute(_live(idle).where(t.sessions.c.hash == hash_)).one_or_none()
        return None if row is None else _session(row)

    def sessions(self, *, idle: float, principal: str | None = None, conn: Connection | None = None) -> list[Session]:
        """Sessions that hold, those used last first; of one principal (by id), or of all."""
        query = _live(idle).order_by(_SEEN.desc(), t.sessions.c.hash)
        if principal is not None:
            query = query.where(t.sessions.c.principal == principal)
        with self._db.reading(conn) as c:
            return [_session(row) for row in c.execute(query)]

    def saw_session(self, hash_: str, *, conn: Connection | None = None) -> None:
        """Note that a session was used."""
        with self._db.writing(conn) as c:
            c.execute(update(t.sessions).where(t.sessions.c.hash == hash_).values(seen_at=time.time()))

    def revoke_session(self, hash_: str, *, conn: Connection | None = None) -> None:
        """End a session; does nothing where there is none."""
        with self._db.writing(conn) as c:
            c.execute(update(t.sessions).where(t.sessions.c.hash == hash_).values(revoked_at=time.time()))

    def revoke_by_id(self, session: str, *, conn: Connection | None = None) -> None:
        """End the session with this id; does nothing where there is none."""
        with self._db.writing(conn) as c:
            c.execute(update(t.sessions).where(_ID.in_([session])).values(revoked_at=time.time()))

    def revoke_all(self, principal: str, *, but: str = "", conn: Connection | None = None) -> int:
        """End all sessions of a principal (by id) but the one with this hash, and take their links away; how many."""
        mine = t.sessions.c.principal == principal
        with self._db.writing(conn) as c:
            c.execute(delete(t.links).where(t.links.c.principal == principal))
            ended = c.execute(
                update(t.sessions)
                .where(mine, t.sessions.c.revoked_at.is_(None), t.sessions.c.hash != but)
                .values(revoked_at=time.time())
            )
            return ended.rowcount

    def purge(self, *, conn: Connection | None = None) -> int:
        """Delete links and sessions that can no longer be used; how many."""
        now = time.time()
        with self._db.writing(conn) as c:
            dead = c.execute(delete(t.links).where(or_(t.links.c.used_at.is_not(None), t.links.c.expires_at <= now)))
            over = or_(t.sessions.c.revoked_at.is_not(None), t.sessions.c.expires_at <= now)
            return dead.rowcount + c.execute(delete(t.sessions).where(over)).rowcount


def session_id(hash_: str) -> str:
    """What people call a session whose token has this hash. Nobody comes from it to the token."""
    return f"ses_{hash_[:_DIGITS]}"


_DIGITS = 24
_ID: ColumnElement[str] = literal("ses_").concat(func.substr(t.sessions.c.hash, 1, _DIGITS))
_SEEN = func.coalesce(t.sessions.c.seen_at, t.sessions.c.created_at)


def _live(idle: float) -> Select[Any]:
    session, now = t.sessions.c, time.time()
    return (
        WITH_TEAM.add_columns(
            session.hash,
            session.way,
            session.agent,
            session.address,
            session.created_at.label("session_created_at"),
            _SEEN.label("seen"),
            session.expires_at,
        )
        .join(t.sessions, session.principal == t.principals.c.id)
        .where(session.revoked_at.is_(None), session.expires_at > now, now - idle < _SEEN)
    )


def _session(row: Row[Any]) -> Session:
    return Session(
        id=session_id(row.hash),
        principal=principal_of(row),
        way=row.way,
        agent=row.agent,
        address=row.address,
        created_at=row.session_created_at,
        seen_at=row.seen,
        expires_at=row.expires_at,
    )
