"""Conditions on the attributes of documents, as in OpenAI's vector stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
