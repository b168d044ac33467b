"""Which model of a route is asked first.

Pure functions of what a request needs and of what is known about the models, so that live traffic and the replay of
stored traffic are decided by the same lines.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from athanor.config import RouteSettings
from athanor.engines.needs import needs
from athanor.engines.wrappers import Load
from athanor.errors import ConfigError
from athanor.gateway.limits import estimate
from athanor.types import Message, Profile, Request, Role, Sampling, Usage

EXPLORE = 0.05
"""Share of the requests of `fastest` that go to another model than the fastest, so that its figures stay fresh."""
ANSWER = 256
"""Tokens of an answer, where nothing was measured and the request bounds it no tighter."""
_PREFIX = 1024
"""Characters of each message that decide where a conversation's prefix is."""
_DROPPABLE = frozenset(Sampling.__dataclass_fields__) | {"thinking", "logprobs"}
"""What a model may leave out and still answer the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a request needs, as far as the choice of a model goes."""

    prompt: int
    """Tokens, estimated."""
    limit: int | None = None
    """Tokens of the answer, at most, where the request says so."""
    needs: frozenset[str] = frozenset()
    """Names as in `Profile.lacks`."""
    prefix: str = ""
    """The same for requests that begin with the same text."""
    label: str | None = None
    """What the route's classifier takes it for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A model of a route, and what is known of it."""

    name: str
    load: Load
    profile: Profile | None = None
    """`None` while the model has not been found."""


def demand_of(request: Request, *, prefix: bool = False, label: str | None = None) -> Demand:
    """What `request` needs. `prefix` costs a hash and is for choices that look at it."""
    return Demand(
        # The estimate is an upper one, for holds; four bytes a token are nearer to most texts.
        prompt=estimate(request) * 3 // 4,
        limit=request.sampling.max_tokens,
        needs=frozenset(needs(request)),
        prefix=prefix_of(request.messages) if prefix else "",
        label=label,
    )


def prefix_of(messages: Sequence[Message]) -> str:
    """The same for all turns of a conversation: its system prompt and first question."""
    digest = hashlib.blake2b(digest_size=8)
    for message in messages:
        digest.update(f"{message.role}\0{message.content[:_PREFIX]}\0".encode())
        if message.role is Role.USER:
            break
    return digest.hexdigest()


def fits(profile: Profile | None, demand: Demand) -> bool:
    """Can this model serve the request: does its context hold the prompt, and does it know what is needed.

    A model whose settings say `drop` may leave out parameters, but no tools, pictures, files or schemas: without these
    the answer would be to another question.
    """
    if profile is None:
        return True
    missing = demand.needs & profile.lacks
    if "json_schema" in demand.needs and not profile.json_schema:
        missing |= {"json_schema"}
    if profile.drop:
        missing -= _DROPPABLE
    return not missing and demand.prompt < profile.context


def chain(settings: RouteSettings, demand: Demand, options: Mapping[str, Option], dice: random.Random) -> list[str]:
    """Names of the models to ask, in order: those that may be picked, then those of `fall_back_to`.

    Models that cannot serve the request are left out while one remains that can; if none can, the first choice gets
    it, to drop what it may or to say what is wrong. Empty if there is no model at all.
    """
    picked = order(settings, demand, [options[name] for name in names_of(settings)], dice)
    names = list(dict.fromkeys([*picked, *settings.fall_back_to]))
    return [name for name in names if fits(options[name].profile, demand)] or names[:1]


def order(settings: RouteSettings, demand: Demand, options: Sequence[Option], dice: random.Random) -> list[str]:
    """Names of models that may be picked, the first choice first. Empty if none reaches the quality floor.

    Args:
        options: the models of `use`, in order, then those that only tasks name.
    """
    good = [option for option in options if _good_enough(option, settings.quality_floor)]
    used = [option for option in good if option.name in settings.use]
    if settings.pick == "task":
        wanted = model_for(settings, demand.label)
        return [o.name for o in good if o.name == wanted] + [o.name for o in used if o.name != wanted]
    return [option.name for option in _PICKS[settings.pick](settings, demand, used, dice)]


def model_for(settings: RouteSettings, label: str | None) -> str | None:
    """The model that a task's label goes to."""
    return next((task.model for task in settings.tasks if label in task.labels), None)


def names_of(settings: RouteSettings) -> list[str]:
    """Every model that a route can pick, those of `use` first."""
    return list(dict.fromkeys([*settings.use, *(task.model for task in settings.tasks)]))


def check(name: str, settings: RouteSettings) -> None:
    """Settings that contradict themselves.

    Raises:
        ConfigError: weights for models that are not used, no weight at all, or tasks without anything to choose by.
    """
    where = f"routes.{name}"
    strange = sorted(set(settings.weights) - set(settings.use))
    if strange:
        raise ConfigError(f"Weights are given for models that are not in `use`: {', '.join(strange)}.", where=where)
    if any(weight < 0 for weight in settings.weights.values()) or (
        settings.weights and not any(settings.weights.values())
    ):
        raise ConfigError("Weights are shares: none is negative, and one at least is positive.", where=where)
    if settings.weights and settings.pick != "weighted":
        raise ConfigError('Weights need `pick = "weighted"`.', where=where)
    if (settings.pick == "task") != bool(settings.tasks):
        raise ConfigError('`pick = "task"` and `tasks` need each other.', where=where)
    labels = [label for task in settings.tasks for label in task.labels]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ConfigError(f"Labels go to two models: {', '.join(twice)}.", where=where)
    if name in {*names_of(settings), *settings.fall_back_to}:
        raise ConfigError("A route cannot use itself.", where=where)


def cost_of(option: Option, demand: Demand) -> float:
    """US dollars that a request is expected to cost at a model. Unknown models cost infinitely much."""
    if option.profile is None:
        return float("inf")
    answer = answer_tokens(option, demand)
    # Without a measurement, a local model is expected to need as long as a small one on a processor.
    per_token = option.load.seconds if option.load.seconds is not None else 0.02
    seconds = (demand.prompt + answer) * per_token if option.profile.price.second else 0.0
    return option.profile.price.of(Usage(prompt_tokens=demand.prompt, completion_tokens=round(answer), seconds=seconds))


def answer_tokens(option: Option, demand: Demand) -> float:
    """Tokens to be expected of an answer: what this model usually writes, within the request's bound."""
    usual = option.load.answer if option.load.answer is not None else float(ANSWER)
    return usual if demand.limit is None else min(usual, float(demand.limit))


def _good_enough(option: Option, floor: float | None) -> bool:
    if floor is None or option.profile is None:
        return floor is None
    return option.profile.quality is not None and option.profile.quality >= floor


def _first(_: RouteSettings, __: Demand, options: Sequence[Option], ___: random.Random) -> list[Option]:
    return list(options)


def _weighted(settings: RouteSettings, _: Demand, options: Sequence[Option], dice: random.Random) -> list[Option]:
    """Drawn without replacement, so that the second choice is by weight as well. Weight 0 is a last resort."""
    shares: Mapping[str, float] = settings.weights or {option.name: 1.0 for option in options}
    left = [option for option in options if shares.get(option.name, 0) > 0]
    drawn = []
    while left:
        found = dice.choices(left, [shares[option.name] for option in left])[0]
        left.remove(found)
        drawn.append(found)
    return drawn + [option for option in options if shares.get(option.name, 0) <= 0]


def _least_busy(_: RouteSettings, demand: Demand, options: Sequence[Option], __: random.Random) -> list[Option]:
    """Where the conversation's prefix is, unless that replica has clearly more to do than the least busy one.

    The place of a prefix is its rendezvous (the replica with the highest hash of replica and prefix), so it needs no
    memory, and a replica more or less moves only its own share.
    """
    ranked = sorted(options, key=lambda option: _rendezvous(option.name, demand.prefix), reverse=True)
    if not ranked:
        return []
    least = min(option.load.outstanding for option in ranked)
    home = ranked[0]
    by_load = sorted(ranked, key=lambda option: option.load.outstanding)  # stable: ties stay in rank
    if home.load.outstanding > least + max(2, least // 4):
        return by_load
    return [home, *(option for option in by_load if option is not home)]


def _rendezvous(name: str, prefix: str) -> bytes:
    return hashlib.blake2b(f"{name}\0{prefix}".encode(), digest_size=8).digest()


def _fastest(_: RouteSettings, demand: Demand, options: Sequence[Option], dice: random.Random) -> list[Option]:
    """By the expected time of the whole answer. What was never measured is measured by the next request."""

    def seconds(option: Option) -> float:
        found = option.load.expected(answer_tokens(option, demand))
        if found is None:
            # One request at a time finds out; the others need not.
            return float("inf") if option.load.outstanding else -1.0
        return found

    ranked = sorted(options, key=seconds)
    if len(ranked) > 1 and dice.random() < EXPLORE:
        other = dice.choice(ranked[1:])
        return [other, *(option for option in ranked if option is not other)]
    return ranked


def _cheapest(_: RouteSettings, demand: Demand, options: Sequence[Option], __: random.Random) -> list[Option]:
    return sorted(options, key=lambda option: cost_of(option, demand))


_Pick = Callable[[RouteSettings, Demand, Sequence[Option], random.Random], list[Option]]
_PICKS: Mapping[str, _Pick] = {
    "first": _first,
    "weighted": _weighted,
    "least_busy": _least_busy,
    "fastest": _fastest,
    "cheapest": _cheapest,
}
