"""Word documents (DOCX): the body's XML, read with lxml in document order.

Text in links, tracked insertions, content controls, text boxes and footnotes is kept, and what is said of pictures;
comments stand as quotes at the end, each with the words that it is about; deleted text, headers and footers are left
out. Sources: ECMA-376, part 1, sections 17.3 (paragraphs), 17.4 (tables), 17.9 (numbering), 17.13 (comments) and 20.4
(drawings).
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from athanor.data.build import TextBuilder, collapse, stem
from athanor.data.parsers._docx_styles import Numbering, Styles, W
from athanor.data.parsers._ooxml import (
    FALLBACK,
    A,
    R,
    add_picture,
    core_title,
    picture_text,
    read_xml,
    relations,
)
from athanor.data.zipguard import open_checked
from athanor.errors import DocumentError
from athanor.types import ParsedDocument

_MIME = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_SKIPPED = frozenset({f"{W}del", f"{W}moveFrom", f"{W}pPr", f"{W}rPr", f"{W}instrText", f"{W}delText", FALLBACK})
_FIXED = {f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-", f"{W}ptab": "\t"}
_ABOUT = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
_ABOUT_CHARACTERS = 200
_OPEN = 20
"""Comments on the same words, of which more are not told apart."""
_OLD_PICTURE = "{urn:schemas-microsoft-com:vml}imagedata"


class DocxParser:
    """Headings by outline level (so in every language), numbering as Word shows it, tables row by row."""

    mimes: tuple[str, ...] = (_MIME,)
    suffixes: tuple[str, ...] = (".docx", ".docm", ".dotx")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        with open_checked(path, name) as archive:
            body = read_xml(archive, "word/document.xml", name)
            if body is None:
                raise DocumentError("It holds no Word document.", reason="corrupt", where=name)
            styles = Styles(read_xml(archive, "word/styles.xml", name))
            numbering = Numbering(read_xml(archive, "word/numbering.xml", name))
            related = relations(archive, "word/document.xml", name)
            pictures = {key: found.part for key, found in related.items() if found.kind == "image"}
            reader = _Reader(styles, numbering, archive, pictures)
            reader.read(body)
            for kind in ("footnotes", "endnotes"):
                reader.read_notes(read_xml(archive, f"word/{kind}.xml", name))
            reader.read_comments(read_xml(archive, "word/comments.xml", name), body)
            title = reader.title or core_title(archive, name)
        tracked = next(body.iter(f"{W}ins", f"{W}del", f"{W}moveFrom", f"{W}moveTo"), None) is not None
        warnings = ("It has tracked changes; it was read as if all were accepted.",) if tracked else ()
        document = reader.out.build(title=title, mime=_MIME, warnings=warnings)
        return document if document.title else reader.out.build(title=stem(name), mime=_MIME, warnings=warnings)


class _Reader:
    def __init__(
        self, styles: Styles, numbering: Numbering, archive: zipfile.ZipFile, pictures: dict[str, str]
    ) -> None:
        self.out = TextBuilder()
        self._archive = archive
        self._pictures = pictures
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

    def read_comments(self, root: Any, body: Any) -> None:
        """`Comment by Ann on "the words": text`, as a quote."""
        comments = list(root.iter(f"{W}comment")) if root is not None else []
        about = _commented(body) if comments else {}
        for comment in comments:
            text = collapse(" ".join(_text(paragraph) for paragraph in comment.iter(f"{W}p")))
            author, words = collapse(comment.get(f"{W}author") or ""), about.get(comment.get(f"{W}id") or "", "")
            by, on = f" by {author[:100]}" if author else "", f' on "{words}"' if words else ""
            if text:
                self.out.add("quote", f"Comment{by}{on}: {text}")

    def _paragraph(self, node: Any) -> None:
        properties = node.find(f"{W}pPr")
        style = self._styles.of(properties)
        text = "\n".join(line for line in map(collapse, _text(node).split("\n")) if line)
        boxes = [box for box in node.iter(f"{W}txbxContent") if next(box.iterancestors(FALLBACK), None) is None]
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
        self._draw(node)
        for box in boxes:
            self.read(box)

    def _draw(self, node: Any) -> None:
        """The pictures in a paragraph, and what is said of them; those in deleted text are gone with it."""
        for drawing in (*node.iter(f"{W}drawing"), *node.iter(f"{W}pict")):
            if any(above.tag in _SKIPPED for above in drawing.iterancestors()):
                continue
            about = next(drawing.iter(_ABOUT), None)
            alt = collapse(about.get("descr") or "") if about is not None else ""
            found = [blip.get(f"{R}embed") for blip in drawing.iter(f"{A}blip")]
            found += [old.get(f"{R}id") for old in drawing.iter(_OLD_PICTURE)]
            for key in found:
                if key in self._pictures:
                    self._flush_items()
                    add_picture(self._archive, self._pictures[key], self.out, alt)
            if alt:
                self._flush_items()
                self.out.add("paragraph", picture_text(alt))

    def _table(self, cells: list[list[Any]]) -> None:
        self._flush_items()
        rows = [[collapse(" ".join(_text(p, boxes=True) for p in cell.iter(f"{W}p"))) for cell in row] for row in cells]
        self.out.add("table", "\n".join(" | ".join(row) for row in rows if any(row)))
        for row_cells in cells:
            for cell in row_cells:
                self._draw(cell)

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


def _commented(body: Any) -> dict[str, str]:
    """Id of each comment → the words that it is about, at most `_ABOUT_CHARACTERS`."""
    open_now: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for node in body.iter(f"{W}commentRangeStart", f"{W}commentRangeEnd", f"{W}t"):
        key = node.get(f"{W}id") or ""
        if node.tag == f"{W}commentRangeStart":
            open_now[key] = []
        elif node.tag == f"{W}commentRangeEnd":
            found[key] = collapse("".join(open_now.pop(key, [])))[:_ABOUT_CHARACTERS]
        else:
            for pieces in list(open_now.values())[:_OPEN]:
                if len(pieces) < _ABOUT_CHARACTERS:
                    pieces.append((node.text or "")[:_ABOUT_CHARACTERS])
    return found
