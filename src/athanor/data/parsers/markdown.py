"""Markdown by the block rules of markdown-it-py. The source text is the file's own, so a citation points into it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from athanor.data.build import collapse, first_heading, stem, storable
from athanor.data.encoding import decode
from athanor.plugins import require
from athanor.types import Block, ParsedDocument

_KINDS = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "blockquote_open": "quote",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
    "html_block": "paragraph",
}
_FRONT = re.compile(r"(---|\+\+\+)[ \t]*\n.*?^\1[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(.+?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_FRONT_LIMIT = 64 * 1024
_INVISIBLE_HTML = re.compile(r"<!--.*?(?:-->|\Z)|<[^>]*>", re.DOTALL)
_ATTRIBUTES = re.compile(r"\s*\{[#.][^{}]*\}\s*\Z")


class MarkdownParser:
    """Front matter, link definitions and comments stay in the text and out of the blocks."""

    mimes: tuple[str, ...] = ("text/markdown",)
    suffixes: tuple[str, ...] = (".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        text, warnings = decode(path.read_bytes(), name)
        text = storable(text)
        front = _FRONT.match(text, 0, min(len(text), _FRONT_LIMIT))
        body = front.end() if front else 0
        blocks = markdown_blocks(text, body)
        title = _front_title(front[0]) if front else ""
        title = title or first_heading(text, blocks) or stem(name)
        return ParsedDocument(
            text=text, title=title, mime="text/markdown", blocks=tuple(blocks), warnings=warnings, lines=True
        )


def _front_title(front: str) -> str:
    found = _TITLE.search(front)
    return collapse(found[1].strip("\"'"))[:200] if found else ""


def markdown_blocks(text: str, body: int) -> list[Block]:
    """The blocks of `text` from the offset `body` on."""
    markdown = require("markdown_it", extra="knowledge").MarkdownIt("commonmark").enable("table")
    # Only the outline is needed: inline parsing is most of the time, and all of the known slow inputs.
    markdown.core.ruler.disable(["inline", "text_join"])
    tokens = markdown.parse(text[body:])
    starts = _line_starts(text, body)
    blocks: list[Block] = []
    for index, token in enumerate(tokens):
        if token.level == 0 and token.map and (kind := _KINDS.get(token.type)):
            start, end = starts[token.map[0]], starts[min(token.map[1], len(starts) - 1)]
            content = tokens[index + 1].content if kind == "heading" else ""
            block = _block(text, token, kind, start, end, content)
            if block is not None and (not blocks or block.start >= blocks[-1].end):
                blocks.append(block)
    return blocks


def _block(text: str, token: Any, kind: str, start: int, end: int, content: str) -> Block | None:
    if token.type == "html_block" and not _INVISIBLE_HTML.sub("", text[start:end]).strip():
        return None
    level = 0
    if kind == "heading":
        level = int(token.tag[1])
        content = _ATTRIBUTES.sub("", content)
        found = text.find(content, start, end)
        if found >= 0:  # without the marks around it; a heading over several lines keeps them
            start, end = found, found + len(content)
    if token.type not in {"fence", "code_block"}:
        while start < end and text[start].isspace():
            start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Block(kind=kind, start=start, end=end, level=level) if start < end else None


def _line_starts(text: str, body: int) -> list[int]:
    """Offset of each line from `body` on, and the end of the text."""
    starts = [body]
    while (newline := text.find("\n", starts[-1])) >= 0:
        starts.append(newline + 1)
    if starts[-1] != len(text):
        starts.append(len(text))
    return starts
