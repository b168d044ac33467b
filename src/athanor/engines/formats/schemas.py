"""OpenAI's strict mode: when a JSON schema can be asked for in it, and the name it travels under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ANSWER = "answer"
"""The name of the schema; the format wants one, and the model is told it."""


def fits_strict(schema: object) -> bool:
    """Whether every object of a schema closes its properties and requires them all, which strict mode asks for.

    Source: OpenAI's guide to structured outputs. Asked for with another schema, strict mode refuses the request;
    without it, the vendor holds to the schema as well as the model can.
    """
    if isinstance(schema, list):
        return all(map(fits_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if isinstance(properties, Mapping) or schema.get("type") == "object":
        names = set(properties) if isinstance(properties, Mapping) else set()
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False or not isinstance(required, list) or names != set(required):
            return False
    # The names of properties and definitions are not keywords: `enum` may be one.
    for key in ("properties", "$defs", "definitions"):
        children = schema.get(key)
        if isinstance(children, Mapping) and not all(map(fits_strict, children.values())):
            return False
    return all(fits_strict(schema[key]) for key in ("items", "anyOf", "prefixItems") if key in schema)


def any_object(schema: Mapping[str, Any]) -> bool:
    """Whether a schema asks for an object and nothing else: then JSON mode does it, which takes no schema."""
    return (
        set(schema) <= {"type", "additionalProperties"}
        and schema.get("type") == "object"
        and (schema.get("additionalProperties", True) is True)
    )
