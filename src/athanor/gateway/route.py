"""One route: an engine that stands for several models."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from athanor.config import RouteSettings
from athanor.engines import Embedder, Engine
from athanor.engines.wrappers import (
    Breaker,
    BreakerOpenError,
    Breakers,
    Candidate,
    Clock,
    FallbackEngine,
    HedgeEngine,
    Load,
    Loads,
    RealClock,
    Wrapper,
)
from athanor.engines.wrappers.attempt import Note, note_nothing
from athanor.errors import AthanorError, ConfigError
from athanor.gateway import choice
from athanor.gateway.choice import Demand, Option
from athanor.gateway.classify import Classifier
from athanor.gateway.promise import merged
from athanor.types import AnswerMode, Context, EngineState, EngineStatus, Event, Profile, Request

EngineOf = Callable[[str], Awaitable[Engine]]
"""Gives the engine of a model by its name; raises an `AthanorError` where that cannot be had."""


@dataclass(slots=True, kw_only=True)
class Shared:
    """What routes have in common, and what tests replace."""

    breakers: Breakers = field(default_factory=Breakers)
    loads: Loads = field(default_factory=Loads)
    embedder: Embedder | None = None
    """For routes by task."""
    clock: Clock = field(default_factory=RealClock)
    dice: random.Random = field(default_factory=random.Random)
    note: Note = note_nothing
    """Told of every try: target, outcome."""
    total_s: float = 600.0
    """Seconds from a request to the beginning of its answer, over all tries."""
    find_s: float = 10.0
    """Seconds to wait for models to be found, once one is: a fallback that is being downloaded must not hold up the
    others."""


class Member:
    """A model of a route. It is found when the route is built, or, if that failed, when it is next asked."""

    def __init__(self, name: str, engine_of: EngineOf) -> None:
        self.name = name
        self._engine_of = engine_of
        self._engine: Engine | None = None
        self.error: AthanorError | None = None
        """Why it was not found."""

    @property
    def known(self) -> Profile | None:
        """Its profile; `None` until it is found."""
        return self._engine.profile if self._engine is not None else None

    @property
    def profile(self) -> Profile:
        return self.known or Profile(name=self.name, context=1 << 40, licence="unknown", grounded=AnswerMode.EXTRACTIVE)

    async def find(self) -> Engine:
        """The engine itself.

        Raises:
            AthanorError: it cannot be had.
        """
        if self._engine is None:
            try:
                self._engine = await self._engine_of(self.name)
            except AthanorError as error:
                self.error = error
                raise
            self.error = None
        return self._engine

    def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        return self._engine.run(request, ctx) if self._engine is not None else self._find_and_run(request, ctx)

    async def _find_and_run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        engine = await self.find()
        async with aclosing(engine.run(request, ctx)) as events:
            async for event in events:
                yield event

    def state(self) -> EngineState:
        if self._engine is not None:
            return self._engine.state()
        if self.error is not None:
            return EngineState(status=EngineStatus.FAILED, backend="", detail=str(self.error))
        return EngineState(status=EngineStatus.STOPPED, backend="")

    async def start(self) -> None:
        await (await self.find()).start()

    async def aclose(self) -> None:
        """The engine belongs to whoever gave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A member with all that stands before it."""

    member: Member
    breaker: Breaker
    load: Load
    candidate: Candidate

    def option(self) -> Option:
        """What the choice is made by."""
        return Option(name=self.member.name, load=self.load, profile=self.member.known)


class Route(Wrapper):
    """An engine that stands for several models. `build_route` makes it."""

    def __init__(
        self,
        name: str,
        settings: RouteSettings,
        branches: Mapping[str, Branch],
        shared: Shared,
        classifier: Classifier | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.classifier = classifier
        self.branches = branches
        self._shared = shared
        self.finding: set[asyncio.Task[None]] = set()
        """Models that are still looked for."""
        self._merged: tuple[tuple[Profile | None, ...], Profile] | None = None
        chain = FallbackEngine(self._order, self._profile, total=shared.total_s)
        if settings.hedge_after_s is not None:
            after = settings.hedge_after_s
            chain = HedgeEngine(self._order, self._profile, after=after, total=shared.total_s)
        super().__init__(chain)

    def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        return self._inner.run(request, ctx)

    def state(self) -> EngineState:
        """Of the model that is best off: the route works as long as one does."""
        states = [branch.member.state() for branch in self.branches.values()]
        ranks = (EngineStatus.READY, EngineStatus.LOADING, EngineStatus.STOPPED, EngineStatus.BACKING_OFF)
        for status in ranks:
            if status in {state.status for state in states}:
                return EngineState(status=status, backend="route")
        return EngineState(status=EngineStatus.FAILED, backend="route", detail=states[0].detail)

    async def start(self) -> None:
        """Begin loading the first choice; the others load when they are asked."""
        await self.branches[self.settings.use[0]].member.start()

    def demand(self, request: Request, label: str | None = None) -> Demand:
        """What `request` needs, as far as this route's choice looks at it."""
        return choice.demand_of(request, prefix=self.settings.pick == "least_busy", label=label)

    def chain(self, demand: Demand) -> list[Branch]:
        """Who is to be asked for `demand`, in order, whether or not it is left alone just now (see `choice.chain`).

        Raises:
            ConfigError: no model may be picked.
        """
        options = {name: branch.option() for name, branch in self.branches.items()}
        names = choice.chain(self.settings, demand, options, self._shared.dice)
        if not names:
            raise ConfigError(
                f"No model of the route reaches its quality floor of {self.settings.quality_floor:g}.",
                where=f"routes.{self.name}.quality_floor",
                hint="Lower it, or state the `quality` of the models.",
            )
        return [self.branches[name] for name in names]

    async def label(self, request: Request, ctx: Context) -> str | None:
        """What the classifier takes the request for; `None` where it is unsure, or the embedder fails."""
        if self.classifier is None or self._shared.embedder is None or not request.question.strip():
            return None
        with ctx.span.child("classify") as span:
            try:
                vectors = await self._shared.embedder.embed([request.question], kind="query")
            except AthanorError as error:
                # A broken embedder must not take the models away: the first of them is good enough for everything.
                span.set(outcome=error.code)
                return None
            label = self.classifier.label(vectors.data)
            span.set(label=label or "unsure")
            return label

    async def _order(self, request: Request, ctx: Context) -> Sequence[Candidate]:
        chain = self.chain(self.demand(request, await self.label(request, ctx)))
        ready = [branch.candidate for branch in chain if branch.breaker.ready]
        if len(ready) < len(chain):
            ctx.span.set(left_alone=[branch.member.name for branch in chain if not branch.breaker.ready])
        if not ready:
            left = min(branch.breaker.remaining for branch in chain)
            raise BreakerOpenError(
                f"Every model of the route {self.name} that could answer failed several times in a row and is left "
                "alone for now.",
                where=self.name,
                hint=f"One of them is tried again in {left:.0f} s.",
                retry_after=left,
            )
        return ready

    def _profile(self) -> Profile:
        known = tuple(branch.member.known for branch in self.branches.values())
        if self._merged is None or self._merged[0] != known:
            at_once = 1 if self.settings.hedge_after_s is None else min(2, len(known))
            profiles = [profile for profile in known if profile is not None]
            self._merged = (known, merged(self.name, profiles, at_once=at_once))
        return self._merged[1]

    def describe(self) -> dict[str, Any]:
        """For people and programs: settings, and how its models are."""
        settings = self.settings
        return {
            "name": self.name,
            "pick": settings.pick,
            "quality_floor": settings.quality_floor,
            "attempts": settings.retry.attempts,
            "hedge_after_s": settings.hedge_after_s,
            "models": [self._card(branch) for branch in self.branches.values()],
            "classifier": None
            if self.classifier is None
            else {"labels": self.classifier.labels, "confidence": self.classifier.confidence}
            | {"embedder": self.classifier.embedder, **self.classifier.figures},
        }

    def _card(self, branch: Branch) -> dict[str, Any]:
        settings, name, profile = self.settings, branch.member.name, branch.member.known
        price = profile.price if profile is not None else None
        return {
            "name": name,
            "role": role_of(settings, name),
            "weight": settings.weights.get(name),
            "labels": [label for task in settings.tasks if task.model == name for label in task.labels],
            "status": branch.member.state().status,
            "error": str(branch.member.error) if branch.member.error else "",
            "quality": profile.quality if profile else None,
            "context": profile.context if profile else None,
            "lacks": sorted(profile.lacks) if profile else [],
            "remote": profile.remote if profile else None,
            "price": {"prompt": price.prompt, "completion": price.completion, "second": price.second}
            if price
            else None,
            "breaker": branch.breaker.describe(),
            "load": branch.load.describe(),
        }


def role_of(settings: RouteSettings, model: str) -> str:
    """What a model is to a route: `use`, `fallback` or `task`."""
    return "use" if model in settings.use else "fallback" if model in settings.fall_back_to else "task"
