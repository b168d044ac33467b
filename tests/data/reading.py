"""Short ways to read a file in this process and to look at what came out."""

from __future__ import annotations

from pathlib import Path

from athanor.data.detect import registry
from athanor.data.limits import ParserLimits
from athanor.data.worker import parse
from athanor.types import ParsedDocument

PARSERS = registry()


def read(path: Path, name: str | None = None) -> ParsedDocument:
    return parse(path, name or path.name, PARSERS, ParserLimits())


def read_text(folder: Path, text: str | bytes, name: str) -> ParsedDocument:
    path = folder / "blob"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path, name)


def outline(document: ParsedDocument) -> list[tuple[str, str]]:
    """Kind (with the level of headings) and text of each block."""
    return [
        (f"h{block.level}" if block.level else block.kind, document.text[block.start : block.end])
        for block in document.blocks
    ]
