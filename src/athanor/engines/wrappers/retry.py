"""Ask the same model again when it failed before it said anything."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from athanor.engines.base import Engine
from athanor.engines.wrappers.attempt import Note, attempt, note_nothing
from athanor.engines.wrappers.base import Clock, RealClock, Wrapper, speaks
from athanor.engines.wrappers.breaker import BreakerOpenError
from athanor.engines.wrappers.failures import may_repeat
from athanor.errors import AthanorError
from athanor.types import Context, Event, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Back-off with full jitter: a pause is drawn from 0 to `first_pause` · 2ⁿ, so that callers that failed together
    do not come back together."""

    attempts: int = 2
    """The first included."""
    first_pause: float = 0.25
    """Seconds."""
    longest_pause: float = 8.0
    """Seconds. A vendor that asks for more is given up."""
    total: float = 600.0
    """Seconds from the request, after which no further try begins."""


class RetryEngine(Wrapper):
    """Tries `inner` up to `attempts` times, each under a span of its own, until it has said something.

    Events that say nothing and report usage (see `speaks`) pass at once, so that no try goes unpaid.

    Args:
        target: the model's name, for spans.
        note: told of the outcome of every try.
    """

    def __init__(
        self,
        inner: Engine,
        target: str,
        policy: RetryPolicy | None = None,
        *,
        clock: Clock | None = None,
        dice: random.Random | None = None,
        note: Note = note_nothing,
    ) -> None:
        super().__init__(inner)
        self._target = target
        self._policy = policy or RetryPolicy()
        self._clock = clock or RealClock()
        self._dice = dice or random.Random()  # noqa: S311  spreads load, guards nothing
        self._note = note

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        wait, tried = 0.0, 0
        before: AthanorError | None = None
        until = self._clock.now() + self._policy.total
        while True:
            tried += 1
            begun = False
            try:
                tries = attempt(self._inner, self._target, request, ctx, wait=wait, note=self._note)
                async with aclosing(tries) as events:
                    async for event in events:
                        begun = begun or speaks(event)
                        yield event
                return
            except BreakerOpenError:
                if before is None:
                    raise
                raise before from None  # why it was opened, just now, says more
            except AthanorError as error:
                before = error
                pause = None if begun else self._pause(error, tried)
                if pause is None or self._clock.now() + pause >= until:
                    raise
                wait = pause
            await self._clock.sleep(wait)

    def _pause(self, error: AthanorError, tried: int) -> float | None:
        """Seconds before the next try; `None` if there is to be none."""
        policy = self._policy
        if tried >= policy.attempts or not may_repeat(error):
            return None
        asked = error.retry_after or 0.0
        if asked > policy.longest_pause:
            return None
        jitter = self._dice.uniform(0, min(policy.longest_pause, policy.first_pause * 2 ** (tried - 1)))
        # Nobody comes back before the vendor's time, and not all at that very moment.
        return min(policy.longest_pause, asked + jitter) if asked else jitter
