"""Addresses as wholes: what stands right beside the parts that were found belongs to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from athanor.guards.personal.base import Span
from athanor.guards.personal.lexicon import COUNTRIES

_PARTS = frozenset({"pii.street", "pii.place"})
_GAP = re.compile(r"[\s,>?.]{1,8}")
_LEFT = re.compile(r"(?<![\w.,-])\d{1,6},?\s\Z")
_COUNTRY = (
    r"United (?:Kingdom|States(?: of America)?|Arab Emirates)|New Zealand|South (?:Africa|Korea)|North Korea"
    r"|Saudi Arabia"
    r"|Sri Lanka|Costa Rica|El Salvador|Czech Republic|Dominican Republic|Puerto Rico|Hong Kong|U\.?S\.?A\.?|U\.?K\.?"
)
_TAIL = re.compile(
    rf"[\s,>?.]{{1,8}}(?:(?:(?i:{_COUNTRY}|{'|'.join(sorted(COUNTRIES))})(?: \([A-Z][a-z]+\))?"
    rf"|[A-Z]{{2,3}})(?![\w])|\d{{3,6}}(?:-\d{{3,4}})?(?![\w]|[.,-]\d))"
)
_TAILS = 4


def grown(text: str, spans: Sequence[Span]) -> list[Span]:
    """Spans in order and without overlaps: parts of addresses with the number before them, and the state, postcode and
    country after them; a person amid an address is a place."""
    result: list[Span] = []
    for at, span in enumerate(spans):
        following = spans[at + 1] if at + 1 < len(spans) else None
        if span.category == "pii.person" and result and following and _amid(text, result[-1], span, following):
            span = replace(span, category="pii.place", reason="a place amid an address")  # noqa: PLW2901
        if span.category in _PARTS and span.score >= 0.5:
            span = _wider(text, span, result[-1].end if result else 0, following.start if following else len(text))  # noqa: PLW2901
        result.append(span)
    return result


def _amid(text: str, before: Span, span: Span, after: Span) -> bool:
    return (
        before.category in _PARTS
        and after.category in _PARTS
        and _GAP.fullmatch(text, before.end, span.start) is not None
        and _GAP.fullmatch(text, span.end, after.start) is not None
    )


def _wider(text: str, span: Span, low: int, high: int) -> Span:
    """`span` with what belongs to it, between `low` and `high`."""
    start, end = span.start, span.end
    if span.category == "pii.street":
        left = _LEFT.search(text, max(low, start - 8), start)
        start = left.start() if left else start
    for _ in range(_TAILS):
        tail = _TAIL.match(text, end, min(high, end + 40))
        if tail is None or (tail.end() == high < len(text) and text[high - 1 : high + 1].isalnum()):
            break
        end = tail.end()
    return replace(span, start=start, end=end)
