"""What the translations into vendors' own formats have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from athanor.errors import InputError, UnsupportedError
from athanor.types import Profile, Request

_MAX_DEPTH = 64
_NAMED = ("properties", "$defs", "definitions")
_NESTED = ("items", "prefixItems", "anyOf", "allOf", "oneOf")


def answer_limit(request: Request, profile: Profile) -> int:
    """Tokens to allow. Vendors count reasoning as part of it, so a budget for reasoning comes on top of the default."""
    if request.sampling.max_tokens is not None:
        return request.sampling.max_tokens
    thinking = request.thinking
    return profile.max_tokens + ((thinking.tokens or 0) if thinking and thinking.effort != "none" else 0)


def closed(schema: Any, *, where: str, depth: int = 0) -> Any:
    """A JSON schema whose objects take no further properties where it does not say: vendors that enforce it want that.

    Raises:
        InputError: deeper than 64 levels.
        UnsupportedError: an object of any shape, which could then only be empty.
    """
    if depth > _MAX_DEPTH:
        raise InputError("The JSON schema is too deep: at most 64 levels.", where=where)
    if isinstance(schema, list):
        return [closed(child, where=where, depth=depth + 1) for child in schema]
    if not isinstance(schema, Mapping):
        return schema
    result = dict(schema)
    for key in _NAMED:
        if isinstance(children := result.get(key), Mapping):
            result[key] = {name: closed(child, where=where, depth=depth + 1) for name, child in children.items()}
    for key in _NESTED:
        if key in result:
            result[key] = closed(result[key], where=where, depth=depth + 1)
    if "properties" in result:
        result.setdefault("additionalProperties", False)
    elif result.get("type") == "object" and not result.keys() & {"additionalProperties", "anyOf", "allOf"}:
        hint = "Name the object's properties."
        raise UnsupportedError("This vendor cannot hold to an object of any shape.", where=where, hint=hint)
    return result


def as_object(arguments: str) -> Mapping[str, Any]:
    """A call's arguments, for vendors that take only an object. What the model got wrong it is shown as it was."""
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}
