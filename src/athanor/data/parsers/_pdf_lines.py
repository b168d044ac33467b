"""From a PDF page to lines, and from lines to paragraphs. Knows geometry and typography, nothing of PDFium's files.

PDFium gives a page's text in the order it was drawn, with line ends, and marks a hyphen at a line's end as U+FFFE.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
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


Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in points."""
Edge = tuple[float, float, float]
"""A rule: where it stands on the one axis, and from where to where it goes on the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The straight lines that are drawn on a page."""

    across: tuple[Edge, ...] = ()
    """Height, left and right."""
    down: tuple[Edge, ...] = ()
    """Distance from the left, bottom and top."""


@dataclass(slots=True)
class Word:
    """One word and its box."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(slots=True)
class Line:
    """One printed line. Lengths in points, `y` upwards; `hyphen` when its last word goes on in the next line."""

    text: str
    x0: float
    x1: float
    y: float
    height: float
    hyphen: bool = False
    words: list[Word] = field(default_factory=list)

    def of(self, words: list[Word]) -> Line:
        """The part of it that these of its words make."""
        y = min(word.y0 for word in words)
        return Line(
            " ".join(word.text for word in words),
            words[0].x0,
            words[-1].x1,
            y,
            max(word.y1 for word in words) - y,
            self.hyphen and words[-1] is self.words[-1],
            words,
        )


@dataclass(slots=True)
class Table:
    """Rows of cells, as a piece of a page that is read as one."""

    rows: list[list[str]]
    x0: float
    y: float
    x1: float
    top: float

    @property
    def height(self) -> float:
        return self.top - self.y

    @property
    def text(self) -> str:
        """One row a line, cells between bars."""
        return "\n".join(" | ".join(row).rstrip(" |") for row in self.rows)


Region = list[Line | Table]
"""What is read from top to bottom: a column, or the whole width of a page."""


@dataclass(slots=True)
class Page:
    """The lines of one page, in drawing order; coordinates of the page as its text stands upright."""

    index: int
    height: float
    lines: list[Line]
    width: float = 0.0
    turn: int = 0
    """Quarter turns to the right that the page needs for this."""
    turned: list[Line] = field(default_factory=list)
    """Lines at another angle than most."""
    rules: Rules = field(default_factory=Rules)
    scanned: bool = False
    """Read from a picture."""


@dataclass(slots=True)
class Paragraph:
    """Joined lines. `size` is the line height of its text."""

    kind: str
    text: str
    size: float
    hyphen: bool = False
    box: Box = (0.0, 0.0, 0.0, 0.0)

    def cover(self, piece: Line | Table) -> None:
        """Reach around `piece` too."""
        x0, y0, x1, y1 = self.box
        self.box = (min(x0, piece.x0), min(y0, piece.y), max(x1, piece.x1), max(y1, piece.y + piece.height))


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
    return replace(page, lines=[line for i, line in enumerate(page.lines) if i not in running])


def paragraphs(regions: Iterable[Region], words: Words, titles: frozenset[str]) -> list[Paragraph]:
    """Join the lines of a page's regions. A line whose letters are in `titles` stands alone."""
    made: list[Paragraph] = []
    last: Line | None = None
    alone = False
    for region in regions:
        usual, edges = _measures(region, words)
        for piece in region:
            if isinstance(piece, Table):
                made.append(Paragraph("table", piece.text, 0.0, box=(piece.x0, piece.y, piece.x1, piece.top)))
                last = None
                continue
            line = piece
            titled = bool(titles) and not titles.isdisjoint(heading_keys(line.text))
            entry = bool(_LEADERS.search(line.text))  # of a table of contents
            text = _LEADERS.sub(" … ", line.text).strip() if entry else line.text
            item = entry or bool(ITEM.match(line.text))
            if last is None or alone or titled or item or _breaks(last, line, usual, edges):
                kind = "list" if item and not titled else "paragraph"
                box = (line.x0, line.y, line.x1, line.y + line.height)
                made.append(Paragraph(kind, text, line.height, line.hyphen, box))
            else:
                at = made[-1]
                at.text = words.join(at.text, text) if at.hyphen else f"{at.text} {text}"
                at.hyphen = line.hyphen
                at.cover(line)
            last, alone = line, titled or entry
    return made


def _measures(region: Region, words: Words) -> tuple[float, tuple[float, float]]:
    """The usual distance of a region's lines, and its left and right edges. Learns its words."""
    lines = [piece for piece in region if isinstance(piece, Line)]
    words.learn(lines)
    gaps = [a.y - b.y for a, b in pairwise(lines) if 0 < a.y - b.y < 3 * a.height]
    edges = min((line.x0 for line in lines), default=0.0), max((line.x1 for line in lines), default=0.0)
    return (median(gaps) if gaps else 0.0), edges


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
