"""Whole files that the fuzzer breaks, a few for each parser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.data import test_epub, test_html, test_pptx, test_sheets
from tests.data.makers import make_docx, make_pdf, paragraph, prose
from tests.data.makers_office import make_ods


def _sheets(folder: Path) -> list[Path]:
    return [
        test_sheets.workbook(folder / "a.xlsx", test_sheets.fill_plain),
        test_sheets.old_workbook(folder / "a.xls"),
        make_ods(folder / "a.ods", [["Name", "Born"], ["Ada", "1815"]]),
    ]


def _text(folder: Path, name: str, text: str) -> list[Path]:
    (folder / name).write_text(text)
    return [folder / name]


SEEDS: dict[str, Callable[[Path], list[Path]]] = {
    "code": lambda folder: [
        *_text(folder, "a.py", "# A\n@b\ndef c(d):\n    return 1\n\nclass E:\n    x = 1\n"),
        *_text(folder, "a.js", "class A {\n  b() { return `}`; }\n}\nconst c = (d) => { };\n"),
    ],
    "csv": lambda folder: _text(folder, "a.csv", 'Region;Q1\nNorth;"1,2"\n"South\nWest";5\n' * 20),
    "docx": lambda folder: [make_docx(folder / "a.docx", "".join(paragraph(f"Paragraph {i}.") for i in range(9)))],
    "epub": lambda folder: [test_epub.make(folder / "a.epub")],
    "html": lambda folder: _text(folder, "a.html", test_html.PAGE),
    "json": lambda folder: [
        *_text(folder, "a.json", '{"a": {"b": [1, null]}, "c": [{"d": 1, "e": "f"}, {"d": 2, "e": "g"}]}'),
        *_text(folder, "a.jsonl", '{"a": 1}\n{"a": 2}\n'),
    ],
    "markdown": lambda folder: _text(folder, "a.md", "# A\n\n- b\n\n| c | d |\n|---|---|\n| 1 | 2 |\n\n```\ne\n```\n"),
    "notebook": lambda folder: _text(
        folder, "a.ipynb", '{"cells": [{"cell_type": "code", "source": ["a"], "outputs": [{"text": "b"}]}]}'
    ),
    "pdf": lambda folder: [make_pdf(folder / "a.pdf", [prose(["One.", "Two."]), prose(["Three."])])],
    "pptx": lambda folder: [test_pptx.make(folder / "a.pptx")],
    "sheets": _sheets,
    "text": lambda folder: _text(folder, "a.txt", "Title\n=====\n\nText.\n\n- a\n- b\n"),
}


def seeds(name: str, folder: Path) -> list[tuple[str, bytes]]:
    """Name and bytes of each whole file for the parser `name`."""
    return [(path.name, path.read_bytes()) for path in SEEDS[name](folder)]
