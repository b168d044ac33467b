"""Fields of doubtful kind: what a vendor sends is never trusted to be what its reference says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping(value: object) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """An array, or an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """A string, or an empty one."""
    return value if isinstance(value, str) else ""


def number(value: object) -> float:
    """A number, or 0."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
