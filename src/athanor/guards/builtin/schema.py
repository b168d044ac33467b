"""Answers that were to be JSON by a schema: are they?

Local engines build the grammar into the sampling, so that nothing else can come out; vendors and cut-off answers can
break their word. The check is our own and small: a schema comes from the caller, and a general validator fetches
references and runs patterns of whoever wrote it (https://json-schema.org/draft/2020-12). Keywords not known here
are not checked, as the specification has it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from athanor.types import Decision, Finding

CATEGORY = "schema"
_DEEPEST = 64
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: (isinstance(v, int) and not isinstance(v, bool)) or (isinstance(v, float) and v.is_integer()),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


def check_answer(text: str, schema: Mapping[str, Any]) -> Finding | None:
    """What is wrong with an answer that should satisfy `schema`, or `None`. Holds nothing of the answer."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _finding(text, "the answer is no JSON")
    wrong = next(_wrong(value, schema, schema, "$", 0), None)
    return None if wrong is None else _finding(text, f"the answer does not satisfy its schema: {wrong}")


def _finding(text: str, reason: str) -> Finding:
    return Finding(
        guard="schema", category=CATEGORY, score=1.0, start=0, end=len(text), reason=reason, decision=Decision.FLAG
    )


def _wrong(value: Any, schema: Any, root: Mapping[str, Any], where: str, depth: int) -> Iterator[str]:
    """Each thing that is wrong, by place in the schema's names and never by value."""
    if schema is True or not isinstance(schema, Mapping | bool):
        return
    if schema is False:
        yield f"{where} is not allowed"
        return
    if depth > _DEEPEST:
        return
    if "$ref" in schema and (target := _target(str(schema["$ref"]), root)) is not None:
        yield from _wrong(value, target, root, where, depth + 1)
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    if kinds and not any(_TYPES[kind](value) for kind in kinds if kind in _TYPES):
        yield f"{where} is not of the type {' or '.join(map(str, kinds))}"
        return
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{where} is not the constant"
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        yield f"{where} is none of the values of its enum"
    yield from _combined(value, schema, root, where, depth)
    if isinstance(value, dict):
        yield from _object(value, schema, root, where, depth)
    elif isinstance(value, list):
        yield from _array(value, schema, root, where, depth)
    else:
        yield from _bounds(value, schema, where)


def _combined(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str, depth: int) -> Iterator[str]:
    def fits(one: Any) -> bool:
        return next(_wrong(value, one, root, where, depth + 1), None) is None

    for one in schema.get("allOf", ()):
        yield from _wrong(value, one, root, where, depth + 1)
    if "anyOf" in schema and not any(fits(one) for one in schema["anyOf"]):
        yield f"{where} fits none of anyOf"
    if "oneOf" in schema and sum(fits(one) for one in schema["oneOf"]) != 1:
        yield f"{where} does not fit exactly one of oneOf"
    if "not" in schema and fits(schema["not"]):
        yield f"{where} fits what it must not"


def _object(
    value: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], where: str, depth: int
) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}.{name} is missing"
    known = schema.get("properties", {})
    for name, one in known.items():
        if name in value:
            yield from _wrong(value[name], one, root, f"{where}.{name}", depth + 1)
    others = schema.get("additionalProperties", True)
    # Patterns of names are not run; what one of them might cover is let be.
    if "patternProperties" not in schema:
        for name in value.keys() - known.keys():
            yield from _wrong(value[name], others, root, f"{where}.*", depth + 1)
    yield from _counted(len(value), schema, "Properties", where)


def _array(
    value: list[Any], schema: Mapping[str, Any], root: Mapping[str, Any], where: str, depth: int
) -> Iterator[str]:
    first = schema.get("prefixItems", ())
    for place, (item, one) in enumerate(zip(value, first, strict=False)):
        yield from _wrong(item, one, root, f"{where}[{place}]", depth + 1)
    for item in value[len(first) :]:
        yield from _wrong(item, schema.get("items", True), root, f"{where}[]", depth + 1)
    yield from _counted(len(value), schema, "Items", where)


def _bounds(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if isinstance(value, str):
        yield from _counted(len(value), schema, "Length", where)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        least, most = schema.get("minimum", value), schema.get("maximum", value)
        over, under = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        if (
            value < least
            or value > most
            or (over is not None and value <= over)
            or (under is not None and value >= under)
        ):
            yield f"{where} is out of bounds"


def _counted(count: int, schema: Mapping[str, Any], what: str, where: str) -> Iterator[str]:
    if not schema.get(f"min{what}", 0) <= count <= schema.get(f"max{what}", count):
        yield f"{where} has not the right number of {'characters' if what == 'Length' else what.lower()}"


def _target(reference: str, root: Mapping[str, Any]) -> Any:
    """What a reference into the schema itself leads to; `None` where it leads elsewhere or nowhere."""
    target: Any = root
    for part in filter(None, reference.removeprefix("#").split("/")) if reference.startswith("#") else ["", "?"]:
        if not isinstance(target, Mapping) or part not in target:
            return None
        target = target[part]
    return target


def _same(a: Any, b: Any) -> bool:
    """JSON's equality: 1 is 1.0, and true is no 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)
