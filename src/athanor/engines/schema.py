"""JSON Schema for constrained answers: what may reach a native grammar compiler.

A compiler that throws in the middle of a batch takes the other requests of the batch with it, and one that recurses
takes the process. So schemas are checked here first, against the part of 2020-12 that both backends compile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from athanor.errors import InputError, UnsupportedError

_MAX_DEPTH = 32
_MAX_NODES = 2000
_TYPES = {"string", "integer", "number", "boolean", "null", "array", "object"}
_ANNOTATIONS = {"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"}
_SUPPORTED = _ANNOTATIONS | {
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "definitions",
    "enum",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "prefixItems",
    "properties",
    "required",
    "type",
}
_COUNTS = {"maxItems", "maxLength", "minItems", "minLength"}


def check_schema(schema: Mapping[str, Any]) -> None:
    """Accept a schema that the backends can compile.

    Raises:
        InputError: it is not a JSON schema, or larger than 2,000 nodes or 32 levels.
        UnsupportedError: it uses a keyword that cannot be enforced; the message names it.
    """
    _Checker(schema).check(schema, "#", 0)


def smallest_instance(schema: Mapping[str, Any]) -> Any:
    """A small value that satisfies a schema which `check_schema` accepted (bounds on numbers and lengths included).

    Raises:
        InputError: there is none, because a part requires itself.
    """
    try:
        return _smallest(schema, schema)
    except RecursionError:
        raise InputError("No value satisfies this JSON schema: a part of it requires itself.") from None


def _smallest(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:  # noqa: PLR0911
    if "$ref" in schema:
        target: Any = root
        for part in filter(None, str(schema["$ref"]).removeprefix("#").split("/")):
            target = target[part]
        return _smallest(target, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _smallest(schema[key][0], root)
    kind = schema.get("type", "object")
    match kind[0] if isinstance(kind, list) else kind:
        case "string":
            return "x" * schema.get("minLength", 0)
        case "integer" | "number":
            return schema.get("minimum", min(0, schema.get("maximum", 0)))
        case "boolean":
            return False
        case "null":
            return None
        case "array":
            items = schema.get("items", {})
            item = _smallest(items if isinstance(items, Mapping) else {}, root)
            return [item] * int(schema.get("minItems", 0))
        case _:
            properties = schema.get("properties", {})
            return {name: _smallest(properties.get(name, {}), root) for name in schema.get("required", [])}


class _Checker:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes = 0

    def check(self, node: object, where: str, depth: int) -> None:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise InputError("The JSON schema is too large: at most 2,000 nodes and 32 levels.", where=where)
        if isinstance(node, bool):
            return
        if not isinstance(node, Mapping):
            raise InputError("A JSON schema is an object or a boolean.", where=where)
        unknown = sorted(set(node) - _SUPPORTED)
        if unknown:
            raise UnsupportedError(f"The JSON schema keyword {unknown[0]!r} cannot be enforced.", where=where)
        self._check_values(node, where)
        self._check_children(node, where, depth)

    def _check_values(self, node: Mapping[str, Any], where: str) -> None:
        kinds = node.get("type", [])
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            if not isinstance(kind, str) or kind not in _TYPES:
                raise InputError(f"{kind!r} is not a JSON type.", where=f"{where}/type")
        for key in _COUNTS & set(node):
            if not isinstance(node[key], int) or isinstance(node[key], bool) or not 0 <= node[key] <= 10_000:
                raise InputError("A count lies between 0 and 10,000.", where=f"{where}/{key}")
        for key in {"minimum", "maximum"} & set(node):
            if not isinstance(node[key], int | float) or isinstance(node[key], bool):
                raise InputError("A bound is a number.", where=f"{where}/{key}")
        if "enum" in node and (not isinstance(node["enum"], list) or not 0 < len(node["enum"]) <= 1000):
            raise InputError("An enum lists 1 to 1,000 values.", where=f"{where}/enum")
        required = node.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise InputError("`required` lists property names.", where=f"{where}/required")
        if "$ref" in node:
            self._check_reference(node["$ref"], where)

    def _check_reference(self, reference: object, where: str) -> None:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise UnsupportedError(
                "Only references into the schema itself (`#/…`) are followed.", where=f"{where}/$ref"
            )
        target = self._target(reference, where)
        seen = [reference]
        # A chain of bare references that closes on itself has no end for a compiler.
        while isinstance(target, Mapping) and isinstance(following := target.get("$ref"), str):
            if following in seen or len(seen) > _MAX_DEPTH:
                raise InputError(f"The reference {reference!r} leads back to itself.", where=f"{where}/$ref")
            seen.append(following)
            target = self._target(following, where)

    def _target(self, reference: str, where: str) -> object:
        target: object = self._root
        for part in filter(None, reference.removeprefix("#").split("/")):
            if not isinstance(target, Mapping) or part not in target:
                raise InputError(f"The reference {reference!r} points nowhere.", where=f"{where}/$ref")
            target = target[part]
        return target

    def _check_children(self, node: Mapping[str, Any], where: str, depth: int) -> None:
        for key in ("properties", "$defs", "definitions"):
            children = node.get(key, {})
            if not isinstance(children, Mapping):
                raise InputError(f"`{key}` is an object.", where=f"{where}/{key}")
            for name, child in children.items():
                self.check(child, f"{where}/{key}/{name}", depth + 1)
        for key in ("anyOf", "oneOf", "prefixItems"):
            options = node.get(key, [])
            if not isinstance(options, list) or (key in node and not options):
                raise InputError(f"`{key}` is a list of schemas.", where=f"{where}/{key}")
            for index, child in enumerate(options):
                self.check(child, f"{where}/{key}/{index}", depth + 1)
        for key in ("items", "additionalProperties"):
            if key in node:
                self.check(node[key], f"{where}/{key}", depth + 1)
