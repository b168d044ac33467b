"""The cache as the pipeline sees it: a request goes through it, and the engine is asked only where it must be."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from athanor.config import Settings
from athanor.engines import Embedder, Engine
from athanor.errors import AthanorError, EngineError
from athanor.gateway.cache.exact import Answers, Entry, cites
from athanor.gateway.cache.flight import Flight, Noted
from athanor.gateway.cache.keys import exact_key, rest_key
from athanor.gateway.cache.replay import entry_of, replay
from athanor.gateway.cache.semantic import Match, Question, Semantic
from athanor.store.shadows import Shadows
from athanor.types import Context, Event, Finished, FinishReason, Request, Started

Mode = Literal["off", "exact", "semantic"]


@dataclass(slots=True, kw_only=True)
class _Counts:
    hits: int = 0
    semantic: int = 0
    joined: int = 0
    misses: int = 0
    shadows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteState:
    """What the cache does for one model or route."""

    mode: Mode
    entries: int
    bytes: int
    hits: int
    """Answers given again, for the same request or for one that means the same."""
    semantic: int
    """Of the hits: for a request that means the same."""
    joined: int
    """Requests that read the answer to an identical one while it was made."""
    misses: int
    shadows: int
    """Hits that were answered anew all the same."""
    threshold: float | None
    """Similarity from which on answers are given by meaning; None: not shown to be safe."""
    samples: int
    """Comparisons at that threshold, or at the one that comes nearest to being granted."""
    errors: int
    """Of these: false hits."""
    bound: float
    """Upper bound of the share of false hits, at 95 % confidence."""
    problem: str = ""
    """For people: why nothing is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Miss:
    """A request that the engine has to answer, and what is known about it."""

    key: bytes
    question: Question | None = None
    match: Match | None = None


class Cache:
    """Gives answers again.

    Args:
        embedder: compares meanings; without one, `semantic` is as good as `exact`.
        shadows: where comparisons outlive the process.
        policy: version of the rules that answers go through before they are kept.
        clock: seconds that never go back.
        draw: a number from 0 to 1, different every time.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        embedder: Embedder | None = None,
        shadows: Shadows | None = None,
        policy: str = "",
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._clock = clock
        own = settings.cache
        self._answers = Answers(limit=own.max_mb << 20, ttl=own.ttl_s, clock=clock)
        self._erased: set[str] = set()
        self._flights: dict[bytes, Flight] = {}
        self._counts: dict[str, _Counts] = {}
        self._semantic = (
            None
            if embedder is None
            else Semantic(embedder, shadows, self._answers, allowed=own.false_hits, share=own.shadow, draw=draw)
        )

    def mode(self, route: str) -> Mode:
        """What the settings say about `route`."""
        found = self._settings.routes.get(route)
        return self._settings.cache.mode if found is None or found.cache is None else found.cache

    async def through(self, engine: Engine, request: Request, ctx: Context, scope: str) -> AsyncGenerator[Event, None]:
        """The answer to `request`: from memory, or from `engine`, whose events are passed on as they come.

        An answer from memory begins with a `Started` that says so, and has no usage; `ctx.span` gets `cache` and
        `saved` (US dollars).

        Args:
            scope: opaque; answers are given only to requests of the same scope.
        """
        mode, use, route = self.mode(request.model), request.cache, request.model
        key = None
        if mode != "off" and (use.read or use.write):
            key = exact_key(request, engine.profile, scope=scope, policy=self._policy)
        if key is None:
            events = engine.run(request, ctx)
        else:
            if route not in self._counts:
                self._counts[route] = _Counts()
            entry = self._answers.get(key, max_age=use.max_age) if use.read else None
            miss = _Miss(key=key)
            if entry is None and mode == "semantic":
                miss = await self._by_meaning(miss, engine, request, scope)
            if entry is not None or (miss.match is not None and not miss.match.shadow):
                events = self._hit(entry, miss.match, engine, request, ctx)
            else:
                events = self._missed(miss, engine, request, ctx)
        async with aclosing(events):
            async for event in events:
                yield event

    def states(self) -> dict[str, RouteState]:
        """What the cache does, by model or route."""
        return {route: self._state(route, counts) for route, counts in self._counts.items()}

    def erase(self, documents: Collection[str]) -> int:
        """Forget all answers, and keep none from now on that cites one of these documents (by id).

        All of them: a written answer can rest on a passage that it does not cite.

        Returns:
            How many there were that cite one.
        """
        self._erased.update(documents)
        found = sum(cites(entry.events, documents) for entry in self._answers.entries())
        self._answers.clear()
        return found

    def clear(self) -> None:
        """Forget all answers."""
        self._answers.clear()

    async def settle(self) -> None:
        """Wait until all comparisons are made."""
        if self._semantic is not None:
            await self._semantic.settle()

    async def aclose(self) -> None:
        """Stop comparing."""
        if self._semantic is not None:
            await self._semantic.aclose()

    async def _by_meaning(self, miss: _Miss, engine: Engine, request: Request, scope: str) -> _Miss:
        if self._semantic is None:
            return miss
        partition = rest_key(request, engine.profile, scope=scope, policy=self._policy)
        text = request.messages[-1].content if request.messages else ""
        question = self._semantic.question(request.model, partition, text)
        match = None
        if question is not None and request.cache.read:
            match = await self._semantic.find(question, max_age=request.cache.max_age)
        return _Miss(key=miss.key, question=question, match=match)

    async def _hit(
        self, entry: Entry | None, match: Match | None, engine: Engine, request: Request, ctx: Context
    ) -> AsyncGenerator[Event, None]:
        counts = self._counts[request.model]
        counts.hits += 1
        kind: Literal["exact", "semantic"] = "exact"
        if entry is None:
            assert match is not None
            entry, kind = match.entry, "semantic"
            counts.semantic += 1
            ctx.span.set(similarity=round(match.similarity, 4))
        ctx.span.set(cache=kind, saved=entry.cost)
        yield _started(entry.target, entry.dropped, kind, engine, ctx)
        for event in replay(entry, stream=request.stream):
            yield event

    def _missed(self, miss: _Miss, engine: Engine, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        use, counts = request.cache, self._counts[request.model]
        flight = self._flights.get(miss.key)
        if flight is not None and use.read and (use.max_age is None or use.max_age > 0):
            counts.joined += 1
            return self._follow(flight, engine, request, ctx)
        counts.misses += 1
        if miss.match is not None:
            counts.shadows += 1
            ctx.span.set(shadow=round(miss.match.similarity, 4))

        def ended(events: list[Event], noted: Noted) -> None:
            self._keep(miss, request.model, noted, events)

        if flight is not None or not use.write:
            return _alone(engine, request, ctx, ended if use.write else None)

        def left() -> None:
            if self._flights.get(miss.key) is lead:
                del self._flights[miss.key]

        lead = self._flights[miss.key] = Flight(engine, request, ctx, ended=ended, left=left)
        return lead.read()

    async def _follow(
        self, flight: Flight, engine: Engine, request: Request, ctx: Context
    ) -> AsyncGenerator[Event, None]:
        """The answer to an identical request, while it is made."""
        begun, paid = False, 0.0
        try:
            async with aclosing(flight.read()) as events:
                async for event in events:
                    paid += event.usage.cost
                    if not begun:
                        begun = True
                        ctx.span.set(cache="exact")
                        first = _started(flight.noted.target, flight.noted.dropped, "exact", engine, ctx)
                        yield replace(first, usage=event.usage) if isinstance(event, Started) else first
                    if isinstance(event, Started):
                        continue
                    if isinstance(event, Finished):
                        ctx.span.set(saved=max(0.0, flight.cost - paid))
                    yield event
            return
        except AthanorError as error:
            # What the model could not do for one it cannot do for another. Other errors may be about who asked first:
            # a budget, a right.
            if begun or isinstance(error, EngineError):
                raise
        async with aclosing(engine.run(request, ctx)) as events:
            async for event in events:
                yield event

    def _keep(self, miss: _Miss, route: str, noted: Noted, events: list[Event]) -> None:
        entry = entry_of(events, route=route, target=noted.target, dropped=noted.dropped, born=self._clock())
        if cites(events, self._erased):
            return
        if entry is None or not self._answers.put(miss.key, entry):
            return
        finished = entry.events[-1]
        whole = isinstance(finished, Finished) and finished.reason is FinishReason.STOP
        if whole and miss.question is not None and self._semantic is not None:
            self._semantic.learn(miss.question, miss.key, entry, miss.match)

    def _state(self, route: str, counts: _Counts) -> RouteState:
        calibration = self._semantic.calibration(route) if self._semantic is not None else None
        proof = calibration.proof() if calibration is not None else None
        return RouteState(
            mode=self.mode(route),
            entries=self._answers.counts[route],
            bytes=self._answers.sizes[route],
            hits=counts.hits,
            semantic=counts.semantic,
            joined=counts.joined,
            misses=counts.misses,
            shadows=counts.shadows,
            threshold=None if calibration is None else calibration.threshold,
            samples=0 if proof is None else proof.samples,
            errors=0 if proof is None else proof.errors,
            bound=1.0 if proof is None else proof.bound,
            problem=self._problem(route),
        )

    def _problem(self, route: str) -> str:
        if self.mode(route) != "semantic":
            return ""
        return "There is no embedder." if self._semantic is None else self._semantic.problem


def _started(
    target: str, dropped: tuple[str, ...], kind: Literal["exact", "semantic"], engine: Engine, ctx: Context
) -> Started:
    """The first event, said in the span too, as engines do."""
    if target:
        ctx.span.set(target=target)
    if dropped:
        ctx.span.set(dropped=list(dropped))
    return Started(target=target or engine.profile.name, cached=kind, dropped=dropped)


async def _alone(
    engine: Engine, request: Request, ctx: Context, ended: Callable[[list[Event], Noted], None] | None
) -> AsyncGenerator[Event, None]:
    """The engine's events; all of them to `ended`, once the answer is finished."""
    kept: list[Event] = []
    noted = Noted(ctx.span)
    async with aclosing(engine.run(request, replace(ctx, span=noted))) as events:
        async for event in events:
            if ended is not None:
                kept.append(event)
                if isinstance(event, Finished):
                    ended(kept, noted)
            yield event
