"""The port of everything that checks requests and answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, runtime_checkable

from athanor.types import Context, Event, Request


@runtime_checkable
class Guard(Protocol):
    """Looks at what comes in and what goes out. To block, it raises an `AthanorError`; to redact, it changes it."""

    async def check_input(self, request: Request, ctx: Context) -> Request:
        """The request, as it may go on."""
        ...

    def check_output(self, events: AsyncGenerator[Event, None], ctx: Context) -> AsyncGenerator[Event, None]:
        """The answer, as it may go out; it may hold pieces back until it is sure of them."""
        ...
