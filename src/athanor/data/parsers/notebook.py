"""Jupyter notebooks (nbformat 3 and 4), cell by cell, with what their code printed."""

from __future__ import annotations

import base64
import binascii
import json
import re
from pathlib import Path
from typing import Any

from athanor.data.build import TextBuilder, collapse, stem, storable
from athanor.data.encoding import decode, normalise_newlines
from athanor.data.parsers.markdown import markdown_blocks
from athanor.errors import DocumentError
from athanor.types import ParsedDocument

_MAX_OUTPUT = 2_000
"""Characters kept of one output."""
_MAX_CELLS = 100_000
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_IMAGES = ("image/png", "image/jpeg", "image/gif")


class NotebookParser:
    """Each cell has the place `cell 3`, counted from 1. Headings of Markdown and pictures of outputs are kept."""

    mimes: tuple[str, ...] = ("application/x-ipynb+json",)
    suffixes: tuple[str, ...] = (".ipynb",)

    def parse(self, path: Path, name: str) -> ParsedDocument:
        text, warnings = decode(path.read_bytes(), name)
        try:
            book = json.loads(text)
            cells = _cells(book)
        except (ValueError, RecursionError) as error:
            raise DocumentError(
                "It is no notebook: not the JSON that Jupyter writes.",
                reason="corrupt",
                where=name,
                hint="Open it in Jupyter and save it again.",
            ) from error
        reader = _Reader()
        for number, cell in enumerate(cells[:_MAX_CELLS], 1):
            reader.cell(number, cell)
        if len(cells) > _MAX_CELLS:
            warnings += (f"Only the first {_MAX_CELLS:,} of {len(cells):,} cells were read.",)
        if reader.cut:
            warnings += (f"{reader.cut:,} outputs were cut after {_MAX_OUTPUT:,} characters.",)
        made = reader.out.build(title="", mime=self.mimes[0], warnings=warnings)
        return made if made.title else reader.out.build(title=stem(name), mime=self.mimes[0], warnings=warnings)


def _cells(book: Any) -> list[Any]:
    """The cells. Raises ValueError where there is no list of them."""
    found = book.get("cells") if isinstance(book, dict) else None
    if found is None and isinstance(book, dict) and isinstance(book.get("worksheets"), list):
        sheets = [sheet.get("cells") for sheet in book["worksheets"] if isinstance(sheet, dict)]
        found = [cell for sheet in sheets if isinstance(sheet, list) for cell in sheet]
    if not isinstance(found, list):
        raise ValueError("no cells")
    return found


def _joined(value: Any) -> str:
    """A text as notebooks store it: whole, or in lines."""
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    return storable(normalise_newlines(value)) if isinstance(value, str) else ""


class _Reader:
    def __init__(self) -> None:
        self.out = TextBuilder()
        self.cut = 0

    def cell(self, number: int, cell: Any) -> None:
        """Read one cell."""
        if not isinstance(cell, dict):
            return
        kind = cell.get("cell_type")
        source = _joined(cell.get("source", cell.get("input")))
        self.out.place(f"cell {number}")
        if kind == "heading":  # of nbformat 3
            level = cell.get("level")
            self.out.add("heading", collapse(source), min(max(level, 1), 6) if isinstance(level, int) else 1)
        elif kind == "markdown":
            self._markdown(source)
        else:
            self.out.add("code" if kind == "code" else "paragraph", source)
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else ():
            if isinstance(output, dict):
                self._output(output)

    def _markdown(self, source: str) -> None:
        for block in markdown_blocks(source, 0):
            self.out.add(block.kind, source[block.start : block.end], block.level)

    def _output(self, output: dict[str, Any]) -> None:
        data = output.get("data")
        data = data if isinstance(data, dict) else output
        text = _joined(output.get("text")) or _joined(data.get("text/plain"))
        if output.get("output_type") in {"error", "pyerr"}:
            text = f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}"
        for kind in (*_IMAGES, "png", "jpeg"):
            if isinstance(data.get(kind), str | list):
                self._picture(_joined(data[kind]), text)
                return
        text = _COLOURS.sub("", text)
        if len(text) > _MAX_OUTPUT:
            self.cut += 1
            text = text[:_MAX_OUTPUT] + " …"
        self.out.add("code", text)

    def _picture(self, encoded: str, text: str) -> None:
        if not self.out.pictures.has_room(len(encoded) * 3 // 4):
            return
        try:
            self.out.picture(base64.b64decode(encoded), text[:200])
        except (ValueError, binascii.Error):
            self.out.pictures.lose("damaged")
