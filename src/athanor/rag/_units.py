"""Pieces of a document that chunks are packed from: none larger than a chunk, none cut where it need not be."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from athanor.rag.sentences import split
from athanor.rag.tokens import estimate, positions
from athanor.types import Block, ParsedDocument

_SPACE = re.compile(r"\s+")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\(?[\w.]{1,8}[.)])[ \t]+\S")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_WINDOW = 4000
"""Characters that are split into sentences at a time: the splitter may look back to where its text begins."""
_SHORT = 24
"""Sentences of fewer characters are put together with the next one."""
GAP_TOKENS = 20
"""Text outside all blocks (front matter, link definitions) that is longer than this is left out of chunks."""
_HEADING_CHARACTERS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Characters `start:end`, with the headings right before them."""

    start: int
    end: int
    tokens: int
    path: tuple[str, ...]
    strength: int
    """How good it is to cut before it: 0 inside a block, 1 between blocks, from 2 on before a heading."""
    continues: Literal["", "text", "table", "lines"] = ""
    """The block that it goes on with, if it is not the beginning of one."""
    head: str = ""
    """First row of the table that it belongs to."""


def sections(document: ParsedDocument, target: int, limit: int) -> Iterator[list[Unit]]:
    """The document's units in order, in groups that no chunk may join."""
    text = document.text
    top = _top_level(document.blocks)
    stack: list[tuple[int, str]] = []
    units: list[Unit] = []
    opening: list[Block] = []  # headings that wait for their text
    last = loose = 0  # end of the last block; tokens of what stands between blocks
    for block in document.blocks:
        gap = estimate(text[last : min(block.start, last + 2000)]) if units or opening else 0
        far = gap > GAP_TOKENS
        # A heading right under another opens with it, unless that other one's section ends here, empty.
        nested = bool(opening) and min(head.level for head in opening) < block.level
        if far or (block.kind == "heading" and block.level <= top and not nested):
            units.extend(_headings(text, opening, _path(stack), limit))
            opening = []
            if units:
                yield units
            units = []
            loose = 0
        last, loose = block.end, loose + gap * (not far)
        if block.kind == "heading":
            while stack and stack[-1][0] >= block.level:
                stack.pop()
            stack.append((block.level, _name(text, block, document.mime)))
            opening.append(block)
            continue
        path = _path(stack)
        pieces = list(_pieces(text, block, path, target, limit))
        first, *others = _opened(text, opening, pieces, limit)
        units += [replace(first, tokens=first.tokens + loose), *others]
        opening, loose = [], 0
    units.extend(_headings(text, opening, _path(stack), limit))
    if units:
        yield units


def _path(stack: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(name for _, name in stack if name)


def _top_level(blocks: tuple[Block, ...]) -> int:
    """The highest heading level that divides the document: a lone heading above all others is its title."""
    levels = Counter(block.level for block in blocks if block.kind == "heading")
    ordered = sorted(levels)
    if not ordered:
        return 0
    return ordered[1] if levels[ordered[0]] == 1 and len(ordered) > 1 else ordered[0]


def _name(text: str, block: Block, mime: str) -> str:
    """A heading as it reads in a path."""
    name = text[block.start : min(block.end, block.start + 1000)]
    if mime == "text/x-source":  # comments stand above the line with the name
        name = text[max(block.start, block.end - 1000) : block.end].rsplit("\n", maxsplit=1)[-1]
    if mime == "text/markdown":
        name = _LINK.sub(r"\1", name).lstrip("#").replace("**", "").replace("`", "").split("\n", maxsplit=1)[0]
    name = _SPACE.sub(" ", name).strip()
    return name if len(name) <= _HEADING_CHARACTERS else name[: _HEADING_CHARACTERS - 1].rstrip() + "…"


def _opened(text: str, opening: list[Block], pieces: list[Unit], limit: int) -> Iterator[Unit]:
    """`pieces` with the waiting headings joined to the first of them, if that fits."""
    if not opening:
        yield from pieces
        return
    first = pieces[0]
    strength = 2 + max(9 - min(block.level for block in opening), 0)
    tokens = sum(estimate(text[block.start : block.end]) for block in opening) + first.tokens
    if tokens > limit:
        yield from _headings(text, opening, first.path, limit)
        yield from pieces
        return
    yield Unit(
        start=opening[0].start, end=first.end, tokens=tokens, path=first.path, strength=strength, head=first.head
    )
    yield from pieces[1:]


def _headings(text: str, opening: list[Block], path: tuple[str, ...], limit: int) -> Iterator[Unit]:
    """Headings without a text of their own, or too long for it."""
    for block in opening:
        for number, (start, end) in enumerate(_by_tokens(text, block.start, block.end, limit // 2)):
            strength = 0 if number else 2 + max(9 - block.level, 0)
            yield Unit(start=start, end=end, tokens=estimate(text[start:end]), path=path, strength=strength)


def _pieces(text: str, block: Block, path: tuple[str, ...], target: int, limit: int) -> Iterator[Unit]:
    """A block as one unit if it fits, and else in lines or sentences."""
    start, end = block.start, block.end
    if end - start <= 24 * limit and (tokens := estimate(text[start:end])) <= limit:
        yield Unit(start=start, end=end, tokens=tokens, path=path, strength=1)
        return
    by_line = block.kind in {"table", "code", "list"}
    head = _head(text, block) if block.kind == "table" else ""
    continues: Literal["text", "table", "lines"] = "text"
    if by_line:
        continues = "table" if block.kind == "table" else "lines"
    begun = False
    for at, stop, strength in _lines(text, block) if by_line else _sentences(text, start, end):
        tokens = estimate(text[at:stop])
        parts = [(at, stop)] if tokens <= limit else list(_by_tokens(text, at, stop, max(target // 2, 8)))
        for number, (a, b) in enumerate(parts):
            yield Unit(
                start=a,
                end=b,
                tokens=tokens if len(parts) == 1 else estimate(text[a:b]),
                path=path,
                strength=(0 if number else strength) if begun else 1,
                continues=continues if begun else "",
                head=head,
            )
            begun = True


def _head(text: str, block: Block) -> str:
    """First row of a table, as far as it fits into a heading."""
    newline = text.find("\n", block.start, block.end)
    row = text[block.start : block.end if newline < 0 else newline]
    names = _SPACE.sub(" ", row.strip().strip("|")).strip()
    return names if len(names) <= _HEADING_CHARACTERS else ""


def _lines(text: str, block: Block) -> Iterator[tuple[int, int, int]]:
    """Lines that are not empty, and how good a cut before each is: after an empty line, or before an item."""
    start = block.start
    empty = False
    while start < block.end:
        newline = text.find("\n", start, block.end)
        end = block.end if newline < 0 else newline
        if text[start:end].strip():
            good = empty if block.kind == "code" else block.kind == "table" or bool(_ITEM.match(text, start, end))
            yield start, end, int(good)
            empty = False
        else:
            empty = True
        start = end + 1


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Sentences of a paragraph, split window by window; the last of a window is split again with what follows."""
    while start < end:
        stop = min(start + _WINDOW, end)
        spans = split(text[start:stop])
        if not spans:
            start = stop
            continue
        if stop < end and len(spans) > 1:
            stop = start + spans.pop().start
        begin = start + spans[0].start
        for number, span in enumerate(spans):
            if start + span.end - begin < _SHORT and number + 1 < len(spans):
                continue  # goes with the next one
            finish = _whole_character(text, start + span.end, end)
            if begin < finish:
                yield begin, finish, 0
            begin = finish if number + 1 == len(spans) else max(start + spans[number + 1].start, finish)
        start = max(stop, begin)


def _by_tokens(text: str, start: int, end: int, limit: int) -> Iterator[tuple[int, int]]:
    """Pieces of at most `limit` tokens, cut at white space where there is some."""
    count = since = 0
    begin, space, resume = start, -1, start
    for at, weight in positions(text, start, end):
        if at < resume:
            continue
        if at > begin and text[at - 1].isspace():
            space, since = at, count
        if count + weight > limit and at > begin:
            cut = space if space > begin else _whole_character(text, at, end)
            yield begin, _trimmed(text, begin, cut)
            count = count - since if cut == space else 0
            begin, space, since, resume = cut, -1, 0, cut
            if at < resume:
                continue
        count += weight
    if begin < end and text[begin:end].strip():
        yield begin, _trimmed(text, begin, end)


def _trimmed(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end


def _whole_character(text: str, at: int, end: int) -> int:
    """`at`, moved on while it stands inside what a reader sees as one character."""
    for _ in range(32):
        if at >= end or not (_joins(text[at]) or text[at - 1] == "\u200d" or _inside_flag(text, at)):
            break
        at += 1
    return at


def _joins(character: str) -> bool:
    return character in "\u200d\ufe0e\ufe0f" or "\U0001f3fb" <= character <= "\U0001f3ff" or (
        unicodedata.category(character)[0] == "M"
    )  # fmt: skip


def _inside_flag(text: str, at: int) -> bool:
    """Between the two letters of a flag."""
    letters = 0
    while letters < 64 and at - letters - 1 >= 0 and "\U0001f1e6" <= text[at - letters - 1] <= "\U0001f1ff":
        letters += 1
    return letters % 2 == 1 and "\U0001f1e6" <= text[at] <= "\U0001f1ff"
