"""Sessions of the console: who is signed in, where, and until when."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from athanor.config import AccessSettings
from athanor.errors import AuthenticationError, NotFoundError, PermissionDeniedError
from athanor.governance.roles import Right, may
from athanor.governance.secrets import Secret
from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.store.links import session_id
from athanor.types import Principal, Session, Visitor

DAY, HOUR = 86400.0, 3600.0
SEEN_SECONDS = 60.0
"""How exactly it is known when a session was last used."""
_PREFIX = "aths_"
_LONGEST = 200


class Sessions:
    """Opens, recognises and ends sessions. Only the hashes of their tokens are stored."""

    def __init__(self, store: Store, settings: AccessSettings) -> None:
        self._store = store
        self._audit = AuditLog(store)
        self._lasts = settings.session_days * DAY
        self._idle = settings.idle_hours * HOUR

    @property
    def lasts(self) -> float:
        """Seconds from sign-in to the end, however much it is used."""
        return self._lasts

    def open(self, principal: Principal, *, way: str, visitor: Visitor, instead: str = "", conn: Connection) -> Secret:
        """The token of a new session; `instead` is the token that the browser had before, which ends."""
        token = Secret.new(_PREFIX)
        if instead:
            self._store.links.revoke_session(Secret(instead).hash(), conn=conn)
        seen = Visitor(address=_printable(visitor.address), agent=_printable(visitor.agent))
        self._store.links.open_session(
            token.hash(), principal.id, way=way, visitor=seen, expires_at=time.time() + self._lasts, conn=conn
        )
        return token

    def identify(self, token: str) -> Session:
        """Whose session it is.

        Raises:
            AuthenticationError: it is unknown, was ended, has expired, or was not used for too long.
        """
        hash_ = Secret(token).hash()
        found = self._store.links.session(hash_, idle=self._idle)
        if found is None:
            raise AuthenticationError("This session is over.", hint="Sign in again; 'athanor up' prints a link.")
        if time.time() - found.seen_at > SEEN_SECONDS:
            self._store.links.saw_session(hash_)
        return found

    def list(self, *, by: Principal) -> list[Session]:
        """Sessions that hold, those used last first: of everybody for who may administer, else one's own."""
        whose = None if may(by, Right.ADMINISTER) else by.id
        return self._store.links.sessions(idle=self._idle, principal=whose)

    def end(self, token: str) -> None:
        """End the session with this token (sign out). Does nothing where there is none."""
        hash_ = Secret(token).hash()
        with self._store.write() as conn:
            found = self._store.links.session(hash_, idle=self._idle, conn=conn)
            if found is not None:
                self._store.links.revoke_session(hash_, conn=conn)
                self._audit.record(Action.SESSION_ENDED, by=found.principal, subject=found.principal.id, conn=conn)

    def end_one(self, session: str, *, by: Principal) -> None:
        """End the session with this id.

        Raises:
            NotFoundError: there is none, or it is another's and `by` may not administer: in the same words.
        """
        with self._store.write() as conn:
            for found in self._store.links.sessions(idle=self._idle, conn=conn):
                if found.id == session and (found.principal.id == by.id or may(by, Right.ADMINISTER)):
                    self._store.links.revoke_by_id(session, conn=conn)
                    details = {"session": session}
                    self._audit.record(
                        Action.SESSION_ENDED, by=by, subject=found.principal.id, details=details, conn=conn
                    )
                    return
        raise NotFoundError(f"There is no session {session!r}.")

    def end_all(self, principal: Principal, *, by: Principal | None, but: str = "", conn: Connection) -> int:
        """End all sessions and links of a principal, the session with the token `but` excepted; how many.

        Raises:
            PermissionDeniedError: they are another's, and `by` may not administer.
        """
        if by is not None and by.id != principal.id and not may(by, Right.ADMINISTER):
            raise PermissionDeniedError("These are another's sessions.")
        kept = Secret(but).hash() if but else ""
        ended = self._store.links.revoke_all(principal.id, but=kept, conn=conn)
        if ended:
            self._audit.record(
                Action.SESSIONS_ENDED, by=by, subject=principal.id, details={"sessions": ended}, conn=conn
            )
        return ended


def id_of(token: str) -> str:
    """The id of the session with this token."""
    return session_id(Secret(token).hash())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:_LONGEST]
