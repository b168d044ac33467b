"""Bodies of the administration: keys, teams, principals."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from athanor.governance.keys import GRACE_SECONDS
from athanor.types import ApiKey, Limits, RoleName, Scopes

_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Patterns = Annotated[tuple[_Name, ...], Field(max_length=1000)]
_Days = Annotated[float, Field(gt=0, le=36500)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsBody(_Body):
    """Limits; what is absent stays as it is, and `null` is without a limit."""

    requests_per_minute: _Count | None = None
    tokens_per_minute: _Count | None = None
    concurrency: _Count | None = None
    usd_per_day: _Usd | None = None
    usd_per_month: _Usd | None = None

    def over(self, before: Limits) -> Limits:
        return replace(before, **self.model_dump(exclude_unset=True))


class ScopesBody(_Body):
    """Names, with `*` as a wildcard; what is absent stays as it is, and `null` is everything."""

    models: _Patterns | None = None
    knowledge: _Patterns | None = None
    doors: _Patterns | None = None

    def over(self, before: Scopes) -> Scopes:
        return replace(before, **self.model_dump(exclude_unset=True))


class NewKey(_Body):
    """A new key for the principal `name`, who is made if there is none."""

    name: _Name
    role: RoleName = RoleName.USER
    key_name: Annotated[str, Field(max_length=100)] = ""
    team: _Name | None = None
    days: _Days | None = None
    scopes: ScopesBody = ScopesBody()
    limits: LimitsBody = LimitsBody()
    record_content: bool = False

    def expires_at(self) -> float | None:
        return end_of(self.days)


class KeyChange(_Body):
    """What to change of a key; what is absent stays as it is."""

    name: _Name | None = None
    days: _Days | None = None
    """From now on; `null` is for ever."""
    scopes: ScopesBody = ScopesBody()
    limits: LimitsBody = LimitsBody()
    record_content: bool = False

    def over(self, key: ApiKey) -> ApiKey:
        given: dict[str, Any] = self.model_dump(exclude_unset=True, include={"name", "record_content"})
        if "days" in self.model_fields_set:
            given["expires_at"] = end_of(self.days)
        return replace(key, **given, scopes=self.scopes.over(key.scopes), limits=self.limits.over(key.limits))


class Rotation(_Body):
    """How to rotate a key."""

    grace_hours: Annotated[float, Field(ge=0, le=8760)] = GRACE_SECONDS / 3600
    """How long the old one works on."""


class NewTeam(_Body):
    """A new team."""

    name: _Name
    limits: LimitsBody = LimitsBody()


class TeamChange(_Body):
    """What to change of a team."""

    limits: LimitsBody


class Move(_Body):
    """The team that a principal goes into; `null` is none."""

    team: _Name | None


def end_of(days: float | None) -> float | None:
    """A key's end in Unix seconds, so many days from now."""
    return None if days is None else time.time() + 86400 * days
