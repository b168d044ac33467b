"""From the cells of a sheet to tables: where they end, which row is their head, and groups of rows that read alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Row = tuple[int, list[str]]
"""Row index from 0, and the cells from the sheet's first column on; empty strings at the end may lack."""

_GROUP_ROWS = 20
_GROUP_CHARACTERS = 700
"""Characters of a group of rows: about what a chunk holds."""
_HEAD_SEARCH = 6
"""Rows among which the head is looked for; what stands above it is the table's caption."""
_NAME = 60
"""Characters of a column's name, at most."""
_NUMBER = re.compile(r"[-+(]?[\d.,\s'’]*\d[\d.,]*\s*[)%]?\Z")
_YEAR = re.compile(r"(?:19|20|21)\d\d\Z")


@dataclass(frozen=True, slots=True)
class Group:
    """Some rows of a table under its head, as text, with the place of the whole and of each row."""

    text: str
    marks: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """Cells without an empty row or column between. `rows` have all the same width."""

    left: int
    right: int
    rows: list[Row]


def tables(rows: Iterable[Row]) -> Iterator[Table]:
    """The tables of a sheet, from top to bottom and from left to right."""
    band: list[Row] = []
    for row in rows:
        if any(row[1]) and (not band or row[0] == band[-1][0] + 1):
            band.append(row)
            continue
        yield from _across(band)
        band = [row] if any(row[1]) else []
    yield from _across(band)


def _across(band: list[Row]) -> Iterator[Table]:
    """The tables beside each other in rows of which none is empty."""
    width = max((len(cells) for _, cells in band), default=0)
    used = [False] * width
    for _, cells in band:
        for column, cell in enumerate(cells):
            if cell:
                used[column] = True
    left = 0
    while left < width:
        if not used[left]:
            left += 1
            continue
        right = left
        while right + 1 < width and used[right + 1]:
            right += 1
        span = right - left + 1
        part = [(number, (cells[left : right + 1] + [""] * span)[:span]) for number, cells in band]
        if span == width:
            yield Table(left, right, part)
        else:  # a table beside a longer one has empty rows of its own
            yield from (Table(left, right, rows) for rows in _filled(part))
        left = right + 1


def _filled(rows: list[Row]) -> Iterator[list[Row]]:
    run: list[Row] = []
    for row in rows:
        if any(row[1]):
            run.append(row)
        elif run:
            yield run
            run = []
    if run:
        yield run


def head_of(table: Table) -> int:
    """Index of the table's head row, or -1: names above at least one other row, all different, none a number."""
    width = table.right - table.left + 1
    if width < 2:
        return -1
    for index, (_, cells) in enumerate(table.rows[:_HEAD_SEARCH]):
        filled = [cell for cell in cells if cell]
        if len(filled) < max(2, (width + 1) // 2):
            continue
        names = all(len(cell) <= _NAME and (not _NUMBER.match(cell) or _YEAR.match(cell)) for cell in filled)
        if names and len(set(filled)) > len(filled) // 2 and index + 1 < len(table.rows):
            return index
        return -1
    return -1


def line(cells: list[str]) -> str:
    """A row as text; empty cells at the end are left out."""
    last = len(cells)
    while last and not cells[last - 1]:
        last -= 1
    return " | ".join(cells[:last])


def groups(table: Table, head: int, sheet: str) -> Iterator[Group]:
    """The rows below the head (all, where `head` is -1) in groups, each under the head again."""
    first = head + 1
    head_line = line(table.rows[head][1]) if head >= 0 else ""
    room = max(_GROUP_CHARACTERS, 3 * len(head_line))
    while first < len(table.rows):
        lines, size, last = [], len(head_line), first
        while last < len(table.rows) and last - first < _GROUP_ROWS and (size < room or last == first):
            lines.append(line(table.rows[last][1]))
            size += len(lines[-1]) + 1
            last += 1
        top = table.rows[head if first == head + 1 and head >= 0 else first][0]
        marks = [(0, place(sheet, table, top, table.rows[last - 1][0]))]
        at = len(head_line) + 1 if head_line else 0
        for number, text in enumerate(lines, first):
            mark = (at, place(sheet, table, table.rows[number][0], table.rows[number][0]))
            if at:
                marks.append(mark)
            elif last - first == 1:
                marks = [mark]
            at += len(text) + 1
        yield Group("\n".join([head_line, *lines] if head_line else lines), marks)
        first = last


def place(sheet: str, table: Table, top: int, bottom: int) -> str:
    """`Budget!A2:F21`, with the sheet's name in quotes where a formula would need them."""
    name = " ".join(sheet.split())
    if not re.fullmatch(r"[^\W\d]\w*", name):
        name = "'" + name.replace("'", "''") + "'"
    left, right = column(table.left), column(table.right)
    return (
        f"{name}!{left}{top + 1}" if (left, top) == (right, bottom) else f"{name}!{left}{top + 1}:{right}{bottom + 1}"
    )


def column(index: int) -> str:
    """Letters of a column: 0 is A, 26 is AA."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
