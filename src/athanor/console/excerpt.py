"""Cutting a window out of a document's text: what is around a passage, what is marked, where pages begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EDGE = 200
"""How far a window's edge may move to reach the beginning or end of a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A run of text that is marked or not; or, where `page` is set, the beginning of that page."""

    text: str = ""
    marked: bool = False
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


def excerpt(text: str, pages: Sequence[int], *, mark: tuple[int, int] | None, before: int, after: int) -> Excerpt:
    """The window of `before` and `after` characters around the mark, or from the beginning where there is no mark.

    Page 1 is shown as a beginning only where pages are known. A mark outside of the text is ignored.
    """
    low, high = mark if mark and 0 <= mark[0] < mark[1] <= len(text) else (0, 0)
    start, end = _outward(text, max(0, low - before), min(len(text), high + after))
    cuts = {start, end} | ({low, high} if low < high else set())
    begins = {offset: number for number, offset in enumerate(pages, start=1) if start <= offset < end}
    edges = sorted(cuts | set(begins))
    pieces: list[Piece] = []
    for edge, following in zip(edges, [*edges[1:], end], strict=True):
        if edge in begins:
            pieces.append(Piece(page=begins[edge]))
        if edge < following:
            pieces.append(Piece(text=text[edge:following], marked=low <= edge < high))
    return Excerpt(start=start, end=end, before=start, after=len(text) - end, pieces=tuple(pieces))


def _outward(text: str, start: int, end: int) -> tuple[int, int]:
    if start > 0:
        line = text.rfind("\n", max(0, start - EDGE), start)
        start = line + 1 if line >= 0 else start
    if end < len(text):
        line = text.find("\n", end, end + EDGE)
        end = line if line >= 0 else end
    return start, end
