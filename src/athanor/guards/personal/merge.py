"""One list from several recognisers: no overlaps, nothing lost, parts of one address joined."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace

from athanor.guards.personal.base import Span

_JOINED = frozenset({"pii.street"})
_GAP = re.compile(r"[\s,]{0,3}")


def merge(text: str, spans: Iterable[Span]) -> list[Span]:
    """Spans in order, without overlaps.

    Where two overlap, the surer one keeps its characters, then the longer one; of the other, what stands outside
    stays if it holds a letter or a digit. So every character that some recogniser took for personal is in the result.
    """
    ranked = sorted(spans, key=lambda s: (-s.score, s.start - s.end, s.start))
    starts: list[int] = []
    ends: list[int] = []
    kept: list[Span] = []
    for span in ranked:
        for start, end in _free(span.start, span.end, starts, ends):
            left, right = _trimmed(text, start, end) if (start, end) != (span.start, span.end) else (start, end)
            if left < right:
                place = bisect_right(starts, left)
                starts.insert(place, left)
                ends.insert(place, right)
                kept.insert(place, replace(span, start=left, end=right))
    return _joined(text, kept)


def _free(start: int, end: int, starts: list[int], ends: list[int]) -> list[tuple[int, int]]:
    """What of `start:end` nobody holds yet."""
    free = []
    place = max(0, bisect_right(starts, start) - 1)
    at = start
    while place < len(starts) and starts[place] < end:
        if ends[place] > at:
            if starts[place] > at:
                free.append((at, starts[place]))
            at = ends[place]
        place += 1
    if at < end:
        free.append((at, end))
    return free


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum():
        end -= 1
    return start, end


def _joined(text: str, spans: list[Span]) -> list[Span]:
    """Neighbours of one category with nothing but spaces or commas between them made one."""
    result: list[Span] = []
    for span in spans:
        last = result[-1] if result else None
        if (
            last is not None
            and last.category == span.category
            and span.category in _JOINED
            and _GAP.fullmatch(text, last.end, span.start)
        ):
            result[-1] = replace(last, end=span.end, score=max(last.score, span.score))
        else:
            result.append(span)
    return result
