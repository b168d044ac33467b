"""One-time links that open the console, and the sessions behind them."""

from __future__ import annotations

import time

from athanor.errors import AuthenticationError
from athanor.governance.secrets import Secret
from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import Principal

LINK_SECONDS = 600.0
SESSION_SECONDS = 30 * 86400.0
_LINK = "athl_"
_SESSION = "aths_"


class Links:
    """Links and sessions. Only the hashes of their tokens are stored."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._audit = AuditLog(store)

    def create(self, principal: Principal) -> Secret:
        """A token that logs `principal` in once, within ten minutes."""
        token = Secret.new(_LINK)
        with self._store.write() as conn:
            self._store.links.purge(conn=conn)
            self._store.links.create(token.hash(), principal.id, expires_at=time.time() + LINK_SECONDS, conn=conn)
            self._audit.record(Action.LINK_CREATED, by=principal, subject=principal.id, conn=conn)
        return token

    def exchange(self, token: str) -> tuple[Secret, Principal]:
        """Use a link up; the token of a new session, and whose it is.

        Raises:
            AuthenticationError: the link is unknown, used or expired.
        """
        session = Secret.new(_SESSION)
        with self._store.write() as conn:
            principal = self._store.links.take(Secret(token).hash(), conn=conn)
            if principal is None:
                raise AuthenticationError(
                    "This link was used already, or is older than ten minutes.", hint="'athanor up' prints a new one."
                )
            until = time.time() + SESSION_SECONDS
            self._store.links.open_session(session.hash(), principal.id, expires_at=until, conn=conn)
            self._audit.record(Action.LINK_USED, by=principal, subject=principal.id, conn=conn)
        return session, principal

    def identify(self, session: str) -> Principal:
        """Whose session it is.

        Raises:
            AuthenticationError: it is unknown, has expired, or was ended.
        """
        found = self._store.links.session(Secret(session).hash())
        if found is None:
            raise AuthenticationError("This session is over.", hint="'athanor up' prints a new link.")
        return found[0]

    def end(self, session: str) -> None:
        """End a session (log out). Does nothing where there is none."""
        hash_ = Secret(session).hash()
        with self._store.write() as conn:
            found = self._store.links.session(hash_, conn=conn)
            if found is not None:
                self._store.links.revoke_session(hash_, conn=conn)
                self._audit.record(Action.SESSION_ENDED, by=found[0], subject=found[0].id, conn=conn)
