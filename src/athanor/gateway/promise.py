"""What a route promises for all of its models."""

from __future__ import annotations

from collections.abc import Sequence

from athanor.types import AnswerMode, Price, Profile


def merged(name: str, profiles: Sequence[Profile], *, at_once: int = 1) -> Profile:
    """What a route promises, whichever of its models answers.

    Args:
        at_once: models that may work on one request at the same time; a hold must be enough for all of them.

    Context, quality and grounding are the least of all, and prices and answers the most, so that a promise or a hold
    is never too small. `lacks` is what every model lacks: a request that needs something goes to a model that has it.
    Requests over the promised context are not refused by the route: they go to the models whose context is larger.
    """
    prices = [profile.price for profile in profiles]
    temperatures = {profile.temperature for profile in profiles}
    qualities = [profile.quality for profile in profiles]
    known = [quality for quality in qualities if quality is not None]
    return Profile(
        name=name,
        context=min(profile.context for profile in profiles),
        licence=", ".join(dict.fromkeys(profile.licence for profile in profiles)),
        grounded=AnswerMode.EXTRACTIVE
        if any(profile.grounded is AnswerMode.EXTRACTIVE for profile in profiles)
        else AnswerMode.GENERATIVE,
        json_schema=any(profile.json_schema for profile in profiles),
        temperature=temperatures.pop() if len(temperatures) == 1 else None,
        max_tokens=max(profile.max_tokens for profile in profiles),
        price=Price(
            prompt=at_once * max(price.prompt for price in prices),
            completion=at_once * max(price.completion for price in prices),
            cached=at_once * max(price.prompt if price.cached is None else price.cached for price in prices),
            written=at_once * max(price.prompt if price.written is None else price.written for price in prices),
            second=at_once * max(price.second for price in prices),
        ),
        lacks=frozenset.intersection(*(profile.lacks for profile in profiles)),
        drop=any(profile.drop for profile in profiles),
        quality=min(known) if len(known) == len(qualities) else None,
        remote=any(profile.remote for profile in profiles),
    )
