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
_EDGE_NUMBER = re.compile(r"^\d{1,5}\b|\b\d{1,5}$")
_LEADERS = re.compile(r"(?:\s?[.·…]){4,}\s*")
_NUMBERING = re.compile(
    r"(?:(?:chapter|section|appendix|part)\s+)?(?:\d+(?:\.\d+)*|[A-Z](?:\.\d+)+|[A-Z])[.:)]?\s+", re.IGNORECASE
)
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


Key = tuple[str | int, ...]
Keys = dict[int, set[Key]]


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

    A margin line goes when on three pages of the window the same words, digits aside, stand at the same height, or a
    number that counts with the pages.
    """
    window: deque[tuple[Page, Keys]] = deque()
    counts: Counter[Key] = Counter()
    position = 0  # of the next page to give, in the window
    for page in pages:
        keys = _margin_keys(page)
        window.append((page, keys))
        counts.update(set().union(*keys.values()))
        if len(window) - position > _WINDOW:
            yield _cut(*window[position], counts)
            position += 1
        if position > _WINDOW:
            counts.subtract(set().union(*window.popleft()[1].values()))
            position -= 1
    for page, keys in list(window)[position:]:
        yield _cut(page, keys, counts)


def _margin_keys(page: Page) -> Keys:
    """Of the outermost lines by height: their place in `page.lines`, and what would make them running lines."""
    order = sorted((i for i, line in enumerate(page.lines) if line.text), key=lambda i: page.lines[i].y)
    keys: Keys = {}
    for i in {*order[:2], *order[-2:]}:
        line = page.lines[i]
        where = line.y / page.height if page.height else 0.5
        if where < 0.12 or where > 0.85:
            keys[i] = {(_DIGITS.sub("#", line.text.lower()), round(where * 50))}
            if found := _EDGE_NUMBER.search(line.text[-8:]) or _EDGE_NUMBER.match(line.text[:8]):
                keys[i].add(("page number", round(where * 50), int(found[0]) - page.index))
    return keys


def _cut(page: Page, keys: Keys, counts: Counter[Key]) -> Page:
    running = {i for i, signs in keys.items() if any(counts[sign] >= 3 for sign in signs)}
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
        titled = bool(titles) and not titles.isdisjoint(heading_keys(line.text))
        entry = bool(_LEADERS.search(line.text))  # of a table of contents
        text = _LEADERS.sub(" … ", line.text).strip() if entry else line.text
        item = entry or bool(ITEM.match(line.text))
        if last is None or alone or titled or item or _breaks(last, line, usual, (left, right)):
            made.append(Paragraph("list" if item and not titled else "paragraph", text, line.height, line.hyphen))
        else:
            at = made[-1]
            at.text = words.join(at.text, text) if at.hyphen else f"{at.text} {text}"
            at.hyphen = line.hyphen
        last, alone = line, titled or entry
    return made


def _breaks(last: Line, line: Line, usual: float, edges: tuple[float, float]) -> bool:
    """Whether a new paragraph begins with `line`."""
    if last.hyphen:
        return False
    size = max(last.height, line.height, 1.0)
    drop = last.y - line.y
    if abs(drop) < 0.3 * size and line.x0 >= last.x0:
        return False  # the same printed line, drawn in pieces
    ended = last.text.endswith(_ENDS)
    fresh = not line.text[0].islower()
    # A line that begins or ends in another font may be higher: in the middle of a sentence that means nothing.
    if abs(last.height - line.height) > (0.12 if ended or fresh else 0.3) * size:
        return True
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


def heading_keys(text: str) -> set[str]:
    """What an outline may call a heading: its letters with and without its number."""
    return {letters(text), letters(_NUMBERING.sub("", text, count=1))} - {""}


def ends_open(text: str) -> bool:
    """Whether a paragraph that ends like this may go on over the page."""
    return not text.endswith(_ENDS)
