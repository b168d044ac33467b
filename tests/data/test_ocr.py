"""Scanned pages and pictures: read where tesseract is installed, named where it is not."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from athanor.data import ParserLimits, ParserPool
from athanor.data.aids import Aids
from athanor.data.ocr import Ocr, OcrError, _lines, page_list, summary
from athanor.data.parsers.image import ImageParser
from athanor.data.parsers.pdf import PdfParser
from athanor.errors import DocumentError
from athanor.types import ParsedDocument
from tests.data.makers import Placed, make_pdf, prose
from tests.data.makers_scan import make_png, make_scan, printed
from tests.data.reading import outline

pytestmark = pytest.mark.anyio
installed = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")

PROSE = [
    "The furnace feeds itself from a tower of charcoal, so that it burns for",
    "days at an even heat without being tended by anyone. It was used for",
    "long digestions and for the slow distillation of spirits. Later chemists",
    "gave it up in 1850, because gas could be set more exactly, at 3.75 marks.",
]
PAGE: list[Placed] = [("The Athanor", 72, 760, 22), *prose(PROSE), *prose(["A second part follows here."], top=600)]


async def read(path: Path, **limits: object) -> ParsedDocument:
    async with ParserPool(limits=ParserLimits(**limits)) as pool:  # type: ignore[arg-type]
        return await pool.parse(path, path.name)


LEFT = ["This is the left column of", "a page in two columns, and", "it goes on for some lines", "until it ends."]
RIGHT = ["The right column comes", "after it, with words of", "its own that belong to", "another thought."]


@installed
async def test_a_scan_is_read_page_by_page_and_column_by_column(tmp_path: Path) -> None:
    columns = [*prose(LEFT, x=60), *prose(RIGHT, x=330)]
    stamp = b"BT /F1 8 Tf 20 20 Td (Downloaded by a library) Tj ET"  # text that the page is not about
    made = make_scan(tmp_path / "scan.pdf", printed(tmp_path, [PAGE, columns], dots=150, noise=60), over=stamp)
    document = await read(made)
    first, second = document.text[: document.pages[1]], " ".join(document.text[document.pages[1] :].split())
    wanted = " ".join(["The Athanor", *PROSE, "A second part follows here."]).split()
    assert sum(word in first.split() for word in wanted) >= 0.95 * len(wanted)
    assert [kind for kind, _ in outline(document)][:3] == ["h1", "paragraph", "paragraph"]
    assert document.title == "The Athanor"
    assert document.warnings[0].startswith("Read from pictures by OCR: pages 1-2; mean confidence 9")
    assert document.anchors[0].place.startswith("page 1 [7")
    assert "a page in two columns, and it goes on" in second
    assert second.index("until it ends") < second.index("The right column")


@installed
async def test_an_empty_page_is_not_read_by_ocr(tmp_path: Path) -> None:
    document = await read(make_pdf(tmp_path / "plain.pdf", [prose(PROSE), []]))
    assert document.text == " ".join(PROSE)
    assert document.warnings == ("No text on page 2 (scanned, or empty).",)


@installed
async def test_pictures_are_documents_if_they_hold_text(tmp_path: Path) -> None:
    (picture,) = printed(tmp_path, [PAGE], dots=150)
    grey = (300, 300, bytes((x * y) % 251 for x in range(300) for y in range(300)))
    async with ParserPool() as pool:
        document = await pool.parse(make_png(tmp_path / "note.png", picture), "note.png")
        assert "distillation of spirits" in document.text
        assert document.title == "note"
        with pytest.raises(DocumentError) as caught:
            await pool.parse(make_png(tmp_path / "photo.png", grey), "photo.png")
    assert caught.value.reason == "unsupported_type"


@installed
async def test_a_language_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = make_scan(tmp_path / "scan.pdf", printed(tmp_path, [PAGE], dots=72))
    with pytest.raises(DocumentError) as caught:
        await read(made, ocr_languages="tlh")
    assert "no language 'tlh'" in str(caught.value)
    assert "knowledge.ocr_languages" in str(caught.value)


@installed
async def test_off_is_off(tmp_path: Path) -> None:
    (picture,) = printed(tmp_path, [PAGE], dots=72)
    async with ParserPool(limits=ParserLimits(ocr=False)) as pool:
        with pytest.raises(DocumentError) as caught:
            await pool.parse(make_scan(tmp_path / "scan.pdf", [picture]), "scan.pdf")
        assert caught.value.reason == "no_text"
        assert "tesseract" not in str(caught.value)
        with pytest.raises(DocumentError, match="OCR is off"):
            await pool.parse(make_png(tmp_path / "a.png", picture), "a.png")


async def test_without_tesseract_the_page_is_named_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (picture,) = printed(tmp_path, [PAGE], dots=72)
    scan, mixed = make_scan(tmp_path / "scan.pdf", [picture]), make_pdf(tmp_path / "mixed.pdf", [prose(PROSE), []])
    async with ParserPool() as pool:
        with pytest.raises(DocumentError, match="Install tesseract") as caught:
            await pool.parse(scan, "scan.pdf")
        assert caught.value.reason == "no_text"
        document = await pool.parse(mixed, "mixed.pdf")
        with pytest.raises(DocumentError, match="Install tesseract") as caught:
            await pool.parse(make_png(tmp_path / "a.png", picture), "a.png")
        assert caught.value.reason == "unsupported_type"
    assert document.text == " ".join(PROSE)
    assert document.warnings[0].startswith("No text on page 2 (scanned, or empty). Install tesseract")


def fake(folder: Path, body: str) -> Path:
    path = folder / "tesseract"
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.slow
async def test_each_page_has_its_time_beside_that_of_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = "\\t".join(["5", "1", "1", "1", "1", "1", "10", "1500", "30", "40", "91.0", "word"])
    fake(tmp_path, f"sys.stdin.buffer.read(); time.sleep(2); print('{row}')")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    made = make_scan(tmp_path / "scan.pdf", printed(tmp_path, [PAGE], dots=20) * 4)
    heard: list[float] = []
    limits = ParserLimits(seconds=7, ocr_page_seconds=20)
    async with ParserPool(limits=limits) as pool:
        document = await pool.parse(made, "scan.pdf", progress=heard.append)
    assert document.text.split() == ["word"] * 4
    assert heard == sorted(heard)
    assert 0 < heard[-1] <= 1


async def test_a_page_that_takes_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "sys.stdin.buffer.read(); time.sleep(60)")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    made = make_scan(tmp_path / "scan.pdf", printed(tmp_path, [PAGE], dots=20))
    with pytest.raises(DocumentError, match=r"OCR failed: it took more than 0\.5 s"):
        await read(made, ocr_page_seconds=0.5)


async def test_a_parser_may_start_the_one_command_and_no_other(tmp_path: Path) -> None:
    ocr = Ocr((sys.executable, "stdin", "stdout", "-l", "eng", "--psm", "3", "tsv"), 5)
    code = f"""
import subprocess, sys
from pathlib import Path
from athanor.data import worker
from athanor.data.limits import ParserLimits
from athanor.data.ocr import Ocr, _ENVIRONMENT
ocr = Ocr({ocr.command!r}, 5.0)
import os
worker._confine(ParserLimits(), os.getppid(), Path({str(tmp_path)!r}), ocr)
def attempt(command, **more):
    try:
        subprocess.run(command, capture_output=True, **more)
        return "ran"
    except PermissionError:
        return "refused"
print(attempt(ocr.command, env=_ENVIRONMENT), attempt(ocr.command), attempt(ocr.command, env=_ENVIRONMENT, cwd="/"),
      attempt([*ocr.command, "x"], env=_ENVIRONMENT), attempt([ocr.command[0]], env=_ENVIRONMENT),
      attempt(ocr.command, env=_ENVIRONMENT, executable="/bin/true"), attempt("true", shell=True))
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert (await process.communicate())[0].decode().split() == ["ran", *["refused"] * 6]


def test_doubtful_words_go_and_damage_is_left_out() -> None:
    rows = [
        ("4", "1", "1", "1", "1", "0", "10", "20", "90", "14", "-1", ""),
        ("5", "1", "1", "1", "1", "1", "10", "22", "30", "9", "95.5", "sure"),
        ("5", "1", "1", "1", "1", "2", "50", "22", "30", "9", "12.0", "doubt"),
        ("5", "1", "1", "2", "1", "1", "10", "40", "30", "9", "80", "next"),
        ("5", "1", "1", "2", "1", "x", "y", "40", "30", "9", "80", "broken"),
        ("5", "1"),
    ]
    lines = list(_lines("\n".join("\t".join(row) for row in rows)))
    assert [[word.text for word in line.words] for line in lines] == [["sure"], ["next"]]
    assert [line.paragraph for line in lines] == [0, 1]
    assert (lines[0].words[0].top, lines[0].words[0].height) == (20, 14)


def test_warnings_name_pages() -> None:
    assert page_list([1, 2, 3, 5]) == "pages 1-3, 5"
    assert summary([(1, 95.0), (2, 55.0)], [(4, "why"), (5, "why")]) == [
        "Read from pictures by OCR: pages 1-2; mean confidence 75 %.",
        "Much of the text may be wrong on page 2.",
        "OCR failed on pages 4-5: why.",
    ]


def test_time_for_a_document_ends() -> None:
    aids = Aids(ocr=Ocr(("/bin/true",), 1), limit=10, spent=10)
    with pytest.raises(OcrError, match="10 s"):
        aids.recognise(b"")


def test_parsers_without_aids_do_without_ocr() -> None:
    assert PdfParser().aids.ocr is None
    assert ImageParser().aids.ocr is None
