"""HTML by libxml2: the page's main content as text, with its headings, lists, tables and code.

Nothing is fetched and no script runs. The tree is walked with a stack of our own, so deep nesting cannot overflow.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from athanor.data.build import TextBuilder, collapse, stem
from athanor.data.encoding import decode
from athanor.errors import DocumentError
from athanor.plugins import require
from athanor.types import ParsedDocument

_DROPPED_NAMES = (
    "script style noscript template svg iframe object embed head canvas audio video select textarea button input"
)
_DROPPED = frozenset(_DROPPED_NAMES.split())
_CHROME = frozenset(["nav", "footer", "aside"])
_BLOCK_NAMES = (
    "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hgroup hr html li main menu nav ol p pre section summary table tbody td tfoot th thead "
    "tr ul caption legend"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_ANCHORS = frozenset("¶§#🔗")
"""Text of the link to itself that generators of documentation put beside a heading."""
_CELLS = frozenset(["td", "th"])
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.\-]+)""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9_:.\-]+)["']""")
_CUT = frozenset(["ERR_RESOURCE_LIMIT", "ERR_NO_MEMORY"])
"""Errors of libxml2 after which the rest of the page is missing."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_SUBSET = re.compile(r"(<!DOCTYPE[^>\[]{0,1000})\[.*?\]\s*>", re.IGNORECASE | re.DOTALL)
_MAIN_SHARE = 0.1
"""A `main` or `article` that holds less of the text than this is a shell that scripts were to fill."""


class HtmlParser:
    """Takes `main`, or all `article`s, where there are any; without navigation, footers and asides."""

    mimes: tuple[str, ...] = ("text/html", "application/xhtml+xml")
    suffixes: tuple[str, ...] = (".html", ".htm", ".xhtml")

    def parse(self, path: Path, name: str) -> ParsedDocument:
        data = path.read_bytes()
        declared = _XML_ENCODING.search(data[:1024]) or _CHARSET.search(data[:4096])
        text, warnings = decode(data, name, declared[1].decode("ascii") if declared else None)
        etree = require("lxml.etree", extra="knowledge")
        # huge_tree lifts libxml2's depth limit of 256, past which it would silently drop the rest of the page; time and
        # memory are bounded by the process.
        parser = etree.HTMLParser(
            encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True, recover=True
        )
        clean = _SUBSET.sub(r"\1>", _CONTROLS.sub(" ", text), count=1)
        tree = etree.fromstring(clean.encode(), parser) if clean.strip() else None
        if tree is None:
            raise DocumentError("The page has no text.", reason="no_text", where=name)
        if any(entry.type_name in _CUT for entry in parser.error_log):
            raise DocumentError("The page is nested too deeply to be read whole.", reason="corrupt", where=name)
        walker = _Walker()
        for root in _roots(tree):
            walker.walk(root)
        title = collapse(" ".join(tree.xpath("string(//head/title)").split()))[:200]
        document = walker.out.build(title=title, mime="text/html", warnings=warnings)
        if document.title:
            return document
        return walker.out.build(title=stem(name), mime="text/html", warnings=warnings)


def _roots(tree: Any) -> list[Any]:
    for query in ("//main|//*[@role='main']", "//article[not(ancestor::article)]"):
        found = set(tree.xpath(query))
        roots = [node for node in tree.iter("*") if node in found and found.isdisjoint(node.iterancestors())]
        if roots and sum(map(_visible, roots)) >= _MAIN_SHARE * _visible(tree):
            return roots
    body = tree.find("body")
    return [tree if body is None else body]


def _visible(node: Any) -> int:
    """Characters of text under `node`, without scripts and styles."""
    total: float = node.xpath("string-length(normalize-space(.))")
    for hidden in node.xpath(".//script|.//style|.//noscript|.//template|.//head"):
        total -= hidden.xpath("string-length(normalize-space(.))")
    return int(max(total, 0))


class _Walker:
    """Walks one tree; collects inline text and closes a block at each block element."""

    def __init__(self) -> None:
        self.out = TextBuilder()
        self._inline: list[str] = []
        self._items: list[str] = []
        self._lists: list[tuple[str, int]] = []
        self._kinds: list[tuple[str, int]] = []
        self._bullet = ""

    def walk(self, root: Any) -> None:
        stack: list[tuple[Any, bool]] = [(root, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                self._leave(node)
                if node is not root and node.tail:
                    self._inline.append(node.tail)
                continue
            if not isinstance(node.tag, str) or (node is not root and self._skipped(node)):
                if node.tail:
                    self._inline.append(node.tail)
                continue
            if self._enter(node):
                stack.append((node, True))
                stack.extend((child, False) for child in reversed(node))
            elif node is not root and node.tail:
                self._inline.append(node.tail)
        self._flush()
        self._flush_items()

    @staticmethod
    def _skipped(node: Any) -> bool:
        style = (node.get("style") or "").replace(" ", "").lower()
        return (
            node.tag in _DROPPED
            or node.tag in _CHROME
            or "hidden" in node.attrib
            or "display:none" in style
            or node.get("role") == "navigation"
            or (node.tag == "a" and len(node) == 0 and (node.text or "").strip() in _ANCHORS)
        )

    def _enter(self, node: Any) -> bool:
        """Whether to go into the children."""
        tag = node.tag
        if tag == "br":
            self._inline.append("\n")
            return False
        if tag == "pre" or (tag == "table" and not _is_layout(node)):
            self._flush()
            self._flush_items()
            if tag == "pre":
                self.out.add("code", _text(node, gap="\n"))
            else:
                self.out.add("table", _rows(node))
            return False
        if tag in _BLOCKS:
            self._flush()
        if tag in {"ul", "ol", "menu"}:
            self._lists.append((tag, 0))
        elif tag == "li":
            self._bullet = self._next_bullet()
        elif tag in _HEADINGS:
            self._flush_items()
            self._kinds.append(("heading", _HEADINGS[tag]))
        elif tag == "blockquote":
            self._flush_items()
            self._kinds.append(("quote", 0))
        if node.text:
            self._inline.append(node.text)
        return True

    def _leave(self, node: Any) -> None:
        tag = node.tag
        if tag in _BLOCKS:
            self._flush()
        if tag in {"ul", "ol", "menu"} and self._lists:
            self._lists.pop()
            if not self._lists:
                self._flush_items()
        elif (tag in _HEADINGS or tag == "blockquote") and self._kinds:
            self._kinds.pop()

    def _next_bullet(self) -> str:
        if not self._lists:
            return "- "
        kind, number = self._lists[-1]
        self._lists[-1] = (kind, number + 1)
        return "  " * (len(self._lists) - 1) + (f"{number + 1}. " if kind == "ol" else "- ")

    def _flush(self) -> None:
        """Close the inline text collected so far."""
        lines = (
            [collapse(line) for line in "".join(self._inline).replace("\r", "").split("\n")] if self._breaks() else None
        )
        text = "\n".join(line for line in lines if line) if lines else collapse("".join(self._inline))
        self._inline.clear()
        if not text:
            return
        if self._lists:
            self._items.append((self._bullet or "  " * len(self._lists)) + text)
            self._bullet = ""
            return
        kind, level = self._kinds[-1] if self._kinds else ("paragraph", 0)
        if kind == "heading":
            text = text.replace("\n", " ")
        self.out.add(kind, text, level)

    def _breaks(self) -> bool:
        return any(piece == "\n" for piece in self._inline)

    def _flush_items(self) -> None:
        if self._items:
            self.out.add("list", "\n".join(self._items))
            self._items.clear()


def _is_layout(table: Any) -> bool:
    """Tables that place things on the page, as in old pages and mails: their cells are read as ordinary flow."""
    if table.get("role") == "presentation" or any(next(table.iter(tag), None) is not None for tag in _HEADINGS):
        return True
    if any(inner is not table for inner in table.iter("table")):
        return True
    return all(sum(cell.tag in _CELLS for cell in row) <= 1 for row in table.iter("tr"))


def _rows(table: Any) -> str:
    rows = [collapse(_text(caption)) for caption in table.iter("caption")]
    for row in table.iter("tr"):
        cells = [collapse(_text(cell)) for cell in row if cell.tag in _CELLS]
        if any(cells):
            rows.append(" | ".join(cells))
    return "\n".join(row for row in rows if row)


def _text(node: Any, *, gap: str = " ") -> str:
    """All text under `node` but scripts, with `gap` where a block element begins or ends and at `br`."""
    parts: list[str] = []
    stack: list[tuple[Any, bool]] = [(node, False)]
    while stack:
        at, leaving = stack.pop()
        block = at is not node and (at.tag in _BLOCKS or at.tag == "br")
        if not leaving and isinstance(at.tag, str) and at.tag not in _DROPPED:
            parts.append(gap if block else "")
            parts.append(at.text or "")
            stack.append((at, True))
            stack.extend((child, False) for child in reversed(at))
        elif at is not node:
            parts.append(gap if block and leaving and at.tag != "br" else "")
            parts.append(at.tail or "")
    return "".join(parts)
