"""Bodies and queries of `/api/guards`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from athanor.guards.dryrun import MOST
from athanor.guards.reading import LONGEST
from athanor.server.wire.decoding import Incoming
from athanor.types import Decision, Origin

_Name = Annotated[str | None, Field(max_length=256, pattern="^[^\\x00]*$")]  # no database has a word for NUL
_Seconds = Annotated[float | None, Field(ge=0, allow_inf_nan=False)]
_Policies = Annotated[str, Field(max_length=LONGEST)]


class EventsQuery(BaseModel):
    """Which events."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    category: _Name = None
    """`pii.email`, or `pii.*` for a family."""
    decision: Decision | None = None
    """The policy's."""
    action: Decision | None = None
    """What was done."""
    origin: Origin | None = None
    guard: _Name = None
    principal: _Name = None
    """Name or id."""
    key: _Name = None
    """Name or id."""
    trace: _Name = None
    model: _Name = None
    since: _Seconds = None
    """Unix seconds."""
    before: _Seconds = None
    """Unix seconds."""
    after: _Name = None
    """Id of the last event of the page before."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class CheckBody(Incoming):
    """A text to try the guards on."""

    text: Annotated[str, Field(max_length=200_000)]
    origin: Origin = Origin.USER
    model: Annotated[str, Field(max_length=256)] = ""
    """By the policy of requests to this model."""
    base: Annotated[str | None, Field(max_length=256)] = None
    """By the policy of requests to this knowledge base."""
    key: Annotated[str | None, Field(max_length=256)] = None
    """By the policy of this key: a name or an id. Unset is the caller's own."""
    policies: _Policies | None = None
    """By these policies (TOML), in place of those in force."""


class PoliciesBody(Incoming):
    """Policies to put in force."""

    text: _Policies
    """TOML."""
    replaces: Annotated[str, Field(max_length=64)] | None = None
    """Version that they were made from; refused where another one is in force by now."""


class DryRunBody(Incoming):
    """Policies to try on stored traffic."""

    text: _Policies | None = None
    """TOML; unset tries those in force."""
    days: Annotated[float, Field(gt=0, le=3650)] = 7
    """How far back."""
    limit: Annotated[int, Field(ge=1, le=MOST)] = MOST
    """Requests, the newest first."""
