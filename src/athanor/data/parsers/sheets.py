"""Spreadsheets (XLSX, XLS, XLSB, ODS) by calamine, sheet by sheet.

A sheet is cut into tables at empty rows and columns, and a table into groups of rows, each under the table's head
again, so that every group reads alone. Values are those that the program stored when the file was saved; nothing is
calculated. Percentages are shown as such for XLSX; other formats of numbers are not applied, so that a number is found
by its digits.
"""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from athanor.data.aids import Aids
from athanor.data.build import TextBuilder, collapse, stem
from athanor.data.parsers import _grid, _xlsx, _xlsx_sparse
from athanor.data.parsers._ole import check_chains
from athanor.data.parsers._ooxml import add_picture, core_title, picture_text
from athanor.data.zipguard import open_checked
from athanor.errors import DocumentError
from athanor.plugins import require
from athanor.types import ParsedDocument

MAX_CELLS = 1_000_000
"""Filled cells of a workbook that are read."""
MAX_ROWS = 200_000
"""Rows of a workbook that are read."""
MAX_AREA = 6_000_000
"""Cells of the rectangle around a sheet's content: calamine keeps them all in memory."""
_SPARSE_AREA = 200_000
_SPARSE = 20
"""A rectangle from the former on with fewer than one filled cell in so many is moved together first."""
_MAX_MERGED = 50_000
_OLE = b"\xd0\xcf\x11\xe0"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class SheetsParser:
    """Each sheet is a heading, each group of rows a table with the place `Budget!A2:F21`, and its rows with theirs."""

    mimes: tuple[str, ...] = (
        _XLSX,
        "application/vnd.ms-excel",
        "application/vnd.ms-excel.sheet.binary.macroEnabled.12",
        "application/vnd.oasis.opendocument.spreadsheet",
    )
    suffixes: tuple[str, ...] = (".xlsx", ".xlsm", ".xltx", ".xls", ".xlsb", ".ods")
    aids = Aids()

    def parse(self, path: Path, name: str) -> ParsedDocument:
        calamine = require("python_calamine", extra="knowledge")
        with path.open("rb") as file:
            if file.read(4) == _OLE:
                check_chains(path, name)
                return _Reader(calamine, path, name, None).read(self.aids)
        with open_checked(path, name) as archive:
            return _Reader(calamine, path, name, archive).read(self.aids)


class _Reader:
    def __init__(self, calamine: Any, path: Path, name: str, archive: zipfile.ZipFile | None) -> None:
        self._calamine = calamine
        self._path = path
        self._name = name
        self._archive = archive
        self._out = TextBuilder()
        self._cells = 0
        self._rows = 0
        self._warnings: list[str] = []
        entries = set(archive.namelist()) if archive else set()
        self._mime = SheetsParser.mimes[1]
        if archive:
            self._mime = SheetsParser.mimes[3]
        if "xl/workbook.bin" in entries:
            self._mime = SheetsParser.mimes[2]
        self._parts: dict[str, str] = {}
        self._percent: dict[int, int] = {}
        if archive and "xl/workbook.xml" in entries:
            self._mime = _XLSX
            self._parts = _xlsx.sheet_parts(archive, name)
            self._percent = _xlsx.percent_styles(archive, name)

    def read(self, aids: Aids) -> ParsedDocument:
        with self._shielded(lambda: self._calamine.CalamineWorkbook.from_path(str(self._path))) as book:
            sheets = list(book.sheets_metadata)
            for index, about in enumerate(sheets):
                if self._full():
                    left = ", ".join(repr(other.name) for other in sheets[index : index + 5])
                    more = f" and {len(sheets) - index - 5} more" if len(sheets) - index > 5 else ""
                    self._warnings.append(f"Sheets not read, for its size: {left}{more}.")
                    break
                if about.typ == self._calamine.SheetTypeEnum.WorkSheet:
                    self._sheet(book, index, about)
                aids.progress((index + 1) / len(sheets))
        title = core_title(self._archive, self._name) if self._archive and self._mime == _XLSX else ""
        return self._out.build(title=title or stem(self._name), mime=self._mime, warnings=tuple(self._warnings))

    def _shielded(self, action: Any) -> Any:
        """Run calamine; it panics over some damage, and a panic is no `Exception`."""
        try:
            return action()
        except self._calamine.PasswordError as error:
            hint = "Open it in the program that made it and save it without a password."
            raise DocumentError(
                "The workbook is encrypted with a password.", reason="encrypted", where=self._name, hint=hint
            ) from error
        except BaseException as error:
            if not isinstance(error, (self._calamine.CalamineError, Exception)) and "Panic" not in type(error).__name__:
                raise
            if isinstance(error, MemoryError):
                raise
            detail = collapse(str(error))[:160]
            message = f"The workbook is damaged and cannot be read ({detail})."
            raise DocumentError(message, reason="corrupt", where=self._name) from error

    def _full(self) -> bool:
        return self._cells >= MAX_CELLS or self._rows >= MAX_ROWS

    def _sheet(self, book: Any, index: int, about: Any) -> None:
        part = self._parts.get(about.name)
        found = _xlsx.SheetFacts()
        if part and self._archive:
            found = _xlsx.facts(self._archive, part, self._percent)
        sheet, moved = self._open_sheet(book, index, found, part)
        if sheet is None:
            top, bottom, left, right = found.corners
            reach = f"{_grid.column(left)}{top + 1}:{_grid.column(right)}{bottom + 1}"
            self._warnings.append(f"Sheet {about.name!r} was not read: its cells are too far apart ({reach}).")
            return
        hidden = "" if about.visible == self._calamine.SheetVisibleEnum.Visible else " (hidden sheet)"
        heading = (collapse(about.name) or f"Sheet {index + 1}") + hidden
        waiting = True
        for table in _grid.tables(self._rows_of(sheet, about.name, found.percent, moved)):
            if waiting:
                self._out.place(_place(about.name) + hidden)
                self._out.add("heading", heading, 1)
                waiting = False
            if moved is None:
                self._table(table, about.name)
            else:
                left, right = moved.columns[table.left], moved.columns[table.right]
                self._table(replace(table, left=left, right=right), about.name)
        if part and self._archive:
            for picture, alt in _xlsx.pictures(self._archive, part, self._name):
                add_picture(self._archive, picture, self._out, alt)
                if alt:
                    self._out.place(_place(about.name) + hidden)
                    if waiting:
                        self._out.add("heading", heading, 1)
                        waiting = False
                    self._out.add("paragraph", picture_text(alt))

    def _open_sheet(
        self, book: Any, index: int, found: _xlsx.SheetFacts, part: str | None
    ) -> tuple[Any, _xlsx_sparse.Moved | None]:
        """The sheet, if need be moved together; None where it is too large even so."""
        if found.area > max(_SPARSE_AREA, _SPARSE * found.filled) and part and self._archive:
            moved = _xlsx_sparse.moved_together(self._archive, part)
            if len(moved.rows) * len(moved.columns) > MAX_AREA:
                return None, None
            other = self._shielded(lambda: self._calamine.CalamineWorkbook.from_filelike(moved.file))
            return self._shielded(lambda: other.get_sheet_by_index(index)), moved
        if found.area > MAX_AREA:
            return None, None
        return self._shielded(lambda: book.get_sheet_by_index(index)), None

    def _table(self, table: _grid.Table, sheet: str) -> None:
        head = _grid.head_of(table)
        for number, cells in table.rows[: max(head, 0)]:
            self._out.place(_grid.place(sheet, table, number, number))
            self._out.add("paragraph", _grid.line(cells))
        for group in _grid.groups(table, head, sheet):
            self._out.add("table", group.text, marks=group.marks)

    def _rows_of(
        self, sheet: Any, name: str, percent: dict[tuple[int, int], int], moved: _xlsx_sparse.Moved | None
    ) -> Iterator[_grid.Row]:
        """The rows of a sheet as text, until the workbook's limits; of one that was moved with its own columns."""
        if sheet.start is None:
            return
        left = sheet.start[1]
        merged = _Merged(sheet.merged_cell_ranges or (), self._warnings, name)
        rows = self._shielded(sheet.iter_rows)
        # calamine's rows begin in the sheet's first row, and in the first column that has content.
        columns = moved.columns if moved else None
        for at, values in enumerate(rows):
            number = moved.rows[at] if moved else at
            if number < 0 or values.count("") == len(values):  # as most of a large rectangle
                continue
            if self._full():
                self._warnings.append(f"Sheet {name!r} was read up to row {number}: the workbook is too large.")
                return
            cells = [""] * left + [
                "" if value == "" else shown(value, percent.get((number, columns[column] if columns else column)))
                for column, value in enumerate(values, left)
            ]
            filled = sum(1 for cell in cells if cell)
            self._cells += filled
            self._rows += bool(filled)
            yield number, merged.fill(number, cells) if filled else []


class _Merged:
    """Merged cells: the value stands in the first one only, but is meant for each row and column that it covers."""

    def __init__(self, ranges: Any, warnings: list[str], sheet: str) -> None:
        if len(ranges) > _MAX_MERGED:
            warnings.append(f"Sheet {sheet!r} has more than {_MAX_MERGED:,} merged cells; the others stand once.")
        self._waiting = sorted(ranges[:_MAX_MERGED], reverse=True)
        self._open: list[tuple[int, int, int, str]] = []  # last row, first and last column, value

    def fill(self, row: int, cells: list[str]) -> list[str]:
        """`cells` of `row` with the values of merged cells, unless nothing else stands in the row."""
        made = list(cells)
        self._open = [found for found in self._open if found[0] >= row]
        while self._waiting and self._waiting[-1][0][0] <= row:
            (top, left), (bottom, right) = self._waiting.pop()
            if bottom >= row and top == row and left < len(cells) and cells[left]:
                self._open.append((bottom, left, right, cells[left]))
        for _, left, right, value in self._open:
            if any(cell for column, cell in enumerate(cells) if cell and not left <= column <= right):
                for column in range(left, min(right + 1, len(made))):
                    made[column] = made[column] or value
        return made


def _place(sheet: str) -> str:
    name = " ".join(sheet.split())
    return f"sheet {name}" if name else "sheet"


def shown(value: Any, percent: int | None = None) -> str:
    """A value as people see it: ISO dates, 15 digits of a number as spreadsheet programs keep them, TRUE and FALSE."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return f"{value:.{percent}%}" if percent is not None else f"{value:.15g}"
    if isinstance(value, datetime.datetime):
        clock = value.time()
        return value.date().isoformat() if clock == datetime.time() else f"{value.date()} {_clock(clock)}"
    if isinstance(value, datetime.time):
        return _clock(value)
    return _duration(value) if isinstance(value, datetime.timedelta) else collapse(str(value))


def _clock(value: datetime.time) -> str:
    return value.isoformat("seconds" if value.second else "minutes")


def _duration(value: datetime.timedelta) -> str:
    seconds = round(value.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}" + (f":{seconds % 60:02}" if seconds % 60 else "")
