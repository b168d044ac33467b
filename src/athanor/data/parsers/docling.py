"""DOCX and PPTX by docling's readers of these formats, for those who prefer its structure (`knowledge.parser`).

They need no model weights and no torch (docling-slim 2.143). Its PDF pipeline needs both: the weights of its layout and
table models come from a hub only, so PDFs stay with our own parser.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from athanor.data.build import TextBuilder, collapse, stem
from athanor.data.zipguard import open_checked
from athanor.errors import DocumentError
from athanor.plugins import require
from athanor.types import ParsedDocument

_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_BACKENDS = {
    _DOCX: ("DOCX", "docling.backend.msword_backend", "MsWordDocumentBackend"),
    _PPTX: ("PPTX", "docling.backend.mspowerpoint_backend", "MsPowerpointDocumentBackend"),
}


class DoclingParser:
    """Places are slides, as with our own parser; headings, lists, tables and code as docling tells them apart."""

    optional = True
    mimes: tuple[str, ...] = (_DOCX, _PPTX)
    suffixes: tuple[str, ...] = (".docx", ".pptx")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        with open_checked(path, name) as archive:
            mime = _PPTX if "ppt/presentation.xml" in archive.namelist() else _DOCX
        kind, module, backend = _BACKENDS[mime]
        formats = require("docling.datamodel.base_models", extra="docling")
        documents = require("docling.datamodel.document", extra="docling")
        source = documents.InputDocument(
            path_or_stream=BytesIO(path.read_bytes()),
            format=getattr(formats.InputFormat, kind),
            backend=getattr(require(module, extra="docling"), backend),
            filename=f"document.{kind.lower()}",
        )
        if not source.valid:
            raise DocumentError("docling cannot read the file.", reason="corrupt", where=name)
        return _written(source._backend.convert(), mime, name)


def _written(found: Any, mime: str, name: str) -> ParsedDocument:
    """The text of a docling document."""
    out = TextBuilder()
    slide, title, parent = 0, "", ""
    for item, _ in found.iterate_items():
        label, text = str(getattr(item.label, "value", item.label)), getattr(item, "text", "")
        if mime == _PPTX and item.prov and item.prov[0].page_no != slide:
            slide = item.prov[0].page_no
            out.place(f"slide {slide}")
        inline = _inline_group(item, found)
        if inline and inline == parent and text:  # a run of the same paragraph
            out.extend(collapse(text))
        elif label == "table":
            rows = [[collapse(cell.text) for cell in row] for row in item.data.grid]
            out.add("table", "\n".join(" | ".join(row) for row in rows if any(row)))
        elif label == "list_item" and out.last_kind == "list":
            out.extend(f"- {collapse(text)}", glue="\n")
        elif label == "list_item":
            out.add("list", f"- {collapse(text)}")
        elif label in {"title", "section_header"}:
            title = title or (collapse(text) if label == "title" else "")
            out.add("heading", collapse(text), min(max(int(getattr(item, "level", 1)), 1), 6))
        else:
            out.add("code" if label == "code" else "paragraph", text if label == "code" else collapse(text))
        parent = inline
    document = out.build(title=title, mime=mime)
    return document if document.title else out.build(title=stem(name), mime=mime)


def _inline_group(item: Any, found: Any) -> str:
    """Reference of the group of formatted runs that an item is in; empty where it stands alone."""
    if item.parent is None:
        return ""
    group = item.parent.resolve(found)
    return item.parent.cref if str(getattr(group.label, "value", group.label)) == "inline" else ""
