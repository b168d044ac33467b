"""Sentences as exact spans: `text[start:end]` is the sentence, for every span that `split` returns.

Rules, not a model: a citation must be reproducible for ever, and the rules cost microseconds. The order is
structure first (code fences, tables, headings, list items, blank lines never share a sentence), then punctuation inside
each paragraph. English abbreviations are known; the rest is Unicode classes, so other scripts degrade gracefully.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["prose", "heading", "item", "row", "code"]

MAX_CHARS = 700
"""A longer sentence (a run-on PDF, a minified line) is cut at the last soft boundary before this many characters."""

_FENCE = re.compile(r"[ \t]*(```|~~~)")
_HEADING = re.compile(r"[ \t]{0,3}#{1,6}[ \t]+\S")
_ITEM = re.compile(r"[ \t]*(?:[-*+•‣◦–]|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)])[ \t]+\S")
_ROW = re.compile(r"[ \t]*\||[^\t\n]+\t[^\t\n]+\t")
_RULE = re.compile(r"[ \t|:+=*_-]{3,}$")
_TERMINATOR = re.compile(r"(?P<mark>[.!?…]+|[。！？｡]+)(?P<close>[ ]?[\"'”’»)\]]+)?(?P<gap>\s+|(?<=[。！？｡])|$)")
_SOFT = re.compile(r"[;:,]\s|\s[–—-]\s|\n|\s")
_LAST_WORD = re.compile(r"([^\W\d_]+(?:\.[^\W\d_]+)*)\s?$")
_OPENERS = "\"'“‘«([¿¡*_`–—-"

# Words that end in a full stop without ending a sentence. The second group ends one when a capital follows.
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof rev gen col lt sgt capt cmdr adm gov sen rep pres hon messrs mme mlle st mt ft vs v cf viz e.g
    i.e eg ie al approx ca c resp incl excl esp fig figs eq eqs sec ch chap vol vols no nos nr pp p ed eds art para
    ref refs tab app jan feb mar apr jun jul aug sep sept oct nov dec
    """.split()  # noqa: SIM905
)
_MAY_END = frozenset(
    """
    etc inc ltd co corp jr sr bros dept univ assn am pm a.m p.m u.s u.k u.n d.c ph.d m.d b.c a.d
    """.split()  # noqa: SIM905
)
_STARTERS = frozenset(
    """
    the a an this that these those it its he she they we i you his her their our in on at by for from with as if
    when while after before during since although however there here what who why how where some many most all both
    each
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start:end` of the text that was split, without surrounding white space."""

    start: int
    end: int
    kind: Kind = "prose"


def split(text: str) -> list[Span]:
    """The sentences of `text`, in order, disjoint; together they hold every character that is not white space."""
    spans: list[Span] = []
    for block in _blocks(text):
        parts = _prose(text, block) if block.kind in ("prose", "item") else iter((block,))
        for part in parts:
            spans.extend(_bounded(text, part))
    return spans


def complete_sentences(text: str) -> tuple[list[str], str]:
    """The sentences of a growing `text` that are surely complete, and the rest to be prepended to what comes next.

    The last sentence is never sure: "Dr." may be an end or a title until the next word is seen.
    """
    spans = split(text)
    if not spans:
        return [], text
    last = spans.pop()
    return [text[span.start : span.end] for span in spans], text[last.start :]


def _blocks(text: str) -> Iterator[Span]:
    """Paragraphs, list items, headings, rows and code: pieces that no sentence crosses."""
    start = end = 0
    kind: Kind = "prose"
    fence: str | None = None
    for line_start, line_end in _lines(text):
        line = text[line_start:line_end]
        mark = _FENCE.match(line)
        if fence is not None:
            end = line_end
            if mark and mark[1] == fence and not line.strip(" \t`~"):
                yield Span(start, end, "code")
                fence, start = None, line_end
            continue
        found = "code" if mark else _line_kind(line)
        if found == "prose" and start < end and kind in ("prose", "item"):
            end = line_end  # a wrapped line goes on with what is open
            continue
        if start < end:
            yield Span(start, end, kind)
        start, end = line_start, line_end
        if found == "blank":
            start = end
        elif mark:
            fence = mark[1]
        else:
            kind = found
            if kind not in ("prose", "item"):
                yield Span(start, end, kind)
                start = end
                kind = "prose"
    if start < end:
        yield Span(start, end, "code" if fence is not None else kind)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in re.finditer(r"\r\n|[\n\r\f\v\u2028\u2029]", text):
        yield start, match.start()
        start = match.end()
    yield start, len(text)


def _line_kind(line: str) -> Literal["blank", "prose", "heading", "item", "row"]:
    if not line.strip():
        return "blank"
    if _HEADING.match(line):
        return "heading"
    if _ROW.match(line) or (_RULE.match(line) and "|" in line):
        return "row"
    if _ITEM.match(line):
        return "item"
    return "prose"


def _prose(text: str, block: Span) -> Iterator[Span]:
    start = block.start
    position = block.start
    while match := _TERMINATOR.search(text, position, block.end):
        position = max(match.end(), position + 1)
        if match.end() >= block.end:
            break
        if not _ends(text, start, match):
            continue
        cut = match.start("gap")
        yield Span(start, cut, block.kind)
        start = match.end()
    if start < block.end:
        yield Span(start, block.end, block.kind)


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the punctuation at `match` ends the sentence that began at `start`."""
    mark = match["mark"]
    if mark[0] in "。！？｡":
        return True
    following = text[match.end() : match.end() + 32].lstrip(_OPENERS + " ")
    if following and following[0].islower():
        return False  # a sentence begins with a capital, a digit, or a letter of a script without case
    before = text[start : match.start()]
    return mark != "." or _full_stop_ends(before, following)


def _full_stop_ends(before: str, following: str) -> bool:
    """Whether a single full stop between `before` (from the sentence's start) and `following` ends the sentence."""
    found = _LAST_WORD.search(before[-24:])
    if found is None:
        # "1. Turn it off": a number alone at the start is a label; anywhere else it may end the sentence.
        return bool(before.strip().strip("0123456789.()"))
    word = found[1].lower()
    next_word = re.match(r"[^\W_]+", following)
    starts = next_word is not None and next_word[0].lower() in _STARTERS
    if word in _ABBREVIATIONS:
        return word == "no" and starts  # "No. 5" against "He said no. The"
    initial = len(word) == 1 and found[1].isupper()  # "J. R. R. Tolkien", "D. C. The city"
    return starts if initial or word in _MAY_END or "." in word else True


def _bounded(text: str, span: Span) -> Iterator[Span]:
    """`span` without white space at its ends, in pieces of at most `MAX_CHARS`."""
    start, end = span.start, span.end
    while True:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start >= end:
            return
        if end - start <= MAX_CHARS:
            yield Span(start, end, span.kind)
            return
        cut = start + MAX_CHARS
        soft = [m.end() for m in _SOFT.finditer(text, start + MAX_CHARS // 2, cut)]
        preferred = [p for p in soft if text[p - 2 : p - 1] in ";:\n" or text[p - 1] == "\n"]
        cut = (preferred or soft or [cut])[-1]
        piece_end = cut
        while piece_end > start and text[piece_end - 1].isspace():
            piece_end -= 1
        yield Span(start, piece_end, span.kind)
        start = cut
