"""Guards one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from athanor.guards.base import Guard
from athanor.types import Context, Event, Request


class Chain:
    """A `Guard` made of guards. The input passes them in order, the output in reverse; empty, it costs nothing."""

    def __init__(self, guards: Sequence[Guard] = ()) -> None:
        self._guards = tuple(guards)

    async def check_input(self, request: Request, ctx: Context) -> Request:
        for guard in self._guards:
            request = await guard.check_input(request, ctx)
        return request

    def check_output(self, events: AsyncGenerator[Event, None], ctx: Context) -> AsyncGenerator[Event, None]:
        for guard in reversed(self._guards):
            events = guard.check_output(events, ctx)
        return events
