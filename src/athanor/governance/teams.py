"""Teams: making and changing them, and who is in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import NO_LIMITS, Limits, Principal, Team


class Teams:
    """The teams of the system.

    Args:
        changed: called after every change that a cached principal may not know of; for `Keys.forget`.
    """

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        self._store = store
        self._audit = AuditLog(store)
        self._changed = changed

    def create(self, name: str, limits: Limits = NO_LIMITS, *, by: Principal | None = None) -> Team:
        """A new team.

        Raises:
            ConflictError: the name is taken.
        """
        with self._store.write() as conn:
            team = self._store.teams.create(name, limits, conn=conn)
            details = {"name": name, "limits": asdict(limits)}
            self._audit.record(Action.TEAM_CREATED, by=by, subject=team.id, details=details, conn=conn)
        return team

    def get(self, team: str) -> Team:
        """The team with this id or name.

        Raises:
            NotFoundError: there is none.
        """
        return self._store.teams.get(team)

    def list(self) -> list[tuple[Team, list[Principal]]]:
        """All teams with their members, oldest first."""
        with self._store.read() as conn:
            teams = self._store.teams.list(conn=conn)
            people = self._store.principals.list(conn=conn)
        return [(team, [person for person in people if person.team == team]) for team in teams]

    def limit(self, team: str, edit: Callable[[Limits], Limits], *, by: Principal | None = None) -> Team:
        """Change the limits of a team (by id or name). They hold from the next request on.

        Args:
            edit: gives the limits as they shall be; it runs inside the transaction.

        Raises:
            NotFoundError: there is none.
        """
        with self._store.write() as conn:
            before = self._store.teams.get(team, conn=conn)
            after = self._store.teams.set_limits(before.id, edit(before.limits), conn=conn)
            details = {"limits": asdict(after.limits)}
            self._audit.record(Action.TEAM_CHANGED, by=by, subject=after.id, details=details, conn=conn)
        self._changed()
        return after

    def move(self, principal: str, team: str | None, *, by: Principal | None = None) -> Principal:
        """Put a principal into a team, or into none; each by id or name.

        What it has spent stays with the team that it was in.

        Raises:
            NotFoundError: there is no such principal, or no such team.
        """
        with self._store.write() as conn:
            before = self._store.principals.get(principal, conn=conn)
            wanted = None if team is None else self._store.teams.get(team, conn=conn)
            moved = self._store.principals.move(before.id, wanted, conn=conn)
            details = {
                "from": before.team.id if before.team else None,
                "to": wanted.id if wanted else None,
            }
            self._audit.record(Action.PRINCIPAL_MOVED, by=by, subject=moved.id, details=details, conn=conn)
        self._changed()
        return moved

    def delete(self, team: str, *, by: Principal | None = None) -> Team:
        """Delete a team (by id or name).

        Raises:
            ConflictError: it has members.
            NotFoundError: there is none.
        """
        with self._store.write() as conn:
            found = self._store.teams.get(team, conn=conn)
            self._store.teams.delete(found.id, conn=conn)
            details = {"name": found.name}
            self._audit.record(Action.TEAM_DELETED, by=by, subject=found.id, details=details, conn=conn)
        self._changed()
        return found
