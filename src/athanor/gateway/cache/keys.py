"""When two requests are the same: SHA-256 over canonical JSON of everything that can change the answer.

Left out are `stream`, `user`, the cache directives and the marks for a vendor's prompt cache: they change how an answer
travels and who pays, not what it says. Keys live as long as the process, so their form may change with any version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson

from athanor.types import Message, Profile, Request, Role, Sampling

_BLANK = Message(role=Role.USER, content="")


def exact_key(request: Request, profile: Profile, *, scope: str, policy: str) -> bytes | None:
    """The key of `request`, or None where it has no canonical JSON (half a surrogate, an integer over 64 bits).

    Args:
        profile: of the model or route that would answer.
        scope: who may share answers; opaque here.
        policy: version of the rules that an answer went through.
    """
    return _digest("exact", request, request.messages, profile, scope, policy)


def rest_key(request: Request, profile: Profile, *, scope: str, policy: str) -> bytes | None:
    """The key of everything but the question, for requests whose meaning is compared; None for all others.

    A meaning is compared where the last message is the question, in plain text, and the answer can only be text.
    """
    if not request.messages or request.tools or request.logprobs is not None:
        return None
    last = request.messages[-1]
    if last.role is not Role.USER or not last.content.strip() or any(m.parts for m in request.messages):
        return None
    blank = _BLANK if last.name is None else replace(_BLANK, name=last.name)
    return _digest("rest", request, (*request.messages[:-1], blank), profile, scope, policy)


def _digest(
    kind: str, request: Request, messages: tuple[Message, ...], profile: Profile, scope: str, policy: str
) -> bytes | None:
    for message in messages:
        if message.cache:
            messages = tuple(replace(m, cache=False) if m.cache else m for m in messages)
            break
    whole = (
        kind,
        scope,
        policy,
        request.model,
        # What a profile does to a request. Price and notes may change without a new answer.
        (profile.name, profile.context, profile.grounded, profile.json_schema, profile.drop, sorted(profile.lacks)),
        messages,
        _sampling(request.sampling, profile),
        request.json_schema,
        request.mode,
        request.tools,
        request.tool_choice,
        request.thinking,
        request.logprobs,
    )
    try:
        return sha256(orjson.dumps(whole, default=_plain, option=orjson.OPT_SORT_KEYS)).digest()
    except TypeError:
        return None


def _sampling(asked: Sampling, profile: Profile) -> tuple[Any, ...]:
    """With the defaults filled in. What the profile leaves to a vendor stays None, which is nobody's number."""
    tokens = asked.max_tokens
    if tokens is None and not profile.remote:
        tokens = profile.max_tokens
    temperature = profile.temperature if asked.temperature is None else asked.temperature
    floats = (temperature, asked.top_p, asked.presence_penalty, asked.frequency_penalty)
    # As text: JSON has no NaN, and 0 is 0.0.
    return tokens, asked.top_k, asked.seed, asked.stop, [None if v is None else repr(float(v)) for v in floats]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
