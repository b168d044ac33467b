"""What an XLSX file says of its cells beside their values: percent formats, how far they are apart, pictures.

Sources: ECMA-376, part 1, sections 18.3 (worksheets) and 18.8 (styles).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from athanor.data.parsers._ooxml import A, R, read_xml, relations
from athanor.data.zipguard import DAMAGE

_X = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ABOUT = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}cNvPr"
_PIECE = 1 << 20
_CELL = re.compile(rb"<(?:\w+:)?c\s([^<>]{0,400})>")
NAME = re.compile(rb"""\br=["']([A-Z]{1,3})(\d{1,7})["']""")
_STYLE = re.compile(rb"""\bs=["'](\d{1,6})["']""")
_LITERAL = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')


@dataclass(slots=True)
class SheetFacts:
    """Facts of one sheet. Rows and columns count from 0."""

    percent: dict[tuple[int, int], int] = field(default_factory=dict)
    """Cells that are shown as a percentage → digits behind the point."""
    area: int = 0
    """Cells of the rectangle around all that has content."""
    filled: int = 0
    """Cells that have content."""
    corners: tuple[int, int, int, int] = (0, 0, 0, 0)
    """First and last row, first and last column."""


def sheet_parts(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    """Sheet name → part."""
    book = read_xml(archive, "xl/workbook.xml", name)
    related = relations(archive, "xl/workbook.xml", name)
    found = {}
    for sheet in book.iter(f"{_X}sheet") if book is not None else ():
        relation = related.get(sheet.get(f"{R}id") or "")
        if relation:
            found[sheet.get("name") or ""] = relation.part
    return found


def percent_styles(archive: zipfile.ZipFile, name: str) -> dict[int, int]:
    """Index of each cell style that shows percentages → digits behind the point."""
    root = read_xml(archive, "xl/styles.xml", name)
    if root is None:
        return {}
    digits = {9: 0, 10: 2}  # the built-in formats `0%` and `0.00%`
    for node in root.iter(f"{_X}numFmt"):
        code = _LITERAL.sub("", (node.get("formatCode") or "").split(";")[0])
        if code.endswith("%") and (node.get("numFmtId") or "").isdecimal():
            digits[int(node.get("numFmtId"))] = len(code.partition(".")[2].rstrip("% "))
    formats = root.find(f"{_X}cellXfs")
    found = {}
    for index, style in enumerate(formats if formats is not None else ()):
        number = style.get("numFmtId") or ""
        if number.isdecimal() and int(number) in digits:
            found[index] = min(digits[int(number)], 9)
    return found


def facts(archive: zipfile.ZipFile, part: str, percent: dict[int, int]) -> SheetFacts:
    """Read the cells' names and styles, without their values. What is damaged is left to the reader of the values."""
    found = SheetFacts()
    rows, columns = [1 << 30, -1], [1 << 30, -1]
    for attributes in cell_tags(archive, part):
        name = None if attributes.endswith(b"/") else NAME.search(attributes)
        if name is None:
            continue
        row, column = int(name[2]) - 1, column_of(name[1])
        found.filled += 1
        rows[0], rows[1] = min(rows[0], row), max(rows[1], row)
        columns[0], columns[1] = min(columns[0], column), max(columns[1], column)
        style = _STYLE.search(attributes) if percent else None
        if style and int(style[1]) in percent:
            found.percent[row, column] = percent[int(style[1])]
    if rows[1] >= 0:
        found.area = (rows[1] - rows[0] + 1) * (columns[1] - columns[0] + 1)
        found.corners = (rows[0], rows[1], columns[0], columns[1])
    return found


def cell_tags(archive: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """The attributes of each cell's tag, with a `/` at the end where it is empty."""
    try:
        with archive.open(part) as file:
            rest = b""
            while data := file.read(_PIECE):
                rest += data
                end = rest.rfind(b">") + 1
                for found in _CELL.finditer(rest, 0, end):
                    yield found[1]
                rest = rest[end:] if len(rest) - end < _PIECE else b""
    except (KeyError, *DAMAGE):
        return


def column_of(letters: bytes) -> int:
    """Index of a column from its letters: A is 0."""
    index = 0
    for letter in letters:
        index = index * 26 + letter - 64
    return index - 1


def pictures(archive: zipfile.ZipFile, part: str, name: str) -> Iterator[tuple[str, str]]:
    """Part and description of each picture on a sheet, in the order of the file."""
    for relation in relations(archive, part, name).values():
        if relation.kind != "drawing":
            continue
        drawing = read_xml(archive, relation.part, name)
        related = relations(archive, relation.part, name)
        for blip in drawing.iter(f"{A}blip") if drawing is not None else ():
            target = related.get(blip.get(f"{R}embed") or "")
            if target:
                yield target.part, _description(blip)


def _description(blip: Any) -> str:
    for above in blip.iterancestors():
        about = next(above.iter(_ABOUT), None)
        if about is not None:
            return str(about.get("descr") or "")
    return ""
