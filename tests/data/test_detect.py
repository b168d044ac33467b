from __future__ import annotations

from pathlib import Path

import pytest

from athanor.data.detect import detect, supported
from athanor.errors import DocumentError
from tests.data.makers import make_docx, make_pdf, paragraph, prose
from tests.data.reading import PARSERS


def kind(path: Path, name: str) -> str:
    return detect(path, name, PARSERS).mimes[0].rsplit(".", maxsplit=1)[-1].rsplit("/", maxsplit=1)[-1]


def test_content_goes_before_the_name(tmp_path: Path) -> None:
    made = make_pdf(tmp_path / "pdf", [prose(["x"])])
    assert kind(made, "notes.txt") == "pdf"
    assert kind(make_docx(tmp_path / "docx", paragraph("x")), "notes.md") == "document"
    (tmp_path / "text").write_text("plain words")
    assert kind(tmp_path / "text", "scan.pdf") == "plain"
    assert kind(tmp_path / "text", "noname") == "plain"
    assert kind(tmp_path / "text", "a.MD") == "markdown"
    (tmp_path / "late").write_bytes(b"junk before\n" + made.read_bytes())
    assert kind(tmp_path / "late", "a.pdf") == "pdf"


@pytest.mark.parametrize(
    ("data", "name", "reason", "words"),
    [
        (b"", "a.txt", "empty", "empty"),
        (b" \n\0", "a.txt", "empty", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(9), "a.pdf", "unsupported_type", "PNG"),
        (b"{\\rtf1 hello}", "a.rtf", "unsupported_type", "RTF"),
        (bytes(range(256)), "a.xyz", "unsupported_type", ".pdf"),
        (bytes(range(256)), "a.txt", "encoding", "binary"),
        (bytes(range(256)), "a.pdf", "corrupt", "no such file"),
        (b"PK\x03\x04 and no more", "a.docx", "corrupt", "cut short"),
    ],
)
def test_refusals_are_one_clear_line(tmp_path: Path, data: bytes, name: str, reason: str, words: str) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(DocumentError) as caught:
        detect(tmp_path / "f", name, PARSERS)
    assert caught.value.reason == reason
    assert caught.value.where == name
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_every_parser_says_what_it_takes() -> None:
    assert {".pdf", ".docx", ".html", ".md", ".txt"} <= set(supported(PARSERS))
    for parser in PARSERS.values():
        assert parser.mimes
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in parser.suffixes)
