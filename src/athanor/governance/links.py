"""One-time links that open the console."""

from __future__ import annotations

import time

from athanor.errors import AuthenticationError
from athanor.governance.secrets import Secret
from athanor.governance.sessions import Sessions
from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import NOBODY_KNOWN, Principal, Visitor

LINK_SECONDS = 600.0
_LINK = "athl_"


class Links:
    """One-time links. Only the hashes of their tokens are stored."""

    def __init__(self, store: Store, sessions: Sessions) -> None:
        self._store = store
        self._sessions = sessions
        self._audit = AuditLog(store)

    def create(self, principal: Principal) -> Secret:
        """A token that signs `principal` in once, within ten minutes."""
        token = Secret.new(_LINK)
        with self._store.write() as conn:
            self._store.links.purge(conn=conn)
            self._store.links.create(token.hash(), principal.id, expires_at=time.time() + LINK_SECONDS, conn=conn)
            self._audit.record(Action.LINK_CREATED, by=principal, subject=principal.id, conn=conn)
        return token

    def exchange(self, token: str, *, visitor: Visitor = NOBODY_KNOWN, instead: str = "") -> tuple[Secret, Principal]:
        """Use a link up; the token of a new session, and whose it is.

        Args:
            instead: token of the session that the browser had before, which ends.

        Raises:
            AuthenticationError: the link is unknown, used or expired, or whom it is for was disabled.
        """
        with self._store.write() as conn:
            principal = self._store.links.take(Secret(token).hash(), conn=conn)
            if principal is None or self._store.users.disabled(principal.id, conn=conn):
                raise AuthenticationError(
                    "This link was used already, or is older than ten minutes.", hint="'athanor up' prints a new one."
                )
            session = self._sessions.open(principal, way="link", visitor=visitor, instead=instead, conn=conn)
            self._audit.record(Action.LINK_USED, by=principal, subject=principal.id, conn=conn)
        return session, principal
