"""Groups: making and changing them, who is in them, and what they are cleared for."""

from __future__ import annotations

import builtins
from collections.abc import Iterable

from sqlalchemy import Connection

from athanor.errors import InputError
from athanor.observe import Action, AuditLog
from athanor.store import Store
from athanor.types import Group, Principal

LONGEST = 100
"""Characters of a name or a label."""


class Groups:
    """The groups of the system. A change holds from the next request on: nothing remembers who is in a group."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._audit = AuditLog(store)

    def create(self, name: str, labels: Iterable[str] = (), *, by: Principal | None = None) -> Group:
        """A new, empty group whose members are cleared for `labels`.

        Raises:
            InputError: the name or a label is empty, too long or not printable.
            ConflictError: the name is taken.
        """
        name, wanted = checked(name, "name"), checked_labels(labels)
        with self._store.write() as conn:
            group = self._store.groups.create(name, wanted, conn=conn)
            details = {"name": name, "labels": [*group.labels]}
            self._audit.record(Action.GROUP_CREATED, by=by, subject=group.id, details=details, conn=conn)
        return group

    def get(self, group: str) -> Group:
        """The group with this id or name.

        Raises:
            NotFoundError: there is none.
        """
        return self._store.groups.get(group)

    def list(self) -> builtins.list[tuple[Group, builtins.list[Principal]]]:
        """All groups with their members, by name."""
        with self._store.read() as conn:
            groups = self._store.groups.list(conn=conn)
            people = {person.id: person for person in self._store.principals.list(conn=conn)}
        return [(group, [people[member] for member in group.members if member in people]) for group in groups]

    def clear(self, group: str, labels: Iterable[str], *, by: Principal | None = None) -> Group:
        """Clear the members of a group (by id or name) for `labels` and no others.

        Raises:
            InputError: a label is empty, too long or not printable.
            NotFoundError: there is no such group.
        """
        wanted = checked_labels(labels)
        with self._store.write() as conn:
            before = self._store.groups.get(group, conn=conn)
            after = self._store.groups.set_labels(before.id, wanted, conn=conn)
            details = {"from": [*before.labels], "to": [*after.labels]}
            self._audit.record(Action.GROUP_CHANGED, by=by, subject=after.id, details=details, conn=conn)
        return after

    def add(self, group: str, principal: str, *, by: Principal | None = None) -> Group:
        """Put a principal into a group; each by id or name.

        Raises:
            NotFoundError: there is no such group or principal.
        """
        with self._store.write() as conn:
            found, person = self._both(group, principal, conn)
            self._store.groups.add(found.id, person.id, conn=conn)
            details = {"added": person.id}
            self._audit.record(Action.GROUP_CHANGED, by=by, subject=found.id, details=details, conn=conn)
            return self._store.groups.get(found.id, conn=conn)

    def remove(self, group: str, principal: str, *, by: Principal | None = None) -> Group:
        """Take a principal out of a group; each by id or name.

        Raises:
            NotFoundError: there is no such group or principal.
        """
        with self._store.write() as conn:
            found, person = self._both(group, principal, conn)
            self._store.groups.remove(found.id, person.id, conn=conn)
            details = {"removed": person.id}
            self._audit.record(Action.GROUP_CHANGED, by=by, subject=found.id, details=details, conn=conn)
            return self._store.groups.get(found.id, conn=conn)

    def delete(self, group: str, *, by: Principal | None = None) -> Group:
        """Delete a group (by id or name). Documents that it opened stay closed to those who were in it.

        Raises:
            NotFoundError: there is none.
        """
        with self._store.write() as conn:
            found = self._store.groups.get(group, conn=conn)
            self._store.groups.delete(found.id, conn=conn)
            details = {"name": found.name}
            self._audit.record(Action.GROUP_DELETED, by=by, subject=found.id, details=details, conn=conn)
        return found

    def _both(self, group: str, principal: str, conn: Connection) -> tuple[Group, Principal]:
        return self._store.groups.get(group, conn=conn), self._store.principals.get(principal, conn=conn)


def checked(name: str, where: str) -> str:
    """`name` without white space around it.

    Raises:
        InputError: it is empty, too long or not printable.
    """
    name = name.strip()
    if not 0 < len(name) <= LONGEST or not name.isprintable():
        raise InputError(f"A {where} has 1 to {LONGEST} printable characters.", where=where)
    return name


def checked_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels, sorted and each once. Raises as `checked`."""
    return tuple(sorted({checked(label, "label") for label in labels}))
