"""People who sign in to the console: making them, their passwords and roles, and letting them in."""

from __future__ import annotations

import builtins
import hashlib
import threading

from sqlalchemy import Connection

from athanor.config import AccessSettings
from athanor.errors import AuthenticationError, ConflictError, InputError
from athanor.governance.delays import Delays
from athanor.governance.keys import Keys
from athanor.governance.passwords import Passwords
from athanor.governance.secrets import Secret
from athanor.governance.sessions import Sessions
from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import Principal, RoleName, User, Visitor

_AT_ONCE = 2
"""Passwords hashed at the same time: each takes a core, and the memory of the settings."""
_LONGEST = 100


class Users:
    """Users of the console. A user is a principal with a way to sign in; their role is the principal's."""

    def __init__(self, store: Store, keys: Keys, sessions: Sessions, settings: AccessSettings) -> None:
        self._store = store
        self._keys = keys
        self._sessions = sessions
        self._passwords = Passwords(settings)
        self._delays = Delays(store)
        self._audit = AuditLog(store)
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def create(self, name: str, role: RoleName, password: Secret | None, *, by: Principal | None = None) -> User:
        """Let `name` sign in, who becomes a principal where they are none.

        Args:
            password: `None` for somebody who shall sign in by the provider only.

        Raises:
            InputError: the name is empty or too long, or the password is no good.
            ConflictError: they sign in already, or have another role.
        """
        name = name.strip()
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise InputError(f"A name has 1 to {_LONGEST} printable characters.", where="name")
        hashed = None if password is None else self._hashed(password, name)
        with self._store.write() as conn:
            principal = self._store.principals.find(name, conn=conn)
            if principal is None:
                principal = self._store.principals.create(name, role, conn=conn)
            elif principal.role is not role:
                raise ConflictError(
                    f"{name!r} exists and has the role {principal.role.value}.",
                    hint="Choose that role, or another name.",
                )
            user = self._store.users.create(principal.id, password=hashed, conn=conn)
            details = {"name": name, "role": role.value, "password": hashed is not None}
            self._audit.record(Action.USER_CREATED, by=by, subject=principal.id, details=details, conn=conn)
        return user

    def list(self) -> builtins.list[User]:
        """All users, oldest first."""
        return self._store.users.list()

    def set_password(self, name: str, password: Secret, *, by: Principal | None = None) -> User:
        """Give a user (by name or id) another password, and end all their sessions.

        Raises:
            NotFoundError: there is no such user.
            InputError: the password is no good.
        """
        user = self._store.users.get(name)
        return self._replace(user, self._hashed(password, user.principal.name), by=by)

    def change_password(self, who: Principal, old: Secret, new: Secret, *, session: str, visitor: Visitor) -> Secret:
        """Change one's own password: all sessions end, and the token of a new one takes the place of `session`.

        Raises:
            AuthenticationError: `old` is not the password.
            RateLimitError: after too many wrong ones.
            InputError: `new` is no good.
        """
        user = self._store.users.get(who.id)
        hashed = self._hashed(new, user.principal.name)
        guess = self._delays.begin(who.id, visitor.address)
        if not self._right(old, self._store.users.password(who.id)):
            raise AuthenticationError("This is not your password.", where="old")
        self._delays.succeeded(guess)
        self._replace(user, hashed, by=user.principal)
        with self._store.write() as conn:
            return self._sessions.open(user.principal, way="password", visitor=visitor, instead=session, conn=conn)

    def disable(self, name: str, *, disabled: bool = True, by: Principal | None = None) -> User:
        """Let a user (by name or id) in no longer, neither here nor by their keys; or again.

        Raises:
            NotFoundError: there is no such user.
            ConflictError: it is whoever asks.
        """
        with self._store.write() as conn:
            user = self._other(name, by, conn)
            self._store.users.disable(user.principal.id, disabled=disabled, conn=conn)
            action = Action.USER_DISABLED if disabled else Action.USER_ENABLED
            self._audit.record(action, by=by, subject=user.principal.id, conn=conn)
            if disabled:
                self._sessions.end_all(user.principal, by=by, conn=conn)
        self._keys.forget()
        return self._store.users.get(user.principal.id)

    def set_role(self, name: str, role: RoleName, *, by: Principal | None = None) -> User:
        """Give a user (by name or id) another role, also with their keys, and end their sessions.

        Raises:
            NotFoundError: there is no such user.
            ConflictError: it is whoever asks.
        """
        with self._store.write() as conn:
            user = self._other(name, by, conn)
            self._assign(user.principal, role, by, conn)
        self._keys.forget()
        return self._store.users.get(user.principal.id)

    def sign_in(self, name: str, password: Secret, *, visitor: Visitor, instead: str = "") -> tuple[Secret, Principal]:
        """The token of a new session of `name`, and who they are.

        Unknown, disabled and passwordless users are told the same as who is wrong, after the same time.

        Args:
            instead: token of the session that the browser had before, which ends.

        Raises:
            AuthenticationError: name or password are wrong.
            RateLimitError: after too many attempts.
        """
        name = name.strip()[: _LONGEST + 1]
        guess = self._delays.begin(name, visitor.address)
        user = self._store.users.find(name)
        if user is not None and user.principal.name != name:
            user = None  # by the id, which is no name
        hashed = None if user is None else self._store.users.password(user.principal.id)
        right = self._right(password, hashed)
        if user is None or hashed is None or not right or user.disabled_at is not None:
            # Of strangers too, so that nobody hears by the time it takes who is none.
            subject = "unknown" if user is None else user.principal.id
            self._audit.record(Action.SIGN_IN_FAILED, by=None, subject=subject, details={"address": visitor.address})
            raise AuthenticationError("Name or password are wrong.", hint="Names are written as they were given.")
        self._delays.succeeded(guess)
        if self._passwords.stale(hashed):
            with self._slots:
                renewed = self._passwords.hash(password.reveal())
            self._store.users.set_password(user.principal.id, renewed, changed=False)
        return self._admit(user.principal, "password", visitor, instead)

    def vouched(
        self,
        issuer: str,
        subject: str,
        name: str,
        role: RoleName | None,
        *,
        first: RoleName,
        visitor: Visitor,
        instead: str = "",
    ) -> tuple[Secret, Principal]:
        """Sign in whom a provider vouches for; at the first time they become a user, with a name of their own.

        Args:
            role: what the provider's claims make of them; `None` leaves the role as it is.
            first: the role of somebody new.

        Raises:
            AuthenticationError: they were disabled.
        """
        with self._store.write() as conn:
            user = self._store.users.vouched(issuer, subject, conn=conn)
            if user is None:
                user = self._first(issuer, subject, name, first, conn)
            elif user.disabled_at is not None:
                raise AuthenticationError("This account was disabled.", hint="Ask an administrator.")
            elif role is not None and role is not user.principal.role:
                self._assign(user.principal, role, None, conn)
                user = self._store.users.get(user.principal.id, conn=conn)
        self._keys.forget()
        return self._admit(user.principal, "oidc", visitor, instead)

    def _first(self, issuer: str, subject: str, name: str, role: RoleName, conn: Connection) -> User:
        # A provider's name never leads to somebody who was here before: it may be chosen by who bears it.
        wanted = "".join(c for c in name if c.isprintable()).strip()[: _LONGEST - 20]
        tail = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()[:12]
        taken = not wanted or self._store.principals.find(wanted, conn=conn) is not None
        principal = self._store.principals.create(f"{wanted or 'user'} ({tail})" if taken else wanted, role, conn=conn)
        user = self._store.users.create(principal.id, issuer=issuer, subject=subject, conn=conn)
        details = {"name": principal.name, "role": role.value, "issuer": issuer}
        self._audit.record(Action.USER_CREATED, by=None, subject=principal.id, details=details, conn=conn)
        return user

    def _assign(self, principal: Principal, role: RoleName, by: Principal | None, conn: Connection) -> None:
        self._store.principals.set_role(principal.id, role, conn=conn)
        details = {"before": principal.role.value, "after": role.value}
        self._audit.record(Action.ROLE_CHANGED, by=by, subject=principal.id, details=details, conn=conn)
        self._sessions.end_all(principal, by=by, conn=conn)

    def _admit(self, principal: Principal, way: str, visitor: Visitor, instead: str) -> tuple[Secret, Principal]:
        with self._store.write() as conn:
            self._store.links.purge(conn=conn)
            token = self._sessions.open(principal, way=way, visitor=visitor, instead=instead, conn=conn)
            details = {"way": way, "address": visitor.address}
            self._audit.record(Action.SIGNED_IN, by=principal, subject=principal.id, details=details, conn=conn)
        return token, principal

    def _replace(self, user: User, hashed: str, *, by: Principal | None) -> User:
        with self._store.write() as conn:
            self._store.users.set_password(user.principal.id, hashed, conn=conn)
            self._audit.record(Action.PASSWORD_CHANGED, by=by, subject=user.principal.id, conn=conn)
            self._sessions.end_all(user.principal, by=by, conn=conn)
            return self._store.users.get(user.principal.id, conn=conn)

    def _other(self, name: str, by: Principal | None, conn: Connection) -> User:
        user = self._store.users.get(name, conn=conn)
        if by is not None and user.principal.id == by.id:
            raise ConflictError("You would lock yourself out.", where=name, hint="Ask another administrator.")
        return user

    def _hashed(self, password: Secret, name: str) -> str:
        self._passwords.check(password.reveal(), name)
        with self._slots:
            return self._passwords.hash(password.reveal())

    def _right(self, password: Secret, hashed: str | None) -> bool:
        with self._slots:
            return self._passwords.verify(password.reveal(), hashed)
