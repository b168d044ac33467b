"""Ask models one after the other until one answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from athanor.engines.base import Engine
from athanor.engines.wrappers.base import speaks
from athanor.engines.wrappers.failures import bill, is_too_long, may_replace
from athanor.errors import AthanorError, EngineError, EngineTimeoutError, EngineUnavailableError
from athanor.types import NO_USAGE, Context, EngineState, EngineStatus, Event, Profile, Request, Usage

Adapt = Callable[[Request], tuple[Request, tuple[str, ...]]]
"""Gives the request as one model can take it, and the names of what had to be left out."""


def as_it_is(request: Request) -> tuple[Request, tuple[str, ...]]:
    """Leaves nothing out."""
    return request, ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may answer."""

    name: str
    engine: Engine
    adapt: Adapt = as_it_is

    def answers(self, ctx: Context, dropped: tuple[str, ...]) -> None:
        """Note in the span of the whole request who answers it, and what was left out for that."""
        ctx.span.set(target=self.name)
        if dropped:
            ctx.span.set(dropped=list(dropped))


Order = Callable[[Request, Context], Awaitable[Sequence[Candidate]]]
"""Which models to ask for a request, the first choice first. May raise where none may be asked."""


@dataclass(slots=True)
class Failures:
    """What went wrong so far, and what was used without an event to carry it."""

    errors: list[AthanorError] = field(default_factory=list)
    owed: Usage = NO_USAGE
    too_small: int = 0
    """A model with a context of so many tokens has refused the request for its length."""

    def add(self, candidate: Candidate, error: AthanorError, *, last: bool = True) -> None:
        """Take in the failure of a candidate that had said nothing.

        Args:
            last: no other candidate is at work.

        Raises:
            AthanorError: `error` itself, if no other model may be asked after it.
        """
        long = is_too_long(error)
        if last and not long and not may_replace(error):
            bill(error, self.owed)
            raise error
        if long:
            self.too_small = max(self.too_small, candidate.engine.profile.context)
        self.errors.append(error)

    def charge(self, event: Event) -> Event:
        """`event`, with what is owed."""
        if self.owed is NO_USAGE:
            return event
        owed, self.owed = self.owed, NO_USAGE
        return replace(event, usage=event.usage + owed)

    def rules_out(self, candidate: Candidate) -> bool:
        """Is it of no use to ask `candidate` after all that."""
        return bool(self.too_small) and candidate.engine.profile.context <= self.too_small

    def worst(self) -> AthanorError:
        """The one error for the caller: that it may try later says more than any other; else the first choice's."""
        later = [error for error in self.errors if isinstance(error, EngineUnavailableError)]
        error = min(later, key=lambda e: e.retry_after or 0.0) if later else self.errors[0]
        bill(error, self.owed)
        for other in self.errors:
            if other is not error:
                error.add_note(f"Also: {other}")
        return error


class FallbackEngine:
    """Asks the models of `order` until one has begun to answer; after that, an error is the caller's.

    Nothing leaves before a model has said something, not even its reports of usage. What models have used that failed
    is added to the next event that leaves, or noted on the error (`spent`).

    Args:
        profile: gives what is promised for all of them.
        total: seconds from the request to the beginning of an answer, at most.
    """

    def __init__(self, order: Order, profile: Callable[[], Profile], *, total: float = 600.0) -> None:
        self._order = order
        self._profile = profile
        self._total = total

    @property
    def profile(self) -> Profile:
        return self._profile()

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        deadline = asyncio.get_running_loop().time() + self._total
        failures = Failures()
        for candidate in await self._order(request, ctx):
            if failures.rules_out(candidate):
                continue
            begun = False
            adapted, dropped = candidate.adapt(request)
            try:
                async with aclosing(candidate.engine.run(adapted, ctx)) as events:
                    first = await self._first(events, failures, deadline)
                    begun = True
                    candidate.answers(ctx, dropped)
                    yield failures.charge(first)
                    async for event in events:
                        yield event
                return
            except AthanorError as error:
                if begun:
                    raise
                failures.add(candidate, error)
            except asyncio.CancelledError as error:
                if not begun:
                    bill(error, failures.owed)
                raise
            if asyncio.get_running_loop().time() >= deadline:
                break
        raise failures.worst()

    async def _first(self, events: AsyncGenerator[Event, None], failures: Failures, deadline: float) -> Event:
        """The first event that says something. What the others report is owed from then on.

        Raises:
            EngineTimeoutError: there was none until `deadline`.
            EngineError: there was none at all.
        """
        try:
            async with asyncio.timeout_at(deadline) as scope:
                async for event in events:
                    if speaks(event):
                        return event
                    failures.owed += event.usage
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise self._late() from error
        raise EngineError("The model ended its answer before it began.")

    def _late(self) -> EngineTimeoutError:
        return EngineTimeoutError(
            f"No model of the route has begun to answer within {self._total:g} s.", where=self.profile.name
        )

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="route")

    async def start(self) -> None:
        """There is nothing to load: each model loads when it is first asked."""

    async def aclose(self) -> None:
        """Nothing of its own is open."""
