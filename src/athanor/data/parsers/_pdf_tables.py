"""Tables on a PDF page: those with drawn rules, cell by cell, and those whose columns are only kept apart by space.

A cell that reaches over rows is repeated in each, so that every row reads alone; one that reaches over columns stands
in the first. Not recognised: tables without rules that are drawn column by column or whose cells run over several
lines; rules inside form XObjects; tables drawn at an angle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from athanor.data.parsers._pdf_lines import Box, Edge, Line, Rules, Table, Word

_SNAP = 3.0
"""Points by which rules that meet may miss each other."""
_MAX_LINES = 400
"""Rules of a grid on one axis; more are a drawing."""
_CELL_CHARACTERS = 1200
"""A cell with more text than this is a frame around a part of the page."""
_WORDY = 30
"""Characters that the cells of a table without rules have in the middle, at most; longer ones are columns of prose."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """A net of rules. `xs` ascend, `ys` descend."""

    xs: list[float]
    ys: list[float]
    across: list[Edge]
    down: list[Edge]

    @property
    def box(self) -> Box:
        return self.xs[0], self.ys[-1], self.xs[-1], self.ys[0]


def ruled(lines: Sequence[Line], rules: Rules) -> tuple[list[Line], list[Table]]:
    """The tables with rules, and the lines that are in none of them."""
    left, tables = list(lines), list[Table]()
    for grid in _grids(rules):
        inside, outside = _divide(left, grid.box)
        table = _fill(grid, inside)
        if table is not None:
            tables.append(table)
            left = outside
    return left, tables


def _grids(rules: Rules) -> list[_Grid]:
    """The nets of rules that cross or meet, those with at least four cells; the small ones first."""
    across, down = _joined(rules.across), _joined(rules.down)
    if not 2 <= len(across) <= _MAX_LINES or not 2 <= len(down) <= _MAX_LINES:
        return []
    group = list(range(len(across) + len(down)))

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    for i, (y, left, right) in enumerate(across):
        for j, (x, bottom, top) in enumerate(down, len(across)):
            if left - _SNAP <= x <= right + _SNAP and bottom - _SNAP <= y <= top + _SNAP:
                group[root(j)] = root(i)
    members: dict[int, tuple[list[Edge], list[Edge]]] = {}
    for index in range(len(group)):
        found = members.setdefault(root(index), ([], []))
        if index < len(across):
            found[0].append(across[index])
        else:
            found[1].append(down[index - len(across)])
    made = []
    for flat, upright in members.values():
        xs, ys = _snapped(x for x, _, _ in upright), _snapped(y for y, _, _ in flat)[::-1]
        if len(xs) > 2 and len(ys) > 2:
            made.append(_Grid(xs, ys, flat, upright))
    return sorted(made, key=lambda grid: (grid.xs[-1] - grid.xs[0]) * (grid.ys[0] - grid.ys[-1]))


def _joined(edges: Iterable[Edge]) -> list[Edge]:
    """Rules with the pieces of one put together."""
    made: list[Edge] = []
    for at, begin, end in sorted((round(at), begin, end) for at, begin, end in edges):
        if made and abs(made[-1][0] - at) <= 1 and begin <= made[-1][2] + _SNAP and end >= made[-1][1] - _SNAP:
            made[-1] = (made[-1][0], min(made[-1][1], begin), max(made[-1][2], end))
        else:
            made.append((at, begin, end))
    return made


def _snapped(values: Iterable[float]) -> list[float]:
    made: list[float] = []
    for value in sorted(values):
        if not made or value - made[-1] > _SNAP:
            made.append(value)
    return made


def _divide(lines: Sequence[Line], box: Box) -> tuple[list[Line], list[Line]]:
    """The parts of lines inside a box, and those outside."""
    inside, outside = list[Line](), list[Line]()
    for line in lines:
        height = line.y + line.height / 2
        if not box[1] <= height <= box[3] or line.x1 < box[0] or line.x0 > box[2]:
            outside.append(line)
            continue
        within = [box[0] <= (word.x0 + word.x1) / 2 <= box[2] for word in line.words]
        for kept, target in ((True, inside), (False, outside)):
            words = [word for word, here in zip(line.words, within, strict=True) if here is kept]
            if words:
                target.append(line if len(words) == len(line.words) else line.of(words))
    return inside, outside


def _fill(grid: _Grid, lines: Sequence[Line]) -> Table | None:
    """The table of a grid; None where it is no table but a frame, or a drawing."""
    height, width = len(grid.ys) - 1, len(grid.xs) - 1
    first = _cells(grid)
    texts: dict[tuple[int, int], list[Line]] = {}
    for line in lines:
        row = _place([-y for y in grid.ys], -(line.y + line.height / 2))
        parts: dict[int, list[Word]] = {}
        for word in line.words:
            parts.setdefault(_place(grid.xs, (word.x0 + word.x1) / 2), []).append(word)
        last: tuple[int, int] | None = None
        for column, words in sorted(parts.items()):
            cell = first[row][column]
            if cell == last:  # goes on in the same merged cell
                texts[cell][-1] = line.of([*texts[cell][-1].words, *words])
            else:
                texts.setdefault(cell, []).append(line.of(words))
            last = cell
    shown = {cell: _joined_text(found) for cell, found in texts.items()}
    if any(len(text) > _CELL_CHARACTERS for text in shown.values()):
        return None
    if len({cell[1] for cell in shown}) < 2 or len({cell[0] for cell in shown}) < 2:
        return None
    rows = []
    for row in range(height):
        cells = []
        for column in range(width):
            cell = first[row][column]
            cells.append(shown.get(cell, "") if cell[1] == column else "")
        if any(cells):
            rows.append(cells)
    return Table(_without_empty(rows), *grid.box)


def _cells(grid: _Grid) -> list[list[tuple[int, int]]]:
    """For each square of the grid the first square of its cell: squares without a rule between are one."""
    height, width = len(grid.ys) - 1, len(grid.xs) - 1
    first = [[(row, column) for column in range(width)] for row in range(height)]
    for row in range(height):
        middle = (grid.ys[row] + grid.ys[row + 1]) / 2
        for column in range(width):
            centre = (grid.xs[column] + grid.xs[column + 1]) / 2
            if row and not _crosses(grid.across, grid.ys[row], centre):
                first[row][column] = first[row - 1][column]
            elif column and not _crosses(grid.down, grid.xs[column], middle):
                first[row][column] = first[row][column - 1]
    return first


def _crosses(edges: Sequence[Edge], at: float, where: float) -> bool:
    return any(abs(place - at) <= _SNAP and begin <= where <= end for place, begin, end in edges)


def _place(bounds: Sequence[float], value: float) -> int:
    """Index of the space between ascending `bounds` that holds `value`, or the nearest."""
    for index in range(len(bounds) - 2):
        if value < bounds[index + 1]:
            return index
    return len(bounds) - 2


def _joined_text(lines: Sequence[Line]) -> str:
    """The text of a cell on one line."""
    text = ""
    for line in sorted(lines, key=lambda line: (-round(line.y), line.x0)):
        if text.endswith("-") and text[-2:-1].isalpha() and line.text[:1].islower():
            text = text[:-1] + line.text
        else:
            text = f"{text} {line.text}" if text else line.text
    return text.replace("|", "¦")


def _without_empty(rows: list[list[str]]) -> list[list[str]]:
    """Rows without the columns that are empty in all of them: double rules make such."""
    used = [column for column in range(len(rows[0])) if any(row[column] for row in rows)]
    return [[row[column] for column in used] for row in rows]


def aligned(rows: Sequence[Sequence[Line]]) -> Table | None:
    """The table that `rows` of pieces of lines make by the way they stand under each other; None if they make none."""
    split = [row for row in rows if len(row) > 1]
    if len(split) < 2:
        return None
    columns = _columns(split)
    if columns is None or len(split) < (2 if len(columns) > 2 else 3):
        return None
    if _is_prose([piece for row in split for piece in row]):
        return None
    bounds = [(a[1] + b[0]) / 2 for a, b in pairwise(columns)]
    made: list[list[str]] = []
    for row in rows:
        placed = [""] * len(columns)
        for piece in row:
            for part in _cut(piece, bounds):
                at = _nearest(columns, part)
                placed[at] = f"{placed[at]} {part.text}".strip().replace("|", "¦")
        if len(row) == 1 and made and not placed[0] and sum(map(bool, placed)) == 1:  # the cell above goes on
            made[-1] = [f"{a} {b}".strip() for a, b in zip(made[-1], placed, strict=True)]
        else:
            made.append(placed)
    return Table(
        made,
        min(piece.x0 for row in rows for piece in row),
        min(piece.y for row in rows for piece in row),
        max(piece.x1 for row in rows for piece in row),
        max(piece.y + piece.height for row in rows for piece in row),
    )


def _is_prose(pieces: Sequence[Line]) -> bool:
    """Whether these are lines of text columns, and not cells: long, or in the middle of sentences."""
    texts = [piece.text for piece in pieces if any(map(str.isalpha, piece.text))]
    if len(texts) < 0.6 * len(pieces):
        return False
    words = median(text.count(" ") + 1 for text in texts)
    going_on = sum(text[0].islower() for text in texts)
    return median(map(len, texts)) > _WORDY or words >= 4 or (words >= 3 and going_on > 0.3 * len(texts))


def _columns(rows: Sequence[Sequence[Line]]) -> list[tuple[float, float]] | None:
    """Left and right end of each column, from the fullest rows of which there are at least two."""
    counts = Counter(len(row) for row in rows)
    full = max((count for count, times in counts.items() if times >= 2), default=0)
    if full < 2:
        return None
    columns = [(min(p.x0 for p in pieces), max(p.x1 for p in pieces)) for pieces in zip(
        *(row for row in rows if len(row) == full), strict=True)]  # fmt: skip
    return columns if all(a[1] < b[0] for a, b in pairwise(columns)) else None


def _cut(piece: Line, bounds: Sequence[float]) -> list[Line]:
    """`piece` cut where a gap between its words lies over the bound of two columns."""
    parts: list[list[Word]] = [[]]
    for word in piece.words:
        before = parts[-1][-1] if parts[-1] else None
        wide = before is not None and word.x0 - before.x1 > 0.45 * piece.height
        if before is not None and wide and any(before.x1 <= bound <= word.x0 for bound in bounds):
            parts.append([])
        parts[-1].append(word)
    return [piece] if len(parts) == 1 else [piece.of(words) for words in parts]


def _nearest(columns: Sequence[tuple[float, float]], piece: Line) -> int:
    """The first column that `piece` overlaps, or the nearest to it."""
    for index, (left, right) in enumerate(columns):
        if piece.x0 < right and piece.x1 > left:
            return index
    return min(range(len(columns)), key=lambda index: abs(sum(columns[index]) - piece.x0 - piece.x1))
