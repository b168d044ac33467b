"""Presentations (PPTX): slides in their order, each with its title, texts, tables, charts, pictures and notes.

Linked files and pictures are not fetched; comments, animations and embedded workbooks are left out. Sources: ECMA-376,
part 1, sections 13 (presentations), 19 and 21.2 (charts).
"""

from __future__ import annotations

import zipfile
from itertools import groupby
from pathlib import Path
from typing import Any

from athanor.data.build import TextBuilder, collapse, stem
from athanor.data.parsers._ooxml import A, R, Relation, add_picture, core_title, picture_text, read_xml, relations
from athanor.data.parsers._pptx_shapes import (
    Box,
    P,
    Shape,
    layout_boxes,
    paragraphs,
    placeholder,
    shapes,
    table_text,
    text_of,
)
from athanor.data.zipguard import open_checked
from athanor.errors import DocumentError
from athanor.types import ParsedDocument

_MIME = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"
_MAX_POINTS = 1000
"""Points of a chart's series that are read."""


class PptxParser:
    """Each slide is a heading of the first level: its title, or its number."""

    mimes: tuple[str, ...] = (_MIME,)
    suffixes: tuple[str, ...] = (".pptx", ".pptm", ".ppsx", ".potx")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        with open_checked(path, name) as archive:
            return _Reader(archive, name).read()


class _Reader:
    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self._out = TextBuilder()
        self._layouts: dict[str, dict[tuple[str, str], Box]] = {}
        self._warnings: list[str] = []

    def read(self) -> ParsedDocument:
        root = read_xml(self._archive, "ppt/presentation.xml", self._name)
        if root is None:
            raise DocumentError("It holds no presentation.", reason="corrupt", where=self._name)
        related = relations(self._archive, "ppt/presentation.xml", self._name)
        missing = []
        for number, slide in enumerate(root.iter(f"{P}sldId"), 1):
            target = related.get(slide.get(f"{R}id") or "")
            tree = read_xml(self._archive, target.part, self._name) if target else None
            if target is None or tree is None:
                missing.append(str(number))
            else:
                self._slide(number, tree, target.part)
        if missing:
            self._warnings.append(f"Slides missing from the file: {', '.join(missing[:20])}.")
        title = core_title(self._archive, self._name)
        if title.casefold() in {"powerpoint presentation", "powerpoint-präsentation", "présentation powerpoint"}:
            title = ""
        document = self._out.build(title=title, mime=_MIME, warnings=tuple(self._warnings))
        if document.title:
            return document
        return self._out.build(title=stem(self._name), mime=_MIME, warnings=tuple(self._warnings))

    def _slide(self, number: int, root: Any, part: str) -> None:
        hidden = " (hidden)" if root.get("show") in {"0", "false"} else ""
        self._out.place(f"slide {number}{hidden}")
        related = relations(self._archive, part, self._name)
        tree = root.find(f"{P}cSld/{P}spTree")
        found = list(shapes(tree, self._boxes(related))) if tree is not None else []
        titles = [shape for shape in found if shape.role in {"title", "ctrTitle"}]
        title = next((text for text in map(_whole_text, titles) if text), "")
        self._out.add("heading", title or f"Slide {number}", 1)
        used = False
        for shape in found:
            if not used and title and shape in titles and _whole_text(shape) == title:
                used = True
                continue
            self._shape(shape, related)
        self._notes(related)

    def _boxes(self, related: dict[str, Relation]) -> dict[tuple[str, str], Box]:
        """Where the slide's layout puts placeholders, and where the layout's master does."""
        layout = next((found.part for found in related.values() if found.kind == "slideLayout"), "")
        if layout not in self._layouts:
            above = relations(self._archive, layout, self._name) if layout else {}
            master = next((found.part for found in above.values() if found.kind == "slideMaster"), "")
            boxes = layout_boxes(read_xml(self._archive, master, self._name)) if master else {}
            own = layout_boxes(read_xml(self._archive, layout, self._name)) if layout else {}
            self._layouts[layout] = boxes | own
        return self._layouts[layout]

    def _shape(self, shape: Shape, related: dict[str, Relation]) -> None:
        about = shape.node[0].find(f"{P}cNvPr")
        alt = collapse(about.get("descr") or "") if about is not None else ""
        for blip in shape.node.iter(f"{A}blip"):
            target = related.get(blip.get(f"{R}embed") or "")
            if target and target.kind == "image":
                add_picture(self._archive, target.part, self._out, alt)
        if shape.kind == "graphicFrame":
            self._frame(shape.node, related)
        body = shape.node.find(f"{P}txBody")
        if body is not None:
            for kind, group in groupby(paragraphs(body, shape.role), key=lambda found: found[0]):
                texts = [text for _, text in group]
                if kind == "list":
                    self._out.add("list", "\n".join(texts))
                else:
                    for text in texts:
                        self._out.add("paragraph", text)
        if alt and shape.kind in {"pic", "graphicFrame"}:
            self._out.add("paragraph", picture_text(alt))

    def _frame(self, node: Any, related: dict[str, Relation]) -> None:
        for table in node.iter(f"{A}tbl"):
            self._out.add("table", table_text(table))
        for chart in node.iter(f"{_C}chart"):
            target = related.get(chart.get(f"{R}id") or "")
            if target:
                self._chart(read_xml(self._archive, target.part, self._name))
        for diagram in node.iter(_DIAGRAM):
            target = related.get(diagram.get(f"{R}dm") or "")
            root = read_xml(self._archive, target.part, self._name) if target else None
            if root is not None:
                texts = [text_of(paragraph) for paragraph in root.iter(f"{A}p")]
                self._out.add("list", "\n".join(f"- {text}" for text in texts if text))

    def _chart(self, root: Any) -> None:
        if root is None:
            return
        for title in root.iter(f"{_C}title"):
            self._out.add("paragraph", " ".join(text for text in map(text_of, title.iter(f"{A}p")) if text))
        names: list[str] = []
        columns: list[list[str]] = []
        categories: list[str] = []
        for series in root.iter(f"{_C}ser"):
            names.append(collapse(" ".join(series.xpath("./*[local-name()='tx']//*[local-name()='v']/text()"))))
            columns.append(self._points(series, ("val", "yVal")))
            categories = categories or self._points(series, ("cat", "xVal"))
        if not columns:
            return
        rows = [" | ".join(["", *names]).strip()] if any(names) else []
        for index in range(max(map(len, [categories, *columns]))):
            cells = [column[index] if index < len(column) else "" for column in (categories, *columns)]
            if any(cells):
                rows.append(" | ".join(cells))
        self._out.add("table", "\n".join(rows))

    def _points(self, series: Any, tags: tuple[str, ...]) -> list[str]:
        """The values of a chart's series that the file keeps, by their index."""
        found: dict[int, str] = {}
        for tag in tags:
            for point in series.iterfind(f"{_C}{tag}//{_C}pt"):
                index = point.get("idx") or ""
                if index.isdecimal() and int(index) < _MAX_POINTS:
                    found[int(index)] = collapse(point.findtext(f"{_C}v") or "")
                elif (lost := f"A chart has more than {_MAX_POINTS:,} points; the others were left out.") not in (
                    self._warnings
                ):
                    self._warnings.append(lost)
        return [found.get(index, "") for index in range(max(found, default=-1) + 1)]

    def _notes(self, related: dict[str, Relation]) -> None:
        for target in related.values():
            root = read_xml(self._archive, target.part, self._name) if target.kind == "notesSlide" else None
            for node in root.iter(f"{P}sp") if root is not None else ():
                body = node.find(f"{P}txBody")
                if body is not None and placeholder(node)[0] == "body":
                    texts = [text for text in map(text_of, body.iter(f"{A}p")) if text]
                    self._out.add("paragraph", ("Notes: " if texts else "") + "\n".join(texts))


def _whole_text(shape: Shape) -> str:
    body = shape.node.find(f"{P}txBody")
    return "" if body is None else collapse(" ".join(text_of(paragraph) for paragraph in body.iter(f"{A}p")))
