"""Whole files that the fuzzer breaks, a few for each parser and each kind of container."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

from tests.data import test_epub, test_html, test_pptx, test_sheets
from tests.data.makers import make_docx, make_pdf, paragraph, prose
from tests.data.makers_office import make_ods
from tests.data.test_containers import make_mail, make_mbox, make_zip


def _sheets(folder: Path) -> list[Path]:
    return [
        test_sheets.workbook(folder / "a.xlsx", test_sheets.fill_plain),
        test_sheets.old_workbook(folder / "a.xls"),
        make_ods(folder / "a.ods", [["Name", "Born"], ["Ada", "1815"]]),
    ]


def _text(folder: Path, name: str, text: str) -> list[Path]:
    (folder / name).write_text(text)
    return [folder / name]


def _put(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


def _mails() -> dict[str, bytes]:
    marked = EmailMessage()
    marked["From"], marked["Subject"] = "=?utf-8?q?M=C3=BCller?= <m@example.org>", "=?koi8-r?b?8NLJ18XU?="
    marked.set_content("Words.\n\nOn Sun, 1 Mar 2026, Bob wrote:\n> Why?\n-- \nAnn")
    marked.add_alternative("<h1>Words</h1><p>and <img src='cid:1@x'> more</p>", subtype="html")
    marked.get_payload()[1].add_related(b"\x89PNG\r\n\x1a\n" + bytes(40), "image", "png", cid="<1@x>")
    held = make_mail("Offer", "See it.", {"a.txt": b"Ten.", "b.zip": make_zip({"c.md": "# D"})})
    outer = EmailMessage()
    outer["Subject"] = "Fwd"
    outer.set_content("Below.")
    outer.add_attachment(marked)
    only = b"Subject: x\nContent-Type: text/html; charset=utf-16\nContent-Transfer-Encoding: base64\n\n//48AGIAPgA=\n"
    return {"a.eml": marked.as_bytes(), "b.eml": held, "c.eml": outer.as_bytes(), "d.eml": only}


def _tar(kind: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, data in (("a.txt", b"A."), (f"b/{'c' * 120}.md", b"# D"), ("d.zip", make_zip({"e.txt": "F."}))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _tars(folder: Path) -> list[Path]:
    plain = _tar(tarfile.PAX_FORMAT)
    files = {"a.tar": plain, "b.tar": _tar(tarfile.GNU_FORMAT), "c.tar.gz": gzip.compress(plain)}
    return _put(folder, {**files, "d.tar.bz2": bz2.compress(plain), "e.gz": gzip.compress(b"Words.")})


def _zips(folder: Path) -> list[Path]:
    inner = make_zip({"deep.txt": "Deep.", "more.zip": make_zip({"x.txt": "X."})})
    files = {"a.zip": make_zip({"a.txt": "A.", "b/c.md": "# D", "in.zip": inner, "e.eml": _mails()["b.eml"]})}
    return _put(folder, {**files, "b.zip": make_zip({"ä.txt": "A.", "../b.txt": "B."})})


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
    "mail": lambda folder: _put(folder, _mails()),
    "markdown": lambda folder: _text(folder, "a.md", "# A\n\n- b\n\n| c | d |\n|---|---|\n| 1 | 2 |\n\n```\ne\n```\n"),
    "notebook": lambda folder: _text(
        folder, "a.ipynb", '{"cells": [{"cell_type": "code", "source": ["a"], "outputs": [{"text": "b"}]}]}'
    ),
    "pdf": lambda folder: [make_pdf(folder / "a.pdf", [prose(["One.", "Two."]), prose(["Three."])])],
    "pptx": lambda folder: [test_pptx.make(folder / "a.pptx")],
    "sheets": _sheets,
    "text": lambda folder: _text(folder, "a.txt", "Title\n=====\n\nText.\n\n- a\n- b\n"),
    "attachments": lambda folder: _put(folder, _mails()),
    "mbox": lambda folder: _put(folder, {"a.mbox": make_mbox([*_mails().values(), make_mail("a", "From here on.")])}),
    "tar": _tars,
    "zip": _zips,
}
CONTAINERS = frozenset(["attachments", "mbox", "tar", "zip"])
"""Names in `SEEDS` that are opened, not parsed."""


def seeds(name: str, folder: Path) -> list[tuple[str, bytes]]:
    """Name and bytes of each whole file for the parser `name`."""
    return [(path.name, path.read_bytes()) for path in SEEDS[name](folder)]
