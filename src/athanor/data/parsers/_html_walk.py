"""Walks the tree of a page and writes its blocks: headings, paragraphs, lists, tables, code, quotes, pictures.

The tree is walked with a stack of our own, so deep nesting cannot overflow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from athanor.data.build import TextBuilder, collapse
from athanor.data.parsers._ooxml import picture_text

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


class Walker:
    """Collects inline text and closes a block at each block element.

    `chrome` are elements that are no part of the content; footers and asides (in a book: its notes) are none either,
    except in a `whole` page. `load` is given the address of a picture and what is said of
    it; it puts the picture into `out`, if it may have it.
    """

    def __init__(
        self,
        out: TextBuilder,
        *,
        chrome: Collection[Any] = frozenset(),
        whole: bool = False,
        load: Callable[[str, str], None] = lambda address, alt: None,
    ) -> None:
        self.out = out
        self._chrome = chrome
        self._left_out = _CHROME if not whole else frozenset(["nav"])
        self._load = load
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

    def _skipped(self, node: Any) -> bool:
        style = (node.get("style") or "").replace(" ", "").lower()
        return (
            node.tag in _DROPPED
            or node.tag in self._left_out
            or node in self._chrome
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
        if tag == "img":
            self._picture(node)
            return False
        if tag == "pre" or (tag == "table" and not _is_layout(node)):
            self._flush()
            self._flush_items()
            if tag == "pre":
                self.out.add("code", _text(node, gap="\n"))
            else:
                self.out.add("table", _rows(node))
                for picture in node.iter("img"):
                    self._load(picture.get("src") or "", collapse(picture.get("alt") or ""))
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

    def _picture(self, node: Any) -> None:
        alt = collapse(node.get("alt") or "")
        self._load(node.get("src") or "", alt)
        self._inline.append(_said(node))

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
            parts.append((at.text or "") if at.tag != "img" else _said(at))
            stack.append((at, True))
            stack.extend((child, False) for child in reversed(at))
        elif at is not node:
            parts.append(gap if block and leaving and at.tag != "br" else "")
            parts.append(at.tail or "")
    return "".join(parts)


def _said(picture: Any) -> str:
    """What is said of a picture, unless it is a bullet, a spacer, or a button that leads elsewhere."""
    alt = collapse(picture.get("alt") or "")
    button = len(alt.split()) < 3 and next(picture.iterancestors("a"), None) is not None
    return f" {picture_text(alt)} " if len(alt) > 2 and not button else " "
