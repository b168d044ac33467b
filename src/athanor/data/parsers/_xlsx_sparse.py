"""Sheets whose cells are far apart, moved together before they are read: calamine keeps every cell of the rectangle.

Of empty rows and columns between others one stays, so that tables end where they did. Merged cells of such a sheet
stand once.
"""

from __future__ import annotations

import io
import re
import zipfile
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from athanor.data.parsers._grid import column as letters_of
from athanor.data.parsers._xlsx import NAME, cell_tags, column_of
from athanor.data.zipguard import DAMAGE

_PIECE = 1 << 20
_TAG = re.compile(rb"<(?:\w+:)?(?:row|c)\s[^<>]{0,600}>")
_EMPTY = re.compile(rb"<(?:\w+:)?c\s[^<>]{0,600}/>")
_ROW = re.compile(rb"""(\br=["'])(\d{1,7})(["'])""")
_CELL = re.compile(rb"""(\br=["'])([A-Z]{1,3})(\d{1,7})(["'])""")
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\s[^<>]*>|<(?:\w+:)?mergeCells\b[^<>]*>|</(?:\w+:)?mergeCells>")
_DIMENSION = re.compile(rb"<(?:\w+:)?dimension\s[^<>]*/>")


@dataclass(frozen=True, slots=True)
class Moved:
    """A workbook of which one sheet was moved together."""

    file: io.BytesIO
    rows: Sequence[int]
    """Of each row in the moved sheet where it stood; -1 for one that stands for a gap."""
    columns: Sequence[int]
    """The same of columns."""


def moved_together(archive: zipfile.ZipFile, part: str) -> Moved:
    """The workbook with the sheet of `part` moved together. Raises what a damaged archive raises."""
    rows, columns = set[int](), set[int]()
    for attributes in cell_tags(archive, part):
        name = None if attributes.endswith(b"/") else NAME.search(attributes)
        if name is not None:
            rows.add(int(name[2]) - 1)
            columns.add(column_of(name[1]))
    moved = Moved(io.BytesIO(), _without_gaps(rows), _without_gaps(columns))
    with zipfile.ZipFile(moved.file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for entry in archive.infolist():
            if entry.filename == part:
                _move(archive, part, out, moved)
            elif not entry.filename.startswith(("xl/worksheets/", "xl/media/")) and not entry.is_dir():
                out.writestr(entry.filename, archive.read(entry))
    moved.file.seek(0)
    return moved


def _without_gaps(used: Iterable[int]) -> list[int]:
    found: list[int] = []
    for index in sorted(used):
        if found and index != found[-1] + 1:
            found.append(-1)
        found.append(index)
    return found


def _move(archive: zipfile.ZipFile, part: str, out: zipfile.ZipFile, moved: Moved) -> None:
    rows = {index: at for at, index in enumerate(moved.rows) if index >= 0}
    columns = {index: at for at, index in enumerate(moved.columns) if index >= 0}
    # An empty row keeps its order among the others; two with one number do no harm.
    order = sorted(rows)

    def renamed(found: re.Match[bytes]) -> bytes:
        tag = found[0]
        if cell := _CELL.search(tag):
            row, column = rows.get(int(cell[3]) - 1, -1), columns.get(column_of(cell[2]), -1)
            if row < 0 or column < 0:
                return tag
            name = letters_of(column).encode() + str(row + 1).encode()
            return tag[: cell.start(2)] + name + tag[cell.end(3) :]
        if row_name := _ROW.search(tag):
            at = min(bisect_left(order, int(row_name[2]) - 1), len(order) - 1)
            return tag[: row_name.start(2)] + str(rows[order[at]] + 1).encode() + tag[row_name.end(2) :]
        return tag

    with archive.open(part) as source, out.open(part, "w", force_zip64=True) as target:
        rest = b""
        while data := source.read(_PIECE):
            rest += data
            end = rest.rfind(b">") + 1
            piece = _EMPTY.sub(b"", rest[:end])
            target.write(_TAG.sub(renamed, _DIMENSION.sub(b"", _MERGED.sub(b"", piece))))
            rest = rest[end:]
            if len(rest) > 64 * _PIECE:
                raise DAMAGE[0]("a tag without an end")
        target.write(rest)
