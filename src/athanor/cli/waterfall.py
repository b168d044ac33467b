"""A trace in the terminal: one line for each stage, with a bar where it lies in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from athanor.observe.figures import dollars, seconds

_NAME = 30
_TIME = 10
_LEAST = 12
_EIGHTHS = " ▏▎▍▌▋▊▉"


def waterfall(spans: Sequence[Mapping[str, Any]], *, width: int) -> Iterator[Text]:
    """The lines of a trace: its time axis, then its spans as a tree, children under their parents.

    Args:
        spans: as the API gives them.
        width: columns of the terminal.
    """
    start = min(span["started_at"] for span in spans)
    whole = max(span["started_at"] + span["duration"] for span in spans) - start or 1e-9
    room = max(_LEAST, width - _NAME - _TIME - 2 - min(48, width // 3))
    middle = seconds(whole / 2)
    axis = f"0{middle:^{max(1, room - 1 - cell_len(seconds(whole)))}}{seconds(whole)}"
    yield Text(f"{'':<{_NAME}}{axis}", style="dim")
    for depth, span in tree(spans):
        colour = {"ok": "cyan", "cancelled": "yellow"}.get(span["status"], "red")
        name = set_cell_size(f"{'  ' * depth}{label(span)}", _NAME - 1)
        yield Text.assemble(
            (name, "bold" if depth == 0 else ""),
            " ",
            (bar((span["started_at"] - start) / whole, span["duration"] / whole, room), colour),
            f"{seconds(span['duration']):>{_TIME}}  ",
            (facts(span), "dim" if span["status"] == "ok" else colour),
        )


def bar(begin: float, share: float, room: int) -> str:
    """A bar of `room` columns from `begin`, over `share` of it (both 0 to 1), to an eighth of a column at its end."""
    first = min(room - 1, int(begin * room))
    eighths = max(1, round((begin + share) * room * 8) - first * 8)
    whole, rest = divmod(min(eighths, (room - first) * 8), 8)
    return f"{' ' * first}{'█' * whole}{_EIGHTHS[rest] if rest else ''}".ljust(room)


def tree(spans: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """(depth, span) in the order in which they are read: each span, then what happened within it."""
    known = {span["id"] for span in spans}
    below: dict[str | None, list[Mapping[str, Any]]] = {}
    for span in spans:
        # A span whose parent was dropped hangs from the top.
        below.setdefault(span["parent"] if span["parent"] in known else None, []).append(span)
    found: list[tuple[int, Mapping[str, Any]]] = []
    waiting = [(0, span) for span in reversed(below.get(None, []))]
    while waiting:
        depth, span = waiting.pop()
        found.append((depth, span))
        waiting += [(depth + 1, child) for child in reversed(below.get(span["id"], []))]
    return found


def label(span: Mapping[str, Any]) -> str:
    """What a stage is called, with what it worked on."""
    attributes = span["attributes"]
    about = attributes.get("target" if span["name"] == "attempt" else "model") or attributes.get("base") or ""
    return f"{span['name']} {about}".strip()


def facts(span: Mapping[str, Any]) -> str:
    """What else is known of a stage, in one line."""
    attributes = dict(span["attributes"])
    for known in ("model", "base", "target" if span["name"] == "attempt" else ""):
        attributes.pop(known, None)
    parts = [] if span["status"] == "ok" else [span["status"]]
    tokens = (attributes.pop("prompt_tokens", 0), attributes.pop("completion_tokens", 0))
    if any(tokens):
        parts.append(f"{tokens[0]} in, {tokens[1]} out")
    if cost := attributes.pop("cost", 0):
        parts.append(dollars(cost))
    if (first := attributes.pop("first_s", None)) is not None:
        parts.append(f"first piece after {seconds(first)}")
    if attributes.get("finish") == "stop":
        attributes.pop("finish")
    attributes.pop("stream", None)
    parts += [
        f"{name}={value}" for name, value in attributes.items() if value not in (0, "", None, "ok", span["status"])
    ]
    return " · ".join(parts)
