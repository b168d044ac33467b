"""Teams: principals that share limits and a budget."""

from __future__ import annotations

import builtins
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from athanor.errors import ConflictError, NotFoundError
from athanor.store import tables as t
from athanor.store.base import Repository
from athanor.types import NO_LIMITS, Limits, Team, new_id


class Teams(Repository):
    """Teams by id or name."""

    def create(self, name: str, limits: Limits = NO_LIMITS, *, conn: Connection | None = None) -> Team:
        """A new team.

        Raises:
            ConflictError: the name is taken.
        """
        team = Team(id=new_id("team"), name=name, created_at=time.time(), limits=limits)
        with self._db.writing(conn) as c:
            if self.find(name, conn=c) is not None:
                raise ConflictError(f"A team named {name!r} exists.", hint="Choose another name.")
            values = {"id": team.id, "name": name, "created_at": team.created_at, "limits": limits_row(limits)}
            c.execute(insert(t.teams), values)
        return team

    def find(self, id_or_name: str, *, conn: Connection | None = None) -> Team | None:
        """The team with this id, else the one with this name, else `None`."""
        with self._db.reading(conn) as c:
            for column in (t.teams.c.id, t.teams.c.name):
                row = c.execute(select(t.teams).where(column == id_or_name)).one_or_none()
                if row is not None:
                    return team_of(row)
        return None

    def get(self, id_or_name: str, *, conn: Connection | None = None) -> Team:
        """Like `find`.

        Raises:
            NotFoundError: there is none.
        """
        found = self.find(id_or_name, conn=conn)
        if found is None:
            raise NotFoundError(f"There is no team {id_or_name!r}.", hint="'athanor teams list' shows them.")
        return found

    def list(self, *, conn: Connection | None = None) -> builtins.list[Team]:
        """All teams, oldest first."""
        with self._db.reading(conn) as c:
            return [team_of(row) for row in c.execute(select(t.teams).order_by(t.teams.c.id))]

    def set_limits(self, team: str, limits: Limits, *, conn: Connection | None = None) -> Team:
        """Replace the limits of a team (by id).

        Raises:
            NotFoundError: there is none.
        """
        with self._db.writing(conn) as c:
            c.execute(update(t.teams).where(t.teams.c.id == team).values(limits=limits_row(limits)))
            return self.get(team, conn=c)

    def delete(self, team: str, *, conn: Connection | None = None) -> None:
        """Delete a team (by id).

        Raises:
            ConflictError: it has members.
            NotFoundError: there is none.
        """
        with self._db.writing(conn) as c:
            if c.execute(select(t.principals.c.id).where(t.principals.c.team == team).limit(1)).first():
                raise ConflictError("The team has members.", hint="Move them to another team first.")
            if c.execute(delete(t.teams).where(t.teams.c.id == team)).rowcount == 0:
                raise NotFoundError(f"There is no team {team!r}.")


def team_of(row: Row[Any]) -> Team:
    """The team in a row with its four columns."""
    return Team(id=row.id, name=row.name, created_at=row.created_at, limits=limits_of(row.limits))


def limits_of(row: Mapping[str, Any] | None) -> Limits:
    """Limits from their JSON; what is not in it is without a limit."""
    return Limits(**row) if row else NO_LIMITS


def limits_row(limits: Limits) -> dict[str, Any]:
    """Limits as JSON, without those that are not set."""
    return {name: value for name, value in asdict(limits).items() if value is not None}
