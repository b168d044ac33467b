"""Who somebody is to the documents: identities and clearances as of this moment."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from athanor.governance.roles import Right, may
from athanor.store import Store
from athanor.types import SYSTEM_READER, Group, Principal, Reader


class Readers:
    """Makes readers of principals."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, principal: Principal, *, conn: Connection | None = None) -> Reader:
        """What `principal` reads as. Role, team and groups are read from the store: what a key remembers may be old.

        A principal that the store does not hold is taken as it is.
        """
        with self._store.database.reading(conn) as c:
            now = self._store.principals.find(principal.id, conn=c)
            if now is None or now.id != principal.id:
                now = principal
            return reader_of(now, self._store.groups.of(now.id, conn=c))


def reader_of(principal: Principal, groups: Iterable[Group]) -> Reader:
    """What `principal` reads as who is in these `groups`. Whoever may administer reads everything."""
    if may(principal, Right.ADMINISTER):
        return SYSTEM_READER
    groups = [*groups]
    identities = {f"principal:{principal.id}", *(f"group:{group.id}" for group in groups)}
    if principal.team is not None:
        identities.add(f"team:{principal.team.id}")
    labels = frozenset(label for group in groups for label in group.labels)
    return Reader(identities=frozenset(identities), labels=labels)
