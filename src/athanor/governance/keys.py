"""API keys: making them, recognising them, changing, rotating and revoking them."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection

from athanor.errors import AuthenticationError, ConflictError
from athanor.governance.secrets import Secret
from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import ALL_SCOPES, NO_LIMITS, ApiKey, Limits, Principal, RoleName, Scopes, new_id

PREFIX = "ath_"
GRACE_SECONDS = 86400.0
"""How long a key works on after it was rotated, unless said otherwise."""
_HINT = len(PREFIX) + 4
_CACHED = 1024
CACHE_SECONDS = 5.0
"""How long a key that another process revoked or changed may still be taken here as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a key is good for."""

    expires_at: float | None = None
    """Unix seconds; `None` never ends."""
    scopes: Scopes = ALL_SCOPES
    limits: Limits = NO_LIMITS
    record_content: bool = False


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
        self._forgotten = 0
        self._lock = threading.Lock()

    def create(
        self,
        name: str,
        role: RoleName,
        *,
        grant: Grant = Grant(),
        key_name: str = "",
        team: str | None = None,
        by: Principal | None = None,
    ) -> tuple[ApiKey, Secret]:
        """A new key for the principal called `name`, who is created if there is none.

        Args:
            key_name: what tells several keys of one principal apart; the principal's name by default.
            team: name or id of the team of a new principal. One that exists has to be in it already.
            by: who asked for it; `None` is the system.

        Raises:
            ConflictError: the principal exists with another role, or in another team.
            NotFoundError: there is no such team.
        """
        with self._store.write() as conn:
            principal = self._principal(name, role, team, conn)
            key = ApiKey(
                id=new_id("key"),
                principal=principal.id,
                name=key_name or name,
                hint="",
                created_at=time.time(),
                expires_at=grant.expires_at,
                scopes=grant.scopes,
                limits=grant.limits,
                record_content=grant.record_content,
            )
            key, secret = self._insert(key, conn)
            details = {"principal": principal.id, "role": role.value, "hint": key.hint, **_terms(key)}
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

    def get(self, key: str) -> tuple[ApiKey, Principal]:
        """One key (by id) with its principal.

        Raises:
            NotFoundError: there is none.
        """
        with self._store.read() as conn:
            found = self._store.keys.get(key, conn=conn)
            return found, self._store.principals.get(found.principal, conn=conn)

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

    def change(self, key: str, edit: Callable[[ApiKey], ApiKey], *, by: Principal | None = None) -> ApiKey:
        """Change the name, end, scopes, limits or recording of a key (by id).

        Here the next request of the key finds it changed; other processes follow within `CACHE_SECONDS`.

        Args:
            edit: gives the key as it shall be. It runs inside the transaction, so that two changes at once do not
                undo each other; changes to what is not named above are not kept.

        Raises:
            NotFoundError: there is none.
            ConflictError: it was revoked.
        """
        with self._store.write() as conn:
            before = self._store.keys.get(key, conn=conn)
            if before.revoked_at is not None:
                raise ConflictError("This key was revoked.", where=key, hint="Make a new one.")
            changed = self._store.keys.change(edit(before), conn=conn)
            old = _terms(before)
            details = {name: value for name, value in _terms(changed).items() if value != old[name]}
            self._audit.record(Action.KEY_CHANGED, by=by, subject=key, details=details, conn=conn)
        self.forget()
        return changed

    def rotate(self, key: str, *, grace: float = GRACE_SECONDS, by: Principal | None = None) -> tuple[ApiKey, Secret]:
        """A new key in place of another (by id), with the same principal, name, scopes, limits and recording.

        The old one works on for `grace` seconds, so that whoever uses it can change over. The new one ends as long
        after its making as the old one did. What the old one has spent, and spends until it ends, counts for the limits
        of both: see `Limiter.follow`.

        Raises:
            NotFoundError: there is none.
            ConflictError: it was revoked or rotated already, or has expired.
        """
        now = time.time()
        with self._store.write() as conn:
            old = self._store.keys.get(key, conn=conn)
            if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
                raise ConflictError(
                    "This key is over: it was revoked, or has expired.", where=key, hint="Make a new one."
                )
            if old.replaced_by is not None:
                raise ConflictError(f"This key was rotated into {old.replaced_by}.", where=key, hint="Rotate that one.")
            until = None if old.expires_at is None else now + old.expires_at - old.created_at
            new, secret = self._insert(replace(old, id=new_id("key"), created_at=now, expires_at=until), conn)
            end = now + grace if old.expires_at is None else min(old.expires_at, now + grace)
            self._store.keys.change(replace(old, expires_at=end, replaced_by=new.id), conn=conn)
            details = {"into": new.id, "hint": new.hint, "old_ends_at": end}
            self._audit.record(Action.KEY_ROTATED, by=by, subject=key, details=details, conn=conn)
        self.forget()
        return new, secret

    def forget(self) -> None:
        """Empty the cache, so that the next request of every key is looked up."""
        with self._lock:
            self._known.clear()
            self._forgotten += 1

    def _principal(self, name: str, role: RoleName, team: str | None, conn: Connection) -> Principal:
        wanted = None if team is None else self._store.teams.get(team, conn=conn)
        found = self._store.principals.find(name, conn=conn)
        if found is None:
            return self._store.principals.create(name, role, team=wanted, conn=conn)
        if found.role is not role:
            raise ConflictError(
                f"{name!r} exists and has the role {found.role.value}.", hint="Choose another name, or that role."
            )
        if wanted is not None and (found.team is None or found.team.id != wanted.id):
            place = f"in the team {found.team.name!r}" if found.team else "in no team"
            raise ConflictError(f"{name!r} exists and is {place}.", hint="'athanor teams move' moves it.")
        return found

    def _insert(self, key: ApiKey, conn: Connection) -> tuple[ApiKey, Secret]:
        """Store `key` under a new secret."""
        secret = Secret.new(PREFIX)
        key = replace(key, hint=secret.reveal()[:_HINT])
        self._store.keys.insert(key, secret.hash(), conn=conn)
        return key, secret

    def _recall(self, hash_: str, now: float) -> _Known | None:
        with self._lock:
            known = self._known.get(hash_)
            return known if known is not None and now < known.until else None

    def _look_up(self, hash_: str, now: float) -> _Known:
        forgotten = self._forgotten
        found = self._store.keys.by_hash(hash_)
        if found is None:
            raise AuthenticationError("This key is not known.", hint="'athanor keys create' makes one.")
        if self._store.users.disabled(found[1].id):
            raise AuthenticationError("The owner of this key was disabled.", hint="Ask an administrator.")
        known = _Known(*found, now + CACHE_SECONDS)
        with self._lock:
            if forgotten != self._forgotten:
                return known  # changed since it was read, perhaps: the next request looks again
            self._known[hash_] = known
            self._known.move_to_end(hash_)
            while len(self._known) > _CACHED:
                self._known.popitem(last=False)
        return known


def _terms(key: ApiKey) -> dict[str, Any]:
    """What of a key can be changed, as JSON."""
    return {
        "name": key.name,
        "expires_at": key.expires_at,
        "record_content": key.record_content,
        "scopes": asdict(key.scopes),
        "limits": asdict(key.limits),
    }
