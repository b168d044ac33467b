"""Guards one after the other, and the policy that has the last word."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from athanor.guards.base import Guard
from athanor.types import Context, Event, Request


class Guarded:
    """One request on its way through the guards."""

    def __init__(self, request: Request) -> None:
        self.request = request
        """As it may go on: redacted where the policy says so."""

    def checked(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The answer as it may be recorded; pieces are held back until they are sure."""
        return events

    def revealed(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The answer as its caller sees it: with what pseudonyms stand for."""
        return events


class Chain:
    """All guards of a running system."""

    def __init__(self, guards: Sequence[Guard] = ()) -> None:
        self.guards = tuple(guards)

    async def admit(self, request: Request, ctx: Context) -> Guarded:
        """Check every message of `request`.

        Raises:
            BlockedError: the policy refuses it.
        """
        return Guarded(request)
