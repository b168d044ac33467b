"""Leave a model alone that keeps failing, and find out with a single request when it is well again."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from enum import StrEnum
from typing import Any

from athanor.engines.base import Engine
from athanor.engines.wrappers.base import Wrapper, speaks
from athanor.errors import EngineError, EngineUnavailableError
from athanor.types import Context, Event, Request

_LONGEST = 600.0
"""Seconds that a breaker stays open without another try, whatever `Retry-After` says and however many tries failed."""


class BreakerOpenError(EngineUnavailableError):
    """The model was not asked: it failed too often just now. `retry_after` says when it is tried again."""


class BreakerState(StrEnum):
    """What a breaker lets through."""

    CLOSED = "closed"
    """Requests pass."""
    OPEN = "open"
    """No request passes."""
    HALF_OPEN = "half_open"
    """One request passes; the others wait for what becomes of it."""


class Breaker:
    """The breaker of one model, shared by all that use it.

    Failures in a row open it: a success in between starts the count anew. What a request that began before the last
    change has to say is not heard, so that a slow stream from better days does not close it.

    Args:
        failures: so many in a row open it.
        pause: seconds that it stays open; doubles with each try that fails in between, so that a model which hangs
            does not cost one caller's patience every time.
        now: seconds since some moment.
    """

    def __init__(
        self, name: str, *, failures: int = 5, pause: float = 30.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._limit = failures
        self._pause = pause
        self._now = now
        self._failures = 0
        self._strikes = 0
        self._until: float | None = None
        self._era = 0
        self._probe: int | None = None
        self.opened = 0
        """How often it has opened."""
        self.reason = ""
        """Code of the error that opened it last."""

    @property
    def state(self) -> BreakerState:
        if self._until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._now() < self._until else BreakerState.HALF_OPEN

    @property
    def remaining(self) -> float:
        """Seconds until a request may try the model again; 0 if one may now."""
        if self._until is None:
            return 0.0
        left = self._until - self._now()
        return left if left > 0 else 1.0 if self._probe is not None else 0.0

    @property
    def ready(self) -> bool:
        """Would a request pass now."""
        return self._until is None or (self._probe is None and self._now() >= self._until)

    def tighten(self, *, failures: int, pause: float) -> None:
        """Of several settings for one model, the most careful counts."""
        self._limit = min(self._limit, failures)
        self._pause = max(self._pause, pause)

    def enter(self) -> int | None:
        """A permit for one request, to be handed back by `leave`; `None` if it may not pass."""
        if not self.ready:
            return None
        if self._until is not None:
            self._era += 1
            self._probe = self._era
        return self._era

    def spoke(self, permit: int) -> None:
        """The model has begun to answer: a probe need not hold up the others until its end."""
        if permit == self._probe:
            self._close()

    def succeeded(self, permit: int) -> None:
        """The answer came to its end."""
        if permit == self._probe:
            self._close()
        elif permit == self._era and self._until is None:
            self._failures = 0

    def failed(self, permit: int, error: EngineError) -> None:
        """The model failed."""
        if permit != self._era:
            return
        self._failures += 1
        if permit == self._probe or self._failures >= self._limit:
            self._era += 1
            self._probe = None
            pause = max(self._pause * 2**self._strikes, error.retry_after or 0.0)
            self._until = self._now() + min(pause, max(_LONGEST, self._pause))
            self._strikes = min(self._strikes + 1, 16)
            self.opened += 1
            self.reason = error.code

    def leave(self, permit: int) -> None:
        """The request is over. A probe that neither succeeded nor failed (its caller left) lets another one in."""
        if permit == self._probe:
            self._probe = None

    def reset(self) -> None:
        """Close it, whatever it has seen."""
        self._close()

    def describe(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "state": self.state,
            "failures": self._failures,
            "opened": self.opened,
            "reason": self.reason if self._until is not None else "",
            "retry_after": round(self.remaining, 1),
        }

    def _close(self) -> None:
        # The era stays: the probe goes on as an ordinary request.
        self._probe = None
        self._until = None
        self._failures = 0
        self._strikes = 0


class Breakers:
    """The breakers of all models, by name."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._breakers: dict[str, Breaker] = {}

    def get(self, name: str, *, failures: int = 5, pause: float = 30.0) -> Breaker:
        """The breaker of `name`, made if need be, and as careful as this caller wants it at least."""
        found = self._breakers.get(name)
        if found is None:
            found = self._breakers[name] = Breaker(name, failures=failures, pause=pause, now=self._now)
        else:
            found.tighten(failures=failures, pause=pause)
        return found

    def __iter__(self) -> Iterator[Breaker]:
        return iter(list(self._breakers.values()))

    def describe(self) -> dict[str, dict[str, Any]]:
        """Model → the state of its breaker."""
        return {breaker.name: breaker.describe() for breaker in self}


class BreakerEngine(Wrapper):
    """Asks `inner` only while its breaker lets requests pass.

    Failures of the engine count, wherever in the answer they happen; what is wrong with a request says nothing about
    the model.
    """

    def __init__(self, inner: Engine, breaker: Breaker) -> None:
        super().__init__(inner)
        self._breaker = breaker

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        breaker = self._breaker
        permit = breaker.enter()
        if permit is None:
            left = breaker.remaining
            raise BreakerOpenError(
                f"The model {breaker.name} failed several times in a row and is left alone for now.",
                where=breaker.name,
                hint=f"It is tried again in {left:.0f} s.",
                retry_after=left,
            )
        begun = False
        try:
            async with aclosing(self._inner.run(request, ctx)) as events:
                async for event in events:
                    if not begun and speaks(event):
                        begun = True
                        breaker.spoke(permit)
                    yield event
            breaker.succeeded(permit)
        except EngineError as error:
            breaker.failed(permit, error)
            raise
        finally:
            breaker.leave(permit)
