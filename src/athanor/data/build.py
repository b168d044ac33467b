"""Makes source text and blocks together, so that offsets are right by construction."""

from __future__ import annotations

import re
from collections.abc import Sequence

from athanor.data.pictures import Pictures
from athanor.types import Anchor, Block, ParsedDocument

_SPACES = re.compile(r"[ \t\n\r\f\v\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def collapse(text: str) -> str:
    """`text` on one line: runs of white space become one space, invisible characters go."""
    return _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()


def storable(text: str) -> str:
    """`text` with what no database takes (NUL, lone surrogates) replaced one for one, so that offsets hold."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


class TextBuilder:
    """Collects blocks in reading order; between two blocks stands an empty line."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._pages: list[int] = []
        self._waiting_pages = 0
        self._anchors: list[Anchor] = []
        self._waiting_place = ""
        self.pictures = Pictures()

    @property
    def last_kind(self) -> str:
        """Kind of the last block, or an empty string."""
        return self._blocks[-1].kind if self._blocks else ""

    def page(self) -> None:
        """A page begins: its offset is where the next text will stand."""
        self._waiting_pages += 1

    def place(self, name: str) -> None:
        """The next text and what follows it stand at the place `name` of the source."""
        self._waiting_place = storable(collapse(name))

    def picture(self, data: bytes, alt: str = "") -> None:
        """A picture stands before the next text."""
        self.pictures.add(self._length, data, storable(collapse(alt)))

    def add(self, kind: str, text: str, level: int = 0, marks: Sequence[tuple[int, str]] = ()) -> int:
        """Append a block and return its index; empty text adds nothing and returns -1.

        `marks` are offsets into `text`, ascending, and the places that begin there; `text` then begins with no newline.
        """
        text = storable(text.strip("\n")).rstrip()
        if not text:
            return -1
        if self._blocks:
            self._append("\n\n")
        start = self._length
        self._place_pages()
        if self._waiting_place:
            self._anchors.append(Anchor(start=start, place=self._waiting_place))
            self._waiting_place = ""
        self._anchors.extend(Anchor(start=start + offset, place=place) for offset, place in marks)
        self._append(text)
        self._blocks.append(Block(kind=kind, start=start, end=self._length, level=level))
        return len(self._blocks) - 1

    def extend(self, text: str, glue: str = " ", drop: int = 0) -> None:
        """Go on with the last block, without its last `drop` characters: a paragraph runs over the end of a page."""
        text = storable(text).strip()
        if not text:
            return
        last = self._blocks[-1]
        if drop:
            self._parts[-1] = self._parts[-1][:-drop]
            self._length -= drop
        self._append(glue)
        self._place_pages()
        if self._waiting_place:
            self._anchors.append(Anchor(start=self._length, place=self._waiting_place))
            self._waiting_place = ""
        self._append(text)
        self._blocks[-1] = Block(kind=last.kind, start=last.start, end=self._length, level=last.level)

    def promote(self, index: int, level: int) -> None:
        """Make block `index` a heading of `level`, or with level 0 a paragraph."""
        block = self._blocks[index]
        kind = "heading" if level else "paragraph"
        self._blocks[index] = Block(kind=kind, start=block.start, end=block.end, level=level)

    def build(self, *, title: str, mime: str, warnings: tuple[str, ...] = ()) -> ParsedDocument:
        """The document. An empty `title` is replaced by the first heading of the highest level."""
        self._place_pages()
        text = "".join(self._parts)
        return ParsedDocument(
            text=text,
            title=storable(collapse(title)) or first_heading(text, self._blocks),
            mime=mime,
            blocks=tuple(self._blocks),
            pages=tuple(self._pages),
            warnings=(*warnings, *self.pictures.warnings()),
            anchors=tuple(self._anchors),
            pictures=tuple(self.pictures.found),
        )

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def _place_pages(self) -> None:
        self._pages.extend([self._length] * self._waiting_pages)
        self._waiting_pages = 0


def first_heading(text: str, blocks: list[Block]) -> str:
    """Text of the first heading of the highest level, or an empty string."""
    headings = [block for block in blocks if block.kind == "heading"]
    if not headings:
        return ""
    top = min(headings, key=lambda block: block.level)
    return collapse(text[top.start : top.end])[:200]


def stem(name: str) -> str:
    """A title from a file name, for documents that bring none: `notes/annual_report.pdf` → `annual report`."""
    last = name.rsplit("/", maxsplit=1)[-1]
    base = last.rsplit(".", maxsplit=1)[0] if "." in last.strip(".") else last
    return collapse(base.replace("_", " ")) or last
