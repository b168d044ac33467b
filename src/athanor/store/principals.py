"""Who may use the system."""

from __future__ import annotations

import builtins
import time
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from athanor.errors import ConflictError, NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.store.teams import limits_of
from athanor.types import Principal, RoleName, Team, new_id

WITH_TEAM = select(
    t.principals,
    t.teams.c.name.label("team_name"),
    t.teams.c.limits.label("team_limits"),
    t.teams.c.created_at.label("team_created_at"),
).outerjoin(t.teams, t.teams.c.id == t.principals.c.team)
"""Principals, each with its team beside it."""


class Principals(Repository):
    """People and programs, each with one role."""

    def create(
        self, name: str, role: RoleName, *, team: Team | None = None, conn: Connection | None = None
    ) -> Principal:
        """A new principal.

        Raises:
            ConflictError: the name is taken.
        """
        principal = Principal(id=new_id("pr"), name=name, role=role, created_at=time.time(), team=team)
        with self._db.writing(conn) as c:
            if self.find(name, conn=c) is not None:
                raise ConflictError(f"A principal named {name!r} exists.", hint="Choose another name.")
            values = {"id": principal.id, "name": name, "role": role.value, "created_at": principal.created_at}
            c.execute(insert(t.principals), values | {"team": team.id if team else None})
        return principal

    def move(self, principal: str, team: Team | None, *, conn: Connection | None = None) -> Principal:
        """Put a principal (by id) into a team, or into none.

        Raises:
            NotFoundError: there is no such principal.
        """
        with self._db.writing(conn) as c:
            c.execute(update(t.principals).where(t.principals.c.id == principal).values(team=team.id if team else None))
            return self.get(principal, conn=c)

    def set_role(self, principal: str, role: RoleName, *, conn: Connection | None = None) -> Principal:
        """Give a principal (by id) another role.

        Raises:
            NotFoundError: there is no such principal.
        """
        with self._db.writing(conn) as c:
            c.execute(update(t.principals).where(t.principals.c.id == principal).values(role=role.value))
            return self.get(principal, conn=c)

    def find(self, id_or_name: str, *, conn: Connection | None = None) -> Principal | None:
        """The principal with this id, else the one with this name, else `None`."""
        with self._db.reading(conn) as c:
            for column in (t.principals.c.id, t.principals.c.name):
                row = c.execute(WITH_TEAM.where(column == id_or_name)).one_or_none()
                if row is not None:
                    return principal_of(row)
        return None

    def get(self, id_or_name: str, *, conn: Connection | None = None) -> Principal:
        """Like `find`.

        Raises:
            NotFoundError: there is none.
        """
        found = self.find(id_or_name, conn=conn)
        if found is None:
            raise NotFoundError(f"There is no principal {id_or_name!r}.", hint="'athanor keys list' shows them.")
        return found

    def list(self, *, conn: Connection | None = None) -> builtins.list[Principal]:
        """All principals, oldest first."""
        with self._db.reading(conn) as c:
            return [principal_of(row) for row in c.execute(WITH_TEAM.order_by(t.principals.c.id))]

    def delete(self, principal: str, *, conn: Connection | None = None) -> None:
        """Delete a principal (by id) with its keys, links and sessions. What it did stays recorded.

        Raises:
            NotFoundError: there is none.
        """
        with self._db.writing(conn) as c:
            if c.execute(delete(t.principals).where(t.principals.c.id == principal)).rowcount == 0:
                raise NotFoundError(f"There is no principal {principal!r}.")


def principal_of(row: Row[Any]) -> Principal:
    """The principal in a row of `WITH_TEAM`."""
    team = None
    if row.team is not None:
        team = Team(id=row.team, name=row.team_name, created_at=row.team_created_at, limits=limits_of(row.team_limits))
    return Principal(id=row.id, name=row.name, role=RoleName(row.role), created_at=row.created_at, team=team)
