"""What all wrappers share."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from athanor.engines.base import Engine
from athanor.types import EngineState, Event, Profile, ReasoningDelta, Started, TextDelta


class Clock(Protocol):
    """Time as wrappers see it, so that a test need not wait."""

    def now(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class RealClock:
    """The machine's own."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Wrapper:
    """An engine that is another one in all but `run`.

    Closing it closes nothing: the inner engine belongs to whoever made it, and may be in use by others.
    """

    def __init__(self, inner: Engine) -> None:
        self._inner = inner

    @property
    def profile(self) -> Profile:
        return self._inner.profile

    def state(self) -> EngineState:
        return self._inner.state()

    async def start(self) -> None:
        await self._inner.start()

    async def aclose(self) -> None:
        """Nothing of its own is open."""


def speaks(event: Event) -> bool:
    """Is this a piece of an answer, and no mere report of usage: after it, a try cannot be taken back."""
    match event:
        case TextDelta():
            return bool(event.text)
        case ReasoningDelta():
            return bool(event.text or event.signature or event.redacted)
        case Started():
            return False
    return True
