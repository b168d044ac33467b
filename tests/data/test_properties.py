"""Whatever the file holds, blocks are ordered, disjoint, inside the text and not empty, or the file is refused."""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from pypdfium2 import PdfiumError

from athanor.data import wire
from athanor.data.build import collapse
from athanor.data.parsers import _grid
from athanor.data.wire import check_document, pack_document, unpack_document, unpack_header
from athanor.errors import DocumentError
from athanor.types import Anchor, Block, ParsedDocument, Picture
from tests.data.makers import make_docx, make_pdf, paragraph
from tests.data.reading import read_text

PIECES = [
    *("# ", "## ", "- ", "1. ", "> ", "```\n", "~~~\n", "| a | b |\n|---|---|\n", "\n", "\n\n", "\t", "    ", "---\n"),
    *("<p>", "</p>", "<table>", "<tr>", "<td>", "</table>", "<ul>", "<li>", "</ul>", "<h2>", "</h2>", "<pre>", "<br>"),
    *("<!--", "-->", "<main>", "</main>", "&amp;", "&x;", "<script>", "</script>", "[a]: b\n", "Title\n===\n", "\r\n"),
    *("word ", "é", "中文。", "👩‍👩‍👧", "א", "\x0b", "\x0c", "\u2028", "\xa0", "\xad", "\ufeff"),
]
text = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=40).map("".join)


def checked(data: bytes | str, name: str) -> ParsedDocument | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            document = read_text(Path(folder), data, name)
        except DocumentError:
            return None
    check_document(document)
    assert all(document.text[block.start : block.end].strip() for block in document.blocks)
    assert all(anchor.place.strip() for anchor in document.anchors)
    assert all((block.kind == "heading") == (block.level > 0) for block in document.blocks)
    document.text.encode()
    return document


@settings(deadline=None, max_examples=100)
@given(text, st.sampled_from(["a.txt", "a.md", "a.html", "a.rst", "a.csv", "a.py", "a.js", "a.rb", "a.sql", "a.jsonl"]))
def test_text_formats(content: str, name: str) -> None:
    data = content.encode(errors="replace")
    document = checked(data, name)
    if document and document.mime != "text/html":
        plain = data.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        assert document.text == plain


@settings(deadline=None, max_examples=100)
@given(
    st.binary(max_size=400),
    st.sampled_from(["a.txt", "a.md", "a.html", "a.pdf", "a.docx", "a.xlsx", "a.csv", "a.epub", "a"]),
)
def test_any_bytes(data: bytes, name: str) -> None:
    checked(data, name)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3000), st.binary(min_size=1, max_size=8), st.booleans())
def test_damage_anywhere_is_read_or_refused(at: int, damage: bytes, word: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole"
        if word:
            make_docx(path, "".join(paragraph(f"Paragraph {i}.") for i in range(40)))
        else:
            make_pdf(path, [[(f"Line {i}", 72, 700 - 12 * i, 11) for i in range(9)], [("Two", 72, 700, 11)]])
        data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(damage)] = damage
    # The worker reports any other exception as a damaged document; only a wrong result would be a fault.
    with contextlib.suppress(KeyError, etree.LxmlError, PdfiumError):
        checked(bytes(data), "a.docx" if word else "a.pdf")


@settings(deadline=None, max_examples=60)
@given(text)
def test_documents_cross_the_pipe_unchanged(content: str) -> None:
    document = checked(content.encode(errors="replace"), "a.md")
    if document:
        frame = pack_document(document, {"seconds": 0.0})
        size = int.from_bytes(frame[:4], "little")
        header = unpack_header(frame[4 : 4 + size])
        assert unpack_document(header, frame[4 + size :]) == document


offsets = st.lists(st.integers(0, 20), max_size=6).map(sorted)


@settings(deadline=None, max_examples=60)
@given(offsets, st.lists(st.text("aé中 !:–", min_size=1), min_size=6, max_size=6), offsets, st.binary(max_size=99))
def test_places_and_pictures_cross_the_pipe_unchanged(
    anchors: list[int], places: list[str], pictures: list[int], data: bytes
) -> None:
    document = ParsedDocument(
        text="é" * 20,
        title="t",
        mime="m",
        blocks=(Block(kind="table", start=0, end=20),),
        anchors=tuple(Anchor(start=start, place=place) for start, place in zip(anchors, places, strict=False)),
        pictures=tuple(Picture(start=start, mime="image/png", data=data[start:], alt="ä") for start in pictures),
        lines=True,
    )
    frame = pack_document(document, {"seconds": 0.0})
    size = int.from_bytes(frame[:4], "little")
    header = unpack_header(frame[4 : 4 + size])
    assert unpack_document(header, frame[4 + size :]) == document
    header["document"]["places"] += 1 << 30
    with pytest.raises(ValueError):
        unpack_document(header, frame[4 + size :])


def test_what_is_too_much_to_cross_the_pipe_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_PICTURE", 10)
    monkeypatch.setattr(wire, "MAX_PICTURES", 25)
    monkeypatch.setattr(wire, "MAX_ANCHORS", 2)
    pictures = tuple(Picture(start=0, mime="image/png", data=bytes(size)) for size in (10, 11, 10, 10, 5))
    anchors = tuple(Anchor(start=i, place=f"slide {i}") for i in range(3))
    document = wire.within_limits(
        ParsedDocument(text="abc", title="", mime="", blocks=(), pictures=pictures, anchors=anchors)
    )
    assert [len(picture.data) for picture in document.pictures] == [10, 10, 5]
    assert document.anchors == anchors[:2]
    assert "2 pictures left out" in document.warnings[0]
    assert "places" in document.warnings[1]


cell = st.sampled_from(["", "", "Name", "7", "2024", "-3.5", "a\nb", "x" * 80]) | st.text("aé |中\t", max_size=5)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(cell, max_size=5), max_size=30))
def test_each_filled_cell_is_in_a_group_that_names_its_row(rows: list[list[str]]) -> None:
    cleaned = [[collapse(value) for value in row] for row in rows]
    found = set()
    for table in _grid.tables(enumerate(cleaned)):
        head = _grid.head_of(table)
        found |= {(number, _grid.line(cells)) for number, cells in table.rows[: head + 1]}
        for group in _grid.groups(table, head, "My sheet"):
            offsets = [offset for offset, _ in group.marks]
            assert offsets == sorted(set(offsets))
            assert all(0 <= offset < len(group.text) for offset in offsets)
            lines = group.text.split("\n")
            named = re.findall(r"[A-Z]+(\d+)", group.marks[0][1].split("!")[1])
            top, bottom = int(named[0]), int(named[-1])
            if head >= 0:
                assert lines.pop(0) == _grid.line(table.rows[head][1])
            found |= {(bottom - len(lines) + at, line) for at, line in enumerate(lines)}
            assert top <= bottom
    for number, row in enumerate(cleaned):
        said = " | ".join(line for at, line in found if at == number)
        assert all(value in said for value in row if value)
