"""Names of spans: from the anchors of a document to the place of some of its characters."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from athanor.types import Anchor

_CELLS = re.compile(r"(?P<sheet>.*!)(?P<left>[A-Z]{1,3})(?P<top>\d+)(?::(?P<right>[A-Z]{1,3})(?P<bottom>\d+))?\Z", re.S)
_BOX = re.compile(r"(?P<page>page \d+) \[(?P<box>-?\d+ -?\d+ -?\d+ -?\d+)\]\Z")
_NUMBERED = re.compile(r"(?P<noun>[a-z]+?)s? (?P<first>\d+)(?:–(?P<last>\d+))?(?P<more>\D.*)?\Z", re.S)


def span_place(anchors: Sequence[Anchor], start: int, end: int) -> str:
    """Where the source characters `start:end` stand: `Budget!A2:F5`, `slides 4–6`. Empty without anchors.

    A table's rows have anchors of their own and its head has one for the whole group, so that one row is named exactly
    and the group as a whole.
    """
    first = bisect_right(anchors, start, key=lambda anchor: anchor.start)
    last = bisect_left(anchors, max(end, start + 1), key=lambda anchor: anchor.start)
    if not last:
        return ""
    return join_places(anchors[max(first - 1, 0)].place, anchors[max(last, first) - 1].place)


def without_box(place: str) -> str:
    """`place` without the box on its page."""
    return found["page"] if (found := _BOX.match(place)) else place


def join_places(first: str, last: str) -> str:
    """The place that reaches from `first` to `last`."""
    if first == last:
        return first
    a, b = _BOX.match(first), _BOX.match(last)
    if a and b and a["page"] == b["page"]:
        edges = [tuple(map(int, found["box"].split())) for found in (a, b)]
        around = (*map(min, edges[0][:2], edges[1][:2]), *map(max, edges[0][2:], edges[1][2:]))
        return f"{a['page']} [{' '.join(map(str, around))}]"
    a, b = _CELLS.match(first), _CELLS.match(last)
    if a and b and a["sheet"] == b["sheet"]:
        rows = sorted(int(found[edge]) for found in (a, b) for edge in ("top", "bottom") if found[edge])
        columns = sorted(
            (found[edge] for found in (a, b) for edge in ("left", "right") if found[edge]), key=lambda c: (len(c), c)
        )
        return f"{a['sheet']}{columns[0]}{rows[0]}:{columns[-1]}{rows[-1]}"
    a, b = _NUMBERED.match(first), _NUMBERED.match(last)
    if a and b and a["noun"] == b["noun"]:
        low, high = (
            int(a["first"]),
            max(int(found[edge]) for found in (a, b) for edge in ("first", "last") if found[edge]),
        )
        if low < high:
            return f"{a['noun']}s {low}–{high}"
    return f"{first} – {last}"
