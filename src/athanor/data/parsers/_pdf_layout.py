"""The order in which the lines of a PDF page are read: columns are told by the gutter between them.

PDFium gives lines as they were drawn. Two columns that were drawn row by row come as one line with a wide gap, so lines
are first cut at such gaps. What stands side by side in rows of short pieces is a table; long pieces are columns. Lines
that cross a gutter (titles, wide figures) divide what is above them from what is below.

Not recognised: columns of fewer than three lines; text that flows around pictures; more than four columns beside each
other in prose.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from athanor.data.parsers._pdf_lines import Line, Page, Region, Table
from athanor.data.parsers._pdf_tables import aligned, ruled

_MARK = re.compile(r"(?:[•‣◦▪■●○–*\-]|\(?(?:\d{1,3}|[a-zA-Z])[.)]|\d+(?:\.\d+)+\.?)\Z")
_WIDE = 1.0
"""Share of a line's height from which a gap may divide columns or cells."""
_MIN_LINES = 3
"""Lines on each side of a gutter."""
_DEPTH = 3
_Piece = Line | Table


def regions(page: Page) -> list[Region]:
    """What stands on `page`, in reading order: columns and what lies between them."""
    lines, tables = ruled([line for line in page.lines if line.text], page.rules)
    flow: list[_Piece] = list(tables)
    flow.extend(_tables(_rows([piece for line in lines for piece in _pieces(line)])))
    return [_mended(region) for region in _order(flow, _DEPTH) if region] + [[line] for line in page.turned]


def _pieces(line: Line) -> list[Line]:
    """`line`, cut at its wide gaps, but not behind the mark of a list item."""
    cuts = [
        at
        for at in range(1, len(line.words))
        if line.words[at].x0 - line.words[at - 1].x1 > _WIDE * line.height
        and not (at == 1 and _MARK.match(line.words[0].text))
    ]
    if not cuts:
        return [line]
    return [line.of(line.words[a:b]) for a, b in zip([0, *cuts], [*cuts, len(line.words)], strict=True)]


def _rows(pieces: Sequence[Line]) -> list[list[Line]]:
    """Pieces that were drawn one after the other, from left to right, on the same base line."""
    rows: list[list[Line]] = []
    for piece in pieces:
        last = rows[-1][-1] if rows else None
        if (
            last is not None
            and abs(last.y - piece.y) < 0.35 * max(last.height, piece.height)
            and piece.x0 - last.x1 > _WIDE * min(last.height, piece.height)
        ):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    return rows


def _tables(rows: Sequence[Sequence[Line]]) -> list[_Piece]:
    """The rows, with those that make a table as one piece."""
    out: list[_Piece] = []
    at = 0
    while at < len(rows):
        end = _run(rows, at)
        table = aligned(rows[at:end]) if end - at > 1 else None
        if table is not None:
            out.append(table)
            at = end
        else:  # a row of another table may follow a heading that looks like one
            out.extend(rows[at])
            at += 1
    return out


def _run(rows: Sequence[Sequence[Line]], first: int) -> int:
    """Behind the last row from `first` on that could belong to one table, which begins and ends with a divided row."""
    end = first + 1
    if len(rows[first]) < 2:
        return end
    for at in range(first + 1, len(rows)):
        above, below = rows[at - 1][0], rows[at][0]
        if not -0.2 * above.height < above.y - below.y < 3 * max(above.height, below.height):
            break
        if len(rows[at]) > 1:
            end = at + 1
        elif at - end >= 1:  # one whole line between two divided ones at most
            break
    return end


def _order(pieces: Sequence[_Piece], depth: int) -> list[Region]:
    """Regions in reading order: above and below what crosses the gutter, and left and right of it."""
    gutter = _gutter(pieces) if depth else None
    if gutter is None:
        return [_sorted(pieces)]
    sides: tuple[list[_Piece], list[_Piece], list[_Piece]] = ([], [], [])
    for piece in pieces:
        sides[_side(piece, gutter)].append(piece)
    left, right, across = sides
    out: list[Region] = []
    across.sort(key=_top, reverse=True)
    for number in range(len(across) + 1):
        floor = _middle(across[number]) if number < len(across) else float("-inf")
        for side in (left, right):
            band = [piece for piece in side if _middle(piece) > floor]
            if band:
                side[:] = [piece for piece in side if _middle(piece) <= floor]
                out.extend(_order(band, depth - 1))
        if number < len(across):
            wide = across[number]
            if out and number and out[-1][-1] is across[number - 1]:
                out[-1].append(wide)
            else:
                out.append([wide])
    return out


def _gutter(pieces: Sequence[_Piece]) -> tuple[float, float] | None:
    """Left and right end of the best gap between two columns; None where there is one column."""
    lines = [piece for piece in pieces if isinstance(piece, Line)]
    if len(lines) < 2 * _MIN_LINES:
        return None
    low, high = min(line.x0 for line in lines), max(line.x1 for line in lines)
    height = median(line.height for line in lines)
    # Where lines begin is where a column may; many lines begin there.
    best: tuple[float, float, float] | None = None
    for edge in sorted({round(line.x0) for line in lines}):
        if not low + 0.12 * (high - low) < edge < high - 0.12 * (high - low):
            continue
        right = [line for line in lines if line.x0 >= edge - 2]
        left = [line for line in lines if line.x1 <= edge - 0.4 * height]
        crossing = len(lines) - len(left) - len(right)
        if len(left) < _MIN_LINES or len(right) < _MIN_LINES or crossing > 0.4 * len(lines):
            continue
        end = max(line.x1 for line in left)
        if edge - end < 0.5 * height or not _beside(left, right):
            continue
        if best is None or (crossing, end - edge) < best[:2]:
            best = (crossing, end - edge, float(edge))
    return (best[2] + best[1], best[2] - 2) if best else None


def _beside(left: Sequence[Line], right: Sequence[Line]) -> bool:
    """Whether two groups of lines stand beside each other, not above, and are long enough for columns."""
    top = min(max(line.y for line in left), max(line.y for line in right))
    bottom = max(min(line.y for line in left), min(line.y for line in right))
    spans = [max(line.y for line in side) - min(line.y for line in side) for side in (left, right)]
    return top - bottom > 0.5 * min(spans) and all(
        sum(len(line.text) for line in side) >= 5 * len(side) for side in (left, right)
    )


def _side(piece: _Piece, gutter: tuple[float, float]) -> int:
    """0 left of the gutter, 1 right of it, 2 across. What only hangs over a little belongs to its own side."""
    centre = (gutter[0] + gutter[1]) / 2
    before, behind = max(centre - piece.x0, 0.0), max(piece.x1 - centre, 0.0)
    if min(before, behind) <= 0.15 * max(before, behind):
        return 0 if before >= behind else 1
    return 2


def _sorted(pieces: Sequence[_Piece]) -> Region:
    """From top to bottom, unless something stands beside something else: then as it was drawn, tables apart."""
    order = sorted(pieces, key=_middle, reverse=True)
    if any(isinstance(piece, Table) for piece in pieces):
        return _by_row(order)
    for above, below in pairwise(order):
        same = _middle(above) - _middle(below) < 0.5 * min(above.height, below.height)
        if same and not _drawn_together(pieces, above, below):
            return list(pieces)
    return _by_row(order)


def _drawn_together(pieces: Sequence[_Piece], one: _Piece, other: _Piece) -> bool:
    at = {id(piece): index for index, piece in enumerate(pieces)}
    return abs(at[id(one)] - at[id(other)]) == 1


def _by_row(order: Sequence[_Piece]) -> Region:
    """Pieces that descend, those of one printed line from left to right."""
    out: Region = []
    row: list[_Piece] = []
    for piece in order:
        if row and _middle(row[0]) - _middle(piece) > 0.45 * min(row[0].height, piece.height):
            out.extend(sorted(row, key=lambda found: found.x0))
            row = []
        row.append(piece)
    return out + sorted(row, key=lambda found: found.x0)


def _middle(piece: _Piece) -> float:
    return piece.y + piece.height / 2


def _top(piece: _Piece) -> float:
    return piece.y + piece.height


def _mended(region: Region) -> Region:
    """Marks the hyphens at line ends that came up only when a line was cut at the gutter."""
    for above, below in pairwise(region):
        if isinstance(above, Line) and isinstance(below, Line) and not above.hyphen and above.y > below.y:
            text = above.text
            if text.endswith("-") and text[-2:-1].isalpha() and below.text[:1].islower():
                above.text, above.hyphen = text[:-1], True
    return region
