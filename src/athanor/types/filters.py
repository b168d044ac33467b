"""Conditions on the attributes of documents, as in OpenAI's vector stores."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Value = str | float | bool
Attributes = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One attribute against one value, or against several (`in`, `nin`). A document without the attribute matches
    `ne` and `nin` only; values of different types are never equal and have no order."""

    key: str
    operator: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    value: Value | tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compound:
    """All (`and`) or any (`or`) of several filters."""

    operator: Literal["and", "or"]
    filters: tuple[Comparison | Compound, ...]


Filter = Comparison | Compound


def matches(condition: Filter, attributes: Attributes) -> bool:
    """Does a document with these attributes satisfy the filter."""
    if isinstance(condition, Compound):
        each = (matches(part, attributes) for part in condition.filters)
        return all(each) if condition.operator == "and" else any(each)
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    held = attributes.get(condition.key)
    alike = () if held is None else tuple(value for value in values if _kind(value) is _kind(held))
    match condition.operator:
        case "eq" | "in":
            return held in alike
        case "ne" | "nin":
            return held not in alike
        case order:
            return any(_ORDERS[order](held, value) for value in alike)


_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def _kind(value: Value) -> type:
    # True is an int to Python, and 1 == 1.0 are one number in JSON.
    return type(value) if isinstance(value, str | bool) else float
