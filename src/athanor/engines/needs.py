"""What a request needs of a model, and what can be left out for a model that lacks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from athanor.errors import UnsupportedError
from athanor.types import Attachment, Image, Profile, Request, Role

_SAMPLING = ("temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty")
_WORDS = {
    "tools": ("cannot call tools", "tools"),
    "image": ("cannot see images", "messages"),
    "file": ("cannot read files", "messages"),
    "json_schema": ("cannot be held to a JSON schema", "json_schema"),
    "thinking": ("has no reasoning that could be set", "reasoning_effort"),
    "logprobs": ("gives no log-probabilities", "logprobs"),
}


def needs(request: Request) -> set[str]:
    """The abilities that a request uses, by the names of `Profile.lacks`."""
    found = _content_needs(request)
    if request.tools:
        found.add("tools")
    if request.json_schema is not None:
        found.add("json_schema")
    if request.logprobs is not None:
        found.add("logprobs")
    thinking = request.thinking
    # A model without reasoning does as it is told when it is told not to reason.
    if thinking is not None and thinking.effort != "none" and (thinking.effort or thinking.tokens or thinking.summary):
        found.add("thinking")
    sampling = request.sampling
    found.update(name for name in _SAMPLING if getattr(sampling, name) is not None)
    if sampling.stop:
        found.add("stop")
    return found


def check_needs(request: Request, profile: Profile) -> None:
    """Refuse what the model lacks.

    Raises:
        UnsupportedError: names what it lacks; a parameter is never left out in silence.
    """
    lacks = profile.lacks if profile.json_schema else profile.lacks | {"json_schema"}
    if not lacks:
        return
    missing = sorted(lacks & needs(request))
    if missing:
        does, where = _WORDS.get(missing[0], (f"does not know `{missing[0]}`", missing[0]))
        hint = "Leave it out, ask another model, or let the settings drop it: `drop = true`."
        content = missing[0] in _content_needs(request)
        raise UnsupportedError(f"The model {profile.name} {does}.", where=where, hint=None if content else hint)


def without_lacking(request: Request, profile: Profile) -> tuple[Request, tuple[str, ...]]:
    """The request without the parameters that the model lacks, and their names; only where its settings allow that.

    What belongs to the conversation itself (images, files, calls and their results) is never left out, nor is a tool
    that must be called.
    """
    if not profile.drop:
        return request, ()
    lacks = profile.lacks if profile.json_schema else profile.lacks | {"json_schema"}
    dropped = (lacks & needs(request)) - _content_needs(request)
    if request.tool_choice.mode in {"required", "tool"}:
        dropped -= {"tools"}
    if not dropped:
        return request, ()
    sampling: dict[str, Any] = {name: None for name in dropped if name in _SAMPLING}
    if "stop" in dropped:
        sampling["stop"] = ()
    return replace(
        request,
        sampling=replace(request.sampling, **sampling),
        tools=() if "tools" in dropped else request.tools,
        json_schema=None if "json_schema" in dropped else request.json_schema,
        logprobs=None if "logprobs" in dropped else request.logprobs,
        thinking=None if "thinking" in dropped else request.thinking,
    ), tuple(sorted(dropped))


def _content_needs(request: Request) -> set[str]:
    found = set()
    for message in request.messages:
        if message.calls or message.role is Role.TOOL:
            found.add("tools")
        for part in message.parts:
            if isinstance(part, Image):
                found.add("image")
            elif isinstance(part, Attachment):
                found.add("file")
    return found
