"""Plain text. The source text is the file's own text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from athanor.data.build import stem, storable
from athanor.data.encoding import decode
from athanor.types import Block, ParsedDocument

_UNDERLINE = re.compile(r"([=\-~^\"'#*+])\1{2,}\s*\Z")
_ITEM = re.compile(r"\s{0,6}(?:[-*+•‣◦▪–]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S")


class TextParser:
    """Paragraphs are what empty lines divide; underlined lines are headings, as in reStructuredText."""

    mimes: tuple[str, ...] = ("text/plain",)
    suffixes: tuple[str, ...] = (".txt", ".text", ".log", ".rst", ".adoc", ".tex")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        text, warnings = decode(path.read_bytes(), name)
        text = storable(text)
        blocks = list(_paragraphs(text))
        heading = next((block for block in blocks if block.kind == "heading"), None)
        title = text[heading.start : heading.end].strip()[:200] if heading else stem(name)
        return ParsedDocument(
            text=text, title=title, mime=self.mimes[0], blocks=tuple(blocks), warnings=warnings, lines=True
        )


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Start and end (without the line end) of each line."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield start, end
        start = end + 1
    yield start, len(text)


def _paragraphs(text: str) -> Iterator[Block]:
    levels: dict[str, int] = {}
    lines: list[tuple[int, int]] = []
    for start, end in _lines(text):
        if end == start or text[start:end].isspace():
            yield from _group(text, lines, levels)
            lines = []
        else:
            lines.append((start, end))
    yield from _group(text, lines, levels)


def _group(text: str, lines: list[tuple[int, int]], levels: dict[str, int]) -> Iterator[Block]:
    """The lines between two empty lines: perhaps a heading, then a list or a paragraph."""
    if len(lines) >= 3 and _UNDERLINE.match(text, *lines[0]) and _UNDERLINE.match(text, *lines[2]):
        lines = lines[1:]  # a heading between two rules
    if len(lines) >= 2:
        (start, end), rule = lines[0], lines[1]
        mark = _UNDERLINE.match(text, *rule)
        if mark and rule[1] - rule[0] >= min(end - start, 200) and not _UNDERLINE.match(text, start, end):
            level = levels.setdefault(mark[1], len(levels) + 1)
            yield _block(text, "heading", start, end, min(level, 6))
            lines = lines[2:]
    if lines:
        items = sum(1 for start, end in lines if _ITEM.match(text, start, end))
        kind = "list" if items > 1 or (items and len(lines) == 1) else "paragraph"
        yield _block(text, kind, lines[0][0], lines[-1][1])


def _block(text: str, kind: str, start: int, end: int, level: int = 0) -> Block:
    """A block without the white space at its ends."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Block(kind=kind, start=start, end=end, level=level)
