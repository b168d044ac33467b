"""Groups: principals that may read the same documents."""

from __future__ import annotations

import builtins
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from athanor.errors import ConflictError, NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.types import Group, new_id


class Groups(Repository):
    """Groups by id or name, and who is in them."""

    def create(self, name: str, labels: Collection[str] = (), *, conn: Connection | None = None) -> Group:
        """A new group without members.

        Raises:
            ConflictError: the name is taken.
        """
        group = Group(id=new_id("group"), name=name, created_at=time.time(), labels=tuple(sorted(set(labels))))
        with self._db.writing(conn) as c:
            if self.find(name, conn=c) is not None:
                raise ConflictError(f"A group named {name!r} exists.", hint="Choose another name.")
            values = {"id": group.id, "name": name, "labels": [*group.labels], "created_at": group.created_at}
            c.execute(insert(t.groups), values)
        return group

    def find(self, id_or_name: str, *, conn: Connection | None = None) -> Group | None:
        """The group with this id, else the one with this name, else `None`."""
        with self._db.reading(conn) as c:
            for column in (t.groups.c.id, t.groups.c.name):
                row = c.execute(select(t.groups).where(column == id_or_name)).one_or_none()
                if row is not None:
                    inside = select(t.memberships.c.principal).where(t.memberships.c.group == row.id)
                    return replace(_group(row), members=tuple(sorted(c.scalars(inside))))
        return None

    def get(self, id_or_name: str, *, conn: Connection | None = None) -> Group:
        """Like `find`.

        Raises:
            NotFoundError: there is none.
        """
        found = self.find(id_or_name, conn=conn)
        if found is None:
            raise NotFoundError(f"There is no group {id_or_name!r}.", hint="'athanor groups list' shows them.")
        return found

    def list(self, *, conn: Connection | None = None) -> builtins.list[Group]:
        """All groups with their members, by name."""
        members: dict[str, builtins.list[str]] = {}
        with self._db.reading(conn) as c:
            for group, principal in c.execute(select(t.memberships.c.group, t.memberships.c.principal)):
                members.setdefault(group, []).append(principal)
            rows = c.execute(select(t.groups).order_by(t.groups.c.name))
            return [replace(_group(row), members=tuple(sorted(members.get(row.id, ())))) for row in rows]

    def delete(self, group: str, *, conn: Connection | None = None) -> None:
        """Delete a group (by id). Documents that name it as their reader lose that reader, and stay closed.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.writing(conn) as c:
            c.execute(delete(t.memberships).where(t.memberships.c.group == group))
            if c.execute(delete(t.groups).where(t.groups.c.id == group)).rowcount == 0:
                raise _missing(group)

    def set_labels(self, group: str, labels: Collection[str], *, conn: Connection | None = None) -> Group:
        """Replace what the members of the group (by id) are cleared for.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.writing(conn) as c:
            c.execute(update(t.groups).where(t.groups.c.id == group).values(labels=sorted(set(labels))))
            return self.get(group, conn=c)

    def add(self, group: str, principal: str, *, conn: Connection | None = None) -> None:
        """Make a principal (by id) a member of the group (by id); nothing where it is one.

        Raises:
            NotFoundError: there is no such group or principal.
        """
        values = {"group": group, "principal": principal}
        with self._db.writing(conn) as c:
            if c.execute(select(t.groups.c.id).where(t.groups.c.id == group)).first() is None:
                raise _missing(group)
            if c.execute(select(t.principals.c.id).where(t.principals.c.id == principal)).first() is None:
                raise NotFoundError(f"There is no principal {principal!r}.")
            if c.execute(select(t.memberships).filter_by(**values)).first() is None:
                c.execute(insert(t.memberships).values(**values))

    def remove(self, group: str, principal: str, *, conn: Connection | None = None) -> None:
        """End the membership of a principal (by id) in the group (by id).

        Raises:
            NotFoundError: it is no member.
        """
        with self._db.writing(conn) as c:
            if c.execute(delete(t.memberships).filter_by(group=group, principal=principal)).rowcount == 0:
                raise NotFoundError(f"Principal {principal!r} is not in the group {group!r}.")

    def of(self, principal: str, *, conn: Connection | None = None) -> builtins.list[Group]:
        """The groups of a principal (by id), by name, without their members: what a reader's clearances come from."""
        query = select(t.groups).join(t.memberships).where(t.memberships.c.principal == principal)
        with self._db.reading(conn) as c:
            return [_group(row) for row in c.execute(query.order_by(t.groups.c.name))]


def _group(row: Row[Any]) -> Group:
    return Group(id=row.id, name=row.name, created_at=row.created_at, labels=tuple(row.labels))


def _missing(group: str) -> NotFoundError:
    return NotFoundError(f"There is no group {group!r}.", hint="'athanor groups list' shows them.")
