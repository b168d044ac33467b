"""A chat model's own judgement whether passages say what a sentence says; only of a model that its profile trusts.

It is one request more for a sentence, so it is asked only where the calibrated score is in doubt, and its answer moves
that score and does not replace it: a model is talked over by text in a passage more easily than a count of words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

import orjson

from athanor.engines import Engine
from athanor.engines.wrappers.failures import spent
from athanor.errors import AthanorError
from athanor.guards.spotlight import Spotlight
from athanor.types import (
    NO_USAGE,
    AnswerMode,
    Context,
    Message,
    Profile,
    Request,
    Role,
    Sampling,
    TextDelta,
    TokenLogprob,
    Usage,
)

DOUBT = (0.1, 0.95)
"""Scores between these are worth a question. Not fitted: no model of this machine is able."""

_SURE = 0.95
"""Probability that a plain yes stands for, where the model gives none."""
_LIMITS = (0.02, 0.98)
_SYSTEM = (
    "You are given passages and a sentence, which are quotations. Do the passages say everything that the sentence "
    "says? "
)
_SCHEMA = {
    "type": "object",
    "properties": {"supported": {"type": "boolean"}},
    "required": ["supported"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a model thinks of a sentence."""

    probability: float | None
    """That the passages support it; `None` where the model failed or said something else."""
    usage: Usage


def able(profile: Profile) -> bool:
    """Is a model trusted to read passages, and can it be held to a yes or a no."""
    return profile.grounded is AnswerMode.GENERATIVE and (profile.json_schema or "logprobs" not in profile.lacks)


def combined(score: float, judged: float) -> float:
    """A score moved by a judgement: halfway between the two in log-odds."""
    odds = (_logit(score) + _logit(judged)) / 2
    return 1 / (1 + math.exp(-odds))


async def judge(
    sentence: str, passages: Sequence[str], ctx: Context, *, model: Engine, spotlight: Spotlight | None = None
) -> Judgement:
    """Ask `model`. A failure is no judgement: the answer goes on without."""
    profile = model.profile
    schema = profile.json_schema
    form = 'Answer as JSON: {"supported": true} or {"supported": false}.' if schema else "Answer with yes or no."
    spotlight = spotlight or Spotlight()
    quoted = "\n\n".join(spotlight.quote(text, f"passage {i}") for i, text in enumerate(passages, start=1))
    # A model that has read the passages wrote it: what one of them made it say is no more to be trusted than they are.
    said = spotlight.quote(sentence, "the sentence")
    request = Request(
        model=profile.name,
        messages=(
            Message(role=Role.SYSTEM, content=spotlight.system(_SYSTEM + form)),
            Message(role=Role.USER, content=f"{quoted}\n\n{said}"),
        ),
        sampling=Sampling(max_tokens=64 if schema else 2),
        json_schema=_SCHEMA if schema else None,
        logprobs=None if schema else 5,
        stream=False,
    )
    usage, text = NO_USAGE, ""
    rows: list[TokenLogprob] = []
    try:
        async with aclosing(model.run(request, ctx)) as events:
            async for event in events:
                usage += event.usage
                if isinstance(event, TextDelta):
                    text += event.text
                    rows += event.logprobs
    except AthanorError as error:
        return Judgement(probability=None, usage=usage + spent(error))
    return Judgement(probability=_of_json(text) if schema else _of_tokens(text, rows), usage=usage)


def _of_json(text: str) -> float | None:
    try:
        said = orjson.loads(text).get("supported")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return {True: _SURE, False: 1 - _SURE}.get(said) if isinstance(said, bool) else None


def _of_tokens(text: str, rows: Sequence[TokenLogprob]) -> float | None:
    """The share of "yes" among yes and no at the first token, else what the text says."""
    if rows:
        chances = {"yes": 0.0, "no": 0.0}
        for token, logprob in {rows[0].token: rows[0].logprob, **dict(rows[0].top)}.items():
            word = token.strip().lower()
            if word in chances:
                chances[word] += math.exp(logprob)
        if total := sum(chances.values()):
            return chances["yes"] / total
    said = text.strip().lower()
    return _SURE if said.startswith("yes") else 1 - _SURE if said.startswith("no") else None


def _logit(probability: float) -> float:
    low, high = _LIMITS
    bounded = min(high, max(low, probability))
    return math.log(bounded / (1 - bounded))
