"""Routes: from `[routes.NAME]` to an engine that is several models.

FallbackEngine or HedgeEngine      in the order that `choice` gives, without what does not fit or is left alone
  └ RetryEngine                    the tries of one model, each a span
      └ BreakerEngine              shared by all routes that use the model
          └ LoadEngine             counts and times, likewise shared
              └ the model
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio

from athanor.config import RouteSettings
from athanor.engines import Embedder
from athanor.engines.needs import without_lacking
from athanor.engines.wrappers import BreakerEngine, Candidate, LoadEngine, RetryEngine
from athanor.engines.wrappers.retry import RetryPolicy
from athanor.errors import AthanorError, ConfigError, NotFoundError
from athanor.gateway import choice
from athanor.gateway.classify import Classifier
from athanor.gateway.route import Branch, EngineOf, Member, Route, Shared, role_of
from athanor.observe import Metrics
from athanor.types import Request


async def build_route(name: str, settings: RouteSettings, engine_of: EngineOf, shared: Shared, home: Path) -> Route:
    """The engine of a route. Its models are found at once, so that their prices and contexts are known.

    A model that cannot be found does not spoil the others: it is looked for again when its turn comes. One that takes
    long to be found is waited for when its turn comes.

    Args:
        home: the folder of all state, where classifiers are.

    Raises:
        ConfigError: the settings contradict themselves, or the classifier is missing or for another embedder.
        AthanorError: not one of the models can be found.
    """
    choice.check(name, settings)
    classifier = None
    if settings.pick == "task":
        if shared.embedder is None:
            raise ConfigError("A route by task needs an embedder.", where=f"routes.{name}")
        classifier = Classifier.load(classifier_path(name, settings, home), embedder=shared.embedder.profile.id)
    models = dict.fromkeys([*choice.names_of(settings), *settings.fall_back_to])
    branches = {model: _branch(model, settings, engine_of, shared) for model in models}
    members = [branch.member for branch in branches.values()]
    finding = {asyncio.create_task(_try_to_find(member)) for member in members}
    while finding:
        known = any(member.known is not None for member in members)
        done, finding = await asyncio.wait(
            finding, timeout=shared.find_s if known else None, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            break
    if all(member.known is None for member in members):
        raise members[0].error or NotFoundError("The route has no model.", where=name)
    route = Route(name, settings, branches, shared, classifier)
    route.finding = finding
    return route


def _branch(model: str, settings: RouteSettings, engine_of: EngineOf, shared: Shared) -> Branch:
    member, load = Member(model, engine_of), shared.loads.get(model)
    limits = settings.breaker
    breaker = shared.breakers.get(model, failures=limits.failures, pause=limits.pause_s)
    policy = RetryPolicy(
        attempts=settings.retry.attempts,
        first_pause=settings.retry.first_pause_s,
        longest_pause=settings.retry.longest_pause_s,
        total=shared.total_s,
    )
    guarded = BreakerEngine(LoadEngine(member, load, now=shared.clock.now), breaker)
    engine = RetryEngine(guarded, model, policy, clock=shared.clock, dice=shared.dice, note=shared.note)
    candidate = Candidate(name=model, engine=engine, adapt=partial(_adapt, member))
    return Branch(member=member, breaker=breaker, load=load, candidate=candidate)


def _adapt(member: Member, request: Request) -> tuple[Request, tuple[str, ...]]:
    return without_lacking(request, member.profile)


async def _try_to_find(member: Member) -> None:
    try:
        await member.find()
    except AthanorError:
        return  # kept on the member, and looked for again when it is asked


def classifier_path(name: str, settings: RouteSettings, home: Path) -> Path:
    """Where the classifier of a route is."""
    # A name may hold slashes and dots; as a file it must not lead anywhere else.
    return settings.classifier or home / "routes" / f"{quote(name, safe='')}.json"


class Routes:
    """All routes by name, built when they are first asked for.

    Args:
        engine_of: the engine of a model. It must not resolve routes: a route is made of models.
        total_s: seconds from a request to the beginning of its answer, over all tries; for an answer in one piece that
            is its end, so no less than any model's own `total_s`.

    Raises:
        ConfigError: the settings of a route contradict themselves.
    """

    def __init__(
        self,
        settings: Mapping[str, RouteSettings],
        engine_of: EngineOf,
        *,
        home: Path,
        embedder: Embedder | None = None,
        metrics: Metrics | None = None,
        total_s: float = 600.0,
    ) -> None:
        for name, route in settings.items():
            choice.check(name, route)
        self._settings = settings
        self._engine_of = engine_of
        self._home = home
        self._routes: dict[str, Route] = {}
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)
        self.shared = Shared(embedder=embedder, total_s=total_s)
        if metrics is not None:
            tries = metrics.counter("athanor_attempts_total", "Tries of models by routes.", ("model", "outcome"))
            self.shared.note = lambda target, outcome: tries.add(model=target, outcome=outcome)
            metrics.gauge("athanor_breakers_open", "Models that are left alone.", self._open)

    def __contains__(self, name: str) -> bool:
        return name in self._settings

    def names(self) -> list[str]:
        return list(self._settings)

    def settings_of(self, name: str) -> RouteSettings:
        """The settings of a route.

        Raises:
            NotFoundError: there is none of this name.
        """
        if name not in self._settings:
            raise NotFoundError(
                f"There is no route named {name!r}.", where="route", hint="'athanor route list' shows those there are."
            )
        return self._settings[name]

    async def get(self, name: str) -> Route:
        """The route called `name`, built if this is the first call.

        Raises:
            NotFoundError: there is none.
            AthanorError: see `build_route`.
        """
        found = self._routes.get(name)
        if found is None:
            settings = self.settings_of(name)
            async with self._locks[name]:
                found = self._routes.get(name)
                if found is None:
                    found = await build_route(name, settings, self._engine_of, self.shared, self._home)
                    self._routes[name] = found
        return found

    async def draft(self, name: str, settings: RouteSettings) -> Route:
        """A route that serves nobody: for trying `settings` on stored traffic. It shares nothing that it could wear."""
        shared = Shared(embedder=self.shared.embedder, dice=random.Random(0))  # noqa: S311  the same each time
        return await build_route(name, settings, self._engine_of, shared, self._home)

    def adopt(self, name: str, classifier: Classifier) -> Path:
        """Keep a route's new classifier, and use it from the next request on; the file that holds it.

        Raises:
            NotFoundError: there is no such route.
        """
        path = classifier_path(name, self.settings_of(name), self._home)
        classifier.save(path)
        self._routes.pop(name, None)
        return path

    async def describe(self, name: str) -> dict[str, Any]:
        """A route for people; one that cannot be built says why in `error`.

        Raises:
            NotFoundError: there is none.
        """
        self.settings_of(name)
        try:
            return {**(await self.get(name)).describe(), "error": ""}
        except AthanorError as error:
            return {**self.outline(name), "error": str(error)}

    def outline(self, name: str) -> dict[str, Any]:
        """A route as its settings have it. What is known of its models is in it where it was used already.

        Listing must not look for models: one from a hub would be loaded for that.

        Raises:
            NotFoundError: there is none.
        """
        settings = self.settings_of(name)
        if name in self._routes:
            return {**self._routes[name].describe(), "error": ""}
        models = dict.fromkeys([*choice.names_of(settings), *settings.fall_back_to])
        return {
            "name": name,
            "pick": settings.pick,
            "models": [{"name": model, "role": role_of(settings, model)} for model in models],
            "classifier": None,
            "error": "",
        }

    def _open(self) -> float:
        return float(sum(not breaker.ready for breaker in self.shared.breakers))
