from __future__ import annotations

from pathlib import Path

import pytest

from athanor.errors import DocumentError
from tests.data.makers import Placed, make_pdf, prose
from tests.data.reading import outline, read


def test_paragraphs_headings_lists_and_pages(tmp_path: Path) -> None:
    first: list[Placed] = [("Annual report", 72, 780, 24), ("1. Overview", 72, 730, 16)]
    first += prose(["The company did well this year, and all of its", "branches grew. Costs fell."], top=700)
    first += prose(["A second paragraph stands apart."], top=650)
    first += prose(["• first point", "• second point that goes", "on in a second line"], top=620)
    second: list[Placed] = [("2. Outlook", 72, 780, 16), *prose(["Things will go on."], top=750)]
    document = read(make_pdf(tmp_path / "a.pdf", [first, second]))
    assert outline(document) == [
        ("h1", "Annual report"),
        ("h2", "1. Overview"),
        ("paragraph", "The company did well this year, and all of its branches grew. Costs fell."),
        ("paragraph", "A second paragraph stands apart."),
        ("list", "• first point\n• second point that goes on in a second line"),
        ("h2", "2. Outlook"),
        ("paragraph", "Things will go on."),
    ]
    assert document.title == "Annual report"
    assert document.pages == (0, document.text.index("2. Outlook"))


def test_hyphens_at_line_ends(tmp_path: Path) -> None:
    lines = [
        "A well-known word, and the deduc-",
        "tion is permit-",
        "ted. This is a well-",
        "known case of Franco-",
        "German law.",
    ]
    document = read(make_pdf(tmp_path / "a.pdf", [prose(lines)]))
    assert document.text == (
        "A well-known word, and the deduction is permitted. This is a well-known case of Franco-German law."
    )


def test_a_paragraph_goes_on_over_the_page(tmp_path: Path) -> None:
    pages = [
        prose(["The first page ends in the middle of a sen-"]),
        prose(["tence that goes on here."]),
        prose(["New."]),
    ]
    document = read(make_pdf(tmp_path / "a.pdf", pages))
    assert document.text == "The first page ends in the middle of a sentence that goes on here.\n\nNew."
    assert [document.text[at : at + 5] for at in document.pages] == ["The f", "tence", "New."]


def test_running_headers_footers_and_page_numbers_go(tmp_path: Path) -> None:
    def page(number: int) -> list[Placed]:
        header = "Part one" if number < 8 else "Part two"
        body = prose([f"Body of number {number}.", f"It says {number * 7919} times something."])
        return [(header, 72, 810, 9), *body, (f"Page {number} of 16", 280, 30, 9)]

    document = read(make_pdf(tmp_path / "a.pdf", [page(n) for n in range(1, 17)]))
    assert "Page" not in document.text
    assert "Part" not in document.text
    assert document.text.count("Body of number") == 16
    assert len(document.pages) == 16


def test_the_outline_gives_the_headings(tmp_path: Path) -> None:
    pages = [prose([name, f"Text under {name} that is an ordinary sentence."]) for name in ("Alpha", "Beta", "Gamma")]
    made = make_pdf(tmp_path / "a.pdf", pages, title="Letters", outline=[("Alpha", 0), ("BETA", 1), ("Gamma", 2)])
    document = read(made)
    assert [text for kind, text in outline(document) if kind == "h1"] == ["Alpha", "Beta", "Gamma"]
    assert document.title == "Letters"


def test_large_type_everywhere_is_no_heading(tmp_path: Path) -> None:
    page: list[Placed] = [
        (f"line {i} is set in some size, quite large", 72, 780 - 60 * i, 12 + 4 * (i % 3)) for i in range(12)
    ]
    assert all(kind == "paragraph" for kind, _ in outline(read(make_pdf(tmp_path / "a.pdf", [page]))))


@pytest.mark.parametrize("name", ["Microsoft Word - draft.doc", "untitled", "thesis.dvi"])
def test_titles_of_programs_are_ignored(tmp_path: Path, name: str) -> None:
    made = make_pdf(tmp_path / "my_report.pdf", [prose(["Only text."])], title=name)
    assert read(made).title == "my report"


def test_pages_without_text_are_named(tmp_path: Path) -> None:
    made = make_pdf(tmp_path / "a.pdf", [prose(["One."]), [], [], prose(["Four."]), []])
    document = read(made)
    assert document.warnings == ("No text on pages 2-3, 5 (scanned, or empty).",)
    assert document.pages == (0, 6, 6, 6, 11)


def refusal(path: Path) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return caught.value


def test_no_text_at_all(tmp_path: Path) -> None:
    error = refusal(make_pdf(tmp_path / "scan.pdf", [[], []]))
    assert error.reason == "no_text"
    assert "ocrmypdf" in str(error)


def test_encrypted(tmp_path: Path) -> None:
    assert refusal(make_pdf(tmp_path / "a.pdf", [prose(["Secret."])], password="hunter2")).reason == "encrypted"


def test_encrypted_with_an_empty_password_is_read_as_every_viewer_does(tmp_path: Path) -> None:
    assert read(make_pdf(tmp_path / "a.pdf", [prose(["Not secret."])], password="")).text == "Not secret."


def test_damaged(tmp_path: Path) -> None:
    data = make_pdf(tmp_path / "a.pdf", [prose(["Words."])]).read_bytes()
    (tmp_path / "a.pdf").write_bytes(data[:200])
    assert refusal(tmp_path / "a.pdf").reason == "corrupt"
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    assert refusal(tmp_path / "a.pdf").reason == "corrupt"
    (tmp_path / "a.pdf").write_bytes(data.replace(b"startxref\n", b"startxref\n9"))
    assert read(tmp_path / "a.pdf").text == "Words."


def test_headers_that_change_with_the_chapter_go_by_their_number(tmp_path: Path) -> None:
    def page(number: int) -> list[Placed]:
        chapter = ("Starting", "Going on", "Ending", "After")[number // 3]
        body = prose([f"Body {number} is here.", f"Code {number * 7919} holds."])
        return [(f"Chapter {chapter}    {number + 5}", 72, 810, 9), *body]

    document = read(make_pdf(tmp_path / "a.pdf", [page(n) for n in range(12)]))
    assert "Chapter" not in document.text
    assert document.text.count("Body") == 12


def test_a_table_of_contents_is_a_list_without_its_dots(tmp_path: Path) -> None:
    lines = [f"{n} Section {n} . . . . . . . . . . . . . {n * 3}" for n in range(1, 4)]
    assert outline(read(make_pdf(tmp_path / "a.pdf", [prose(lines)])))[-1] == (
        "list",
        "1 Section 1 … 3\n2 Section 2 … 6\n3 Section 3 … 9",
    )
