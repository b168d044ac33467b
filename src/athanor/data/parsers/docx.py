"""Word documents (DOCX): the body's XML, read with lxml in document order.

Text in links, tracked insertions, content controls, text boxes and footnotes is kept; deleted text, comments, headers
and footers are not. Pictures are never unpacked. Sources: ECMA-376, part 1, sections 17.3 (paragraphs), 17.4 (tables)
and 17.9 (numbering).
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from athanor.data.build import TextBuilder, collapse, stem
from athanor.data.parsers._docx_styles import Numbering, Styles, W
from athanor.data.zipguard import DAMAGE, open_checked
from athanor.errors import DocumentError
from athanor.plugins import require
from athanor.types import ParsedDocument

_MIME = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_SKIPPED = frozenset({f"{W}del", f"{W}moveFrom", f"{W}pPr", f"{W}rPr", f"{W}instrText", f"{W}delText", _FALLBACK})
_FIXED = {f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-", f"{W}ptab": "\t"}
_TITLE = "{http://purl.org/dc/elements/1.1/}title"


class DocxParser:
    """Headings by outline level (so in every language), numbering as Word shows it, tables row by row."""

    mimes: tuple[str, ...] = (_MIME,)
    suffixes: tuple[str, ...] = (".docx", ".docm", ".dotx")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        with open_checked(path, name) as archive:
            body = _xml(archive, "word/document.xml", name)
            if body is None:
                raise DocumentError("It holds no Word document.", reason="corrupt", where=name)
            reader = _Reader(
                Styles(_xml(archive, "word/styles.xml", name)), Numbering(_xml(archive, "word/numbering.xml", name))
            )
            notes = [_xml(archive, f"word/{kind}.xml", name) for kind in ("footnotes", "endnotes")]
            core = _xml(archive, "docProps/core.xml", name)
        reader.read(body)
        for part in notes:
            reader.read_notes(part)
        title = reader.title or (collapse(core.findtext(_TITLE) or "") if core is not None else "")
        document = reader.out.build(title=title, mime=_MIME)
        return document if document.title else reader.out.build(title=stem(name), mime=_MIME)


def _xml(archive: zipfile.ZipFile, part: str, name: str) -> Any:
    """Root of a part, or None where there is no such part."""
    etree = require("lxml.etree", extra="knowledge")
    try:
        data = archive.read(part)
    except KeyError:
        return None
    except DAMAGE as error:
        raise DocumentError(f"Its part {part!r} is damaged.", reason="corrupt", where=name) from error
    # No external entity is loaded, no internal one expanded, and libxml2's own depth and size limits stay on.
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise DocumentError(
            f"Its part {part!r} is not valid XML: {error.msg}.", reason="corrupt", where=name
        ) from error
    if root.getroottree().docinfo.doctype:
        raise DocumentError(
            f"Its part {part!r} declares a DTD, which no Word document does.", reason="corrupt", where=name
        )
    return root


class _Reader:
    def __init__(self, styles: Styles, numbering: Numbering) -> None:
        self.out = TextBuilder()
        self.title = ""
        self._styles = styles
        self._numbering = numbering
        self._items: list[str] = []

    def read(self, root: Any) -> None:
        """Everything under `root`, block by block in document order."""
        stack = [root]
        while stack:
            node = stack.pop()
            if node.tag == f"{W}p":
                self._paragraph(node)
            elif node.tag == f"{W}tbl":
                cells = _cells(node)
                if all(len(row) <= 1 for row in cells):  # a frame around text
                    stack.extend(reversed([child for row in cells for cell in row for child in cell]))
                else:
                    self._table(cells)
            elif node.tag not in _SKIPPED:
                stack.extend(reversed(node))
        self._flush_items()

    def read_notes(self, root: Any) -> None:
        if root is None:
            return
        for note in root:
            if note.get(f"{W}type") is None:  # separators have a type
                text = collapse(" ".join(_text(paragraph) for paragraph in note.iter(f"{W}p")))
                if text:
                    self.out.add("paragraph", f"[{note.get(f'{W}id')}] {text}")

    def _paragraph(self, node: Any) -> None:
        properties = node.find(f"{W}pPr")
        style = self._styles.of(properties)
        text = "\n".join(line for line in map(collapse, _text(node).split("\n")) if line)
        boxes = [box for box in node.iter(f"{W}txbxContent") if next(box.iterancestors(_FALLBACK), None) is None]
        if text:
            label, depth = self._numbering.label(properties, style)
            if style.level:
                self._flush_items()
                heading = text.replace("\n", " ")
                self.out.add("heading", f"{label} {heading}".strip(" -") if label else heading, style.level)
                if style.is_title and not self.title:
                    self.title = collapse(heading)[:200]
            elif label:
                self._items.append("  " * depth + f"{label} {text}")
            else:
                self._flush_items()
                self.out.add(style.kind, text)
        for box in boxes:
            self.read(box)

    def _table(self, cells: list[list[Any]]) -> None:
        self._flush_items()
        rows = [[collapse(" ".join(_text(p, boxes=True) for p in cell.iter(f"{W}p"))) for cell in row] for row in cells]
        self.out.add("table", "\n".join(" | ".join(row) for row in rows if any(row)))

    def _flush_items(self) -> None:
        if self._items:
            self.out.add("list", "\n".join(self._items))
            self._items.clear()


def _cells(table: Any) -> list[list[Any]]:
    """Cells of each row. Merged cells appear once: horizontally by their own nature, vertically in the first row."""
    rows = []
    stack = list(reversed(table))
    while stack:
        node = stack.pop()
        if node.tag == f"{W}tr":
            rows.append([cell for cell in _unwrapped(node, f"{W}tc") if not _continues(cell)])
        elif node.tag not in _SKIPPED:
            stack.extend(reversed(node))
    return [row for row in rows if row]


def _unwrapped(node: Any, tag: str) -> list[Any]:
    """Children with `tag`, also inside content controls."""
    found = []
    stack = list(reversed(node))
    while stack:
        at = stack.pop()
        if at.tag == tag:
            found.append(at)
        elif at.tag not in _SKIPPED:
            stack.extend(reversed(at))
    return found


def _continues(cell: Any) -> bool:
    merge = cell.find(f"{W}tcPr/{W}vMerge")
    return merge is not None and merge.get(f"{W}val", "continue") == "continue"


def _text(paragraph: Any, *, boxes: bool = False) -> str:
    """Text of one paragraph as it reads with all changes accepted; text boxes are paragraphs of their own."""
    parts: list[str] = []
    stack = list(reversed(paragraph))
    while stack:
        node = stack.pop()
        if node.tag == f"{W}t":
            parts.append(node.text or "")
        elif node.tag in _FIXED:
            parts.append(_FIXED[node.tag])
        elif node.tag == f"{W}footnoteReference":
            parts.append(f"[{node.get(f'{W}id')}]")
        elif node.tag not in _SKIPPED and (boxes or node.tag != f"{W}txbxContent") and node.tag != f"{W}p":
            stack.extend(reversed(node))
    return "".join(parts)
