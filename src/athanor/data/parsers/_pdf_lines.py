"""From a PDF page to lines, and from lines to paragraphs. Knows geometry and typography, nothing of PDFium's files.

PDFium gives a page's text in the order it was drawn, with line ends, and marks a hyphen at a line's end as U+FFFE.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

ITEM = re.compile(r"(?:[•‣◦▪■●○–*\-]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S")
_ENDS = (".", "!", "?", ":", "…", "。", "！", "？", ".”", '."', ".)")
_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b", re.IGNORECASE)
_LAST_WORD = re.compile(r"[^\W\d_]+\Z")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_WINDOW = 4
"""Pages before and after in which a header or footer must come again."""
_VOCABULARY = 200_000


@dataclass(slots=True)
class Line:
    """One printed line. Lengths in points, `y` upwards; `hyphen` when its last word goes on in the next line."""

    text: str
    x0: float
    x1: float
    y: float
    height: float
    hyphen: bool = False


@dataclass(slots=True)
class Page:
    """The lines of one page, in drawing order."""

    index: int
    height: float
    lines: list[Line]


@dataclass(slots=True)
class Paragraph:
    """Joined lines. `size` is the line height of its text."""

    kind: str
    text: str
    size: float
    hyphen: bool = False


@dataclass(slots=True)
class Words:
    """Words seen so far in the document: they tell a hyphen of the language from one of the line break."""

    seen: set[str] = field(default_factory=set)

    def learn(self, lines: Iterable[Line]) -> None:
        if len(self.seen) < _VOCABULARY:
            for line in lines:
                self.seen.update(_WORD.findall(line.text.lower()))

    def join(self, before: str, after: str) -> str:
        """`before` (without its hyphen) and `after`, as one text."""
        left, right = _LAST_WORD.search(before[-60:]), _FIRST_WORD.match(after)
        if left and right and right[0][0].islower():
            whole, compound = (left[0] + right[0]).lower(), f"{left[0]}-{right[0]}".lower()
            if compound not in self.seen or whole in self.seen:
                return before + after
        return f"{before}-{after}"


def without_margins(pages: Iterable[Page]) -> Iterator[Page]:
    """The pages without running headers, footers and page numbers; looks `_WINDOW` pages ahead and behind.

    A margin line goes when the same words, digits aside, stand at the same height on three pages of the window.
    """
    window: deque[tuple[Page, dict[int, tuple[str, int]]]] = deque()
    counts: Counter[tuple[str, int]] = Counter()
    position = 0  # of the next page to give, in the window
    for page in pages:
        keys = _margin_keys(page)
        window.append((page, keys))
        counts.update(set(keys.values()))
        if len(window) - position > _WINDOW:
            yield _cut(*window[position], counts)
            position += 1
        if position > _WINDOW:
            counts.subtract(set(window.popleft()[1].values()))
            position -= 1
    for page, keys in list(window)[position:]:
        yield _cut(page, keys, counts)


def _margin_keys(page: Page) -> dict[int, tuple[str, int]]:
    """Of the outermost lines by height: their place in `page.lines`, words without numbers, and height in percent."""
    order = sorted((i for i, line in enumerate(page.lines) if line.text), key=lambda i: page.lines[i].y)
    keys = {}
    for i in {*order[:2], *order[-2:]}:
        line = page.lines[i]
        where = line.y / page.height if page.height else 0.5
        if where < 0.12 or where > 0.85:
            keys[i] = (_DIGITS.sub("#", line.text.lower()), round(where * 50))
    return keys


def _cut(page: Page, keys: dict[int, tuple[str, int]], counts: Counter[tuple[str, int]]) -> Page:
    running = {i for i, key in keys.items() if counts[key] >= 3}
    if not running:
        return page
    return Page(page.index, page.height, [line for i, line in enumerate(page.lines) if i not in running])


def paragraphs(page: Page, words: Words, titles: frozenset[str]) -> list[Paragraph]:
    """Join the lines of a page. A line whose letters are in `titles` stands alone."""
    lines = [line for line in page.lines if line.text]
    words.learn(lines)
    gaps = [a.y - b.y for a, b in pairwise(lines) if 0 < a.y - b.y < 3 * a.height]
    usual = median(gaps) if gaps else 0.0
    right = max((line.x1 for line in lines), default=0.0)
    left = min((line.x0 for line in lines), default=0.0)
    made: list[Paragraph] = []
    last: Line | None = None
    alone = False
    for line in lines:
        titled = bool(titles) and letters(line.text) in titles
        item = bool(ITEM.match(line.text))
        if last is None or alone or titled or item or _breaks(last, line, usual, (left, right)):
            made.append(Paragraph("list" if item and not titled else "paragraph", line.text, line.height, line.hyphen))
        else:
            at = made[-1]
            at.text = words.join(at.text, line.text) if at.hyphen else f"{at.text} {line.text}"
            at.hyphen = line.hyphen
        last, alone = line, titled
    return made


def _breaks(last: Line, line: Line, usual: float, edges: tuple[float, float]) -> bool:
    """Whether a new paragraph begins with `line`."""
    if last.hyphen:
        return False
    size = max(last.height, line.height, 1.0)
    drop = last.y - line.y
    if abs(drop) < 0.3 * size and line.x0 >= last.x0:
        return False  # the same printed line, drawn in pieces
    if abs(last.height - line.height) > 0.12 * size:
        return True
    ended = last.text.endswith(_ENDS)
    fresh = not line.text[0].islower()
    if drop < 0:
        return ended or fresh  # up again: the next column
    if usual and drop > 1.35 * usual:
        return True
    short = last.x1 < edges[1] - 0.15 * (edges[1] - edges[0])
    indented = line.x0 > last.x0 + 0.8 * size
    return ended and fresh and (short or indented)


def letters(text: str) -> str:
    """`text` for comparison: its letters and digits, lower case."""
    return "".join(c for c in text.lower() if c.isalnum())


def ends_open(text: str) -> bool:
    """Whether a paragraph that ends like this may go on over the page."""
    return not text.endswith(_ENDS)
