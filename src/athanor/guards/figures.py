"""How well guards were measured to do: written by `bench/guards.py --publish`, shown beside their switches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

NAME = "figures.json"


def published() -> Mapping[str, Mapping[str, Any]]:
    """Guard → its figures; a guard that is not in it has none.

    Each has `by` (the command), `rows` (texts never trained on), in `sides` for `user` and `document` the shares
    `caught`, `false_alarms` and `precision` with the bounds of their 95 % intervals (`value`, `low`, `high`), and
    `p95_ms`, the processor time for a prompt of 500 tokens in milliseconds.
    """
    found: dict[str, dict[str, Any]] = json.loads((resources.files(__package__) / NAME).read_text(encoding="utf-8"))
    return found


def summary(figures: Mapping[str, Any] | None) -> str:
    """One guard's figures for people."""
    if figures is None:
        return "no figures"
    parts = [
        f"{side}: caught {_share(one['caught'])}, false alarms {_share(one['false_alarms'])}, "
        f"precision {_share(one['precision'])}"
        for side, one in figures["sides"].items()
    ]
    if "p95_ms" in figures:
        parts.append(f"{figures['p95_ms']:.1f} ms")
    return "; ".join(parts)


def _share(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.1%} ({figure['low']:.1%}–{figure['high']:.1%})"
