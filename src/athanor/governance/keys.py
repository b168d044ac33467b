"""API keys: making them, recognising them, revoking them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from athanor.errors import AuthenticationError, ConflictError
from athanor.governance.secrets import Secret
from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import ApiKey, Principal, RoleName, new_id

PREFIX = "ath_"
_HINT = len(PREFIX) + 4
_CACHED = 1024
CACHE_SECONDS = 5.0
"""How long a key that another process revoked may still be taken here."""


@dataclass(frozen=True, slots=True)
class _Known:
    key: ApiKey
    principal: Principal
    until: float
    """Unix seconds."""


class Keys:
    """The keys of all principals. A secret is known to its owner only; here is its SHA-256."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._audit = AuditLog(store)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def create(
        self,
        name: str,
        role: RoleName,
        *,
        expires_at: float | None = None,
        key_name: str = "",
        by: Principal | None = None,
    ) -> tuple[ApiKey, Secret]:
        """A new key for the principal called `name`, who is created if there is none.

        Args:
            expires_at: Unix seconds; `None` never ends.
            key_name: what tells several keys of one principal apart; the principal's name by default.
            by: who asked for it; `None` is the system.

        Raises:
            ConflictError: the principal exists with another role.
        """
        secret = Secret.new(PREFIX)
        with self._store.write() as conn:
            principal = self._store.principals.find(name, conn=conn)
            if principal is None:
                principal = self._store.principals.create(name, role, conn=conn)
            elif principal.role is not role:
                raise ConflictError(
                    f"{name!r} exists and has the role {principal.role.value}.",
                    hint="Choose another name, or that role.",
                )
            key = ApiKey(
                id=new_id("key"),
                principal=principal.id,
                name=key_name or name,
                hint=secret.reveal()[:_HINT],
                created_at=time.time(),
                expires_at=expires_at,
            )
            self._store.keys.insert(key, secret.hash(), conn=conn)
            details = {"principal": principal.id, "role": role.value, "hint": key.hint, "expires_at": expires_at}
            self._audit.record(Action.KEY_CREATED, by=by, subject=key.id, details=details, conn=conn)
        return key, secret

    def identify(self, secret: str) -> tuple[Principal, ApiKey]:
        """Whose key `secret` is, and the key. Cheap: a key that was seen in the last seconds costs one hash.

        Time does not depend on how much of a secret is right: what is looked up is its hash.

        Raises:
            AuthenticationError: the key is unknown, expired or revoked.
        """
        hash_ = Secret(secret).hash()
        now = time.time()
        known = self._recall(hash_, now)
        if known is None:
            known = self._look_up(hash_, now)
        key = known.key
        if key.revoked_at is not None:
            raise AuthenticationError("This key was revoked.", hint="Ask for a new one.")
        if key.expires_at is not None and key.expires_at <= now:
            raise AuthenticationError("This key has expired.", hint="Ask for a new one.")
        return known.principal, key

    def list(self) -> list[tuple[ApiKey, Principal]]:
        """All keys with their principals, oldest first, revoked and expired ones included."""
        with self._store.read() as conn:
            owners = {principal.id: principal for principal in self._store.principals.list(conn=conn)}
            return [(key, owners[key.principal]) for key in self._store.keys.list(conn=conn)]

    def revoke(self, key: str, *, by: Principal | None = None) -> ApiKey:
        """Refuse a key (by id) from now on; other processes follow within `CACHE_SECONDS`.

        Raises:
            NotFoundError: there is none.
        """
        with self._store.write() as conn:
            revoked = self._store.keys.revoke(key, conn=conn)
            self._audit.record(Action.KEY_REVOKED, by=by, subject=key, conn=conn)
        self.forget()
        return revoked

    def forget(self) -> None:
        """Empty the cache, so that the next request of every key is looked up."""
        with self._lock:
            self._known.clear()

    def _recall(self, hash_: str, now: float) -> _Known | None:
        with self._lock:
            known = self._known.get(hash_)
            return known if known is not None and now < known.until else None

    def _look_up(self, hash_: str, now: float) -> _Known:
        found = self._store.keys.by_hash(hash_)
        if found is None:
            raise AuthenticationError("This key is not known.", hint="'athanor keys create' makes one.")
        known = _Known(*found, now + CACHE_SECONDS)
        with self._lock:
            self._known[hash_] = known
            self._known.move_to_end(hash_)
            while len(self._known) > _CACHED:
                self._known.popitem(last=False)
        return known
