"""Cutting a window out of a document's text: what is around a passage, what is marked, how its lines are set.

The pieces of a window, joined, are the text unchanged; only how they are set differs. That keeps a marked piece equal
to its quotation, whatever it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby, pairwise

EDGE = 200
"""How far a window's edge may move to reach the beginning or end of a line."""

WRAPPED = 48
"""Lines this long, one below the other, were broken by an editor or a page, not by their author."""

_STRUCTURE = re.compile(r"[ \t]|[-*+•|>#]|\d+[.)]\s|```|~~~")
_HEADING = re.compile(r"#{1,6} ")
_FENCE = re.compile(r"^(```|~~~)[^\n]*\n.*?(?:^\1[^\n]*$|\Z)", re.DOTALL | re.MULTILINE)


class Setting(StrEnum):
    """How a piece of text is set: as it is, reflowed, as a heading, or as code."""

    PLAIN = "plain"
    FLOW = "flow"
    HEAD = "head"
    CODE = "code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of text; or, where `page` is set, the beginning of that page."""

    text: str = ""
    marked: bool = False
    setting: Setting = Setting.PLAIN
    page: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """Characters `start:end` of a text, in pieces."""

    start: int
    end: int
    before: int
    """Characters that come before the window."""
    after: int
    pieces: tuple[Piece, ...]


def excerpt(
    text: str,
    pages: Sequence[int],
    *,
    mark: tuple[int, int] | None,
    before: int,
    after: int,
    markdown: bool = False,
) -> Excerpt:
    """The window of `before` and `after` characters around the mark, or from the beginning where there is no mark.

    A mark outside of the text is ignored.
    """
    low, high = mark if mark and 0 <= mark[0] < mark[1] <= len(text) else (0, 0)
    start, end = _outward(text, max(0, low - before), min(len(text), high + after))
    begins = {offset: number for number, offset in enumerate(pages, start=1) if start <= offset < end}
    settings = list(_settings(text[start:end], start, markdown))
    edges = {start, end, *begins, *(edge for _, first, last in settings for edge in (first, last))}
    if low < high:
        edges |= {low, high}
    pieces: list[Piece] = []
    position = iter(settings)
    setting, first, last = next(position, (Setting.PLAIN, end, end))
    for edge, following in pairwise(sorted(edges)):
        if edge in begins:
            pieces.append(Piece(page=begins[edge]))
        while last <= edge < end and last < end:
            setting, first, last = next(position, (Setting.PLAIN, end, end))
        own = setting if first <= edge < last else Setting.PLAIN
        pieces.append(Piece(text=text[edge:following], marked=low <= edge < high, setting=own))
    return Excerpt(start=start, end=end, before=start, after=len(text) - end, pieces=tuple(pieces))


def _settings(window: str, offset: int, markdown: bool) -> Iterator[tuple[Setting, int, int]]:
    """Ranges of the window that are not set as they are, in order and disjoint."""
    at = 0
    fences = _FENCE.finditer(window) if markdown else iter(())
    for fence in fences:
        yield from _prose(window, at, fence.start(), offset, markdown)
        yield Setting.CODE, offset + fence.start(), offset + fence.end()
        at = fence.end()
    yield from _prose(window, at, len(window), offset, markdown)


def _prose(window: str, start: int, end: int, offset: int, markdown: bool) -> Iterator[tuple[Setting, int, int]]:
    at = start
    for blank, group in groupby(window[start:end].split("\n"), key=lambda line: not line.strip()):
        lines = list(group)
        last = at + sum(map(len, lines)) + len(lines) - 1
        if not blank and markdown and _HEADING.match(lines[0]):
            yield Setting.HEAD, offset + at, offset + at + len(lines[0])
        elif not blank and _wrapped(lines):
            yield Setting.FLOW, offset + at, offset + last
        at = last + 1


def _wrapped(lines: Sequence[str]) -> bool:
    """Are these the lines of one paragraph of prose."""
    if len(lines) < 2 or any(_STRUCTURE.match(line) for line in lines):
        return False
    whole = lines[:-1]
    return sum(len(line) >= WRAPPED for line in whole) >= 0.8 * len(whole)


def _outward(text: str, start: int, end: int) -> tuple[int, int]:
    if start > 0:
        line = text.rfind("\n", max(0, start - EDGE), start)
        start = line + 1 if line >= 0 else start
    if end < len(text):
        line = text.find("\n", end, end + EDGE)
        end = line if line >= 0 else end
    return start, end
