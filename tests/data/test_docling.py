"""DOCX and PPTX by docling, where its extra is installed and the setting asks for it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import docx
import pytest

from athanor.data import ParserLimits, ParserPool
from athanor.data.detect import registry
from athanor.data.parsers.docling import DoclingParser
from athanor.data.parsers.docx import DocxParser
from athanor.data.wire import check_document
from athanor.errors import DocumentError
from tests.data import test_pptx
from tests.data.makers import make_zip_bomb
from tests.data.reading import outline

needed = pytest.mark.skipif(importlib.util.find_spec("docling") is None, reason="the docling extra is not installed")


def report(path: Path) -> Path:
    made = docx.Document()
    made.add_heading("Report", 1)
    runs = made.add_paragraph("Words ")
    runs.add_run("in bold").bold = True
    runs.add_run(" and not.")
    for item in ("one", "two"):
        made.add_paragraph(item, style="List Bullet")
    table = made.add_table(rows=2, cols=2)
    for index, text in enumerate(("A", "B", "1", "2")):
        table.cell(index // 2, index % 2).text = text
    made.save(str(path))
    return path


def test_it_is_used_only_where_it_is_asked_for() -> None:
    assert "docling" not in registry()
    parsers = registry("docling")
    first = next(parser for parser in parsers.values() if ".docx" in parser.suffixes)
    assert isinstance(first, DoclingParser)
    assert any(isinstance(parser, DocxParser) for parser in parsers.values())


@needed
def test_a_document(tmp_path: Path) -> None:
    document = DoclingParser().parse(report(tmp_path / "a.docx"), "a.docx")
    check_document(document)
    assert outline(document) == [
        ("h1", "Report"),
        ("paragraph", "Words in bold and not."),
        ("list", "- one\n- two"),
        ("table", "A | B\n1 | 2"),
    ]


@needed
def test_slides(tmp_path: Path) -> None:
    document = DoclingParser().parse(test_pptx.make(tmp_path / "a.pptx"), "a.pptx")
    check_document(document)
    assert ("h1", "Goals") in outline(document)
    assert ("table", "Town | People\nUlm | 128,928") in outline(document)
    assert [anchor.place for anchor in document.anchors] == ["slide 1", "slide 3"]


@needed
@pytest.mark.slow
@pytest.mark.anyio
async def test_in_a_confined_process(tmp_path: Path) -> None:
    async with ParserPool(limits=ParserLimits(parser="docling")) as pool:
        document = await pool.parse(report(tmp_path / "a.docx"), "a.docx")
        assert "Words in bold and not." in document.text
        (tmp_path / "b.docx").write_bytes((tmp_path / "a.docx").read_bytes()[:900])
        with pytest.raises(DocumentError) as caught:
            await pool.parse(tmp_path / "b.docx", "b.docx")
        assert caught.value.reason == "corrupt"


def test_a_bomb_is_refused_before_docling_sees_it(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        DoclingParser().parse(make_zip_bomb(tmp_path / "a.docx"), "a.docx")
    assert caught.value.reason == "expands_too_much"
