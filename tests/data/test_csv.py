from __future__ import annotations

from pathlib import Path

import pytest

from athanor.data.parsers.csv import fields, find_delimiter, records
from athanor.data.places import join_places, span_place
from athanor.errors import DocumentError
from tests.data.reading import outline, read_text


def rows_of(text: str, delimiter: str = ",") -> list[str]:
    return [text[start:end] for start, end in records(text, delimiter)]


def test_the_text_is_the_files_own_and_rows_are_named(tmp_path: Path) -> None:
    text = 'Region,Q1\nNorth,"1,200"\n"South\nand West",5\nEast,7\n'
    document = read_text(tmp_path, text, "sales.csv")
    assert document.text == text
    assert document.lines
    assert document.title == "sales"
    assert outline(document) == [("table", text.rstrip())]
    assert [anchor.place for anchor in document.anchors] == ["row 1", "row 2", "row 3", "row 4"]
    assert text[document.anchors[3].start :] == "East,7\n"
    at = text.index("West")
    assert span_place(document.anchors, at, at + 4) == "row 3"
    assert span_place(document.anchors, text.index("North"), len(text)) == "rows 2–4"


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b,c\n1,2,3\n", ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ("a\tb\n1,0\t2\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ("only\none\ncolumn\n", ","),
        ('"x;y",b\n"p;q",c\n', ","),
    ],
)
def test_the_delimiter_is_found(text: str, delimiter: str) -> None:
    assert find_delimiter(text) == delimiter


def test_quotes_open_only_at_the_beginning_of_a_field() -> None:
    assert rows_of('5" pipe,1\n6" pipe,2\n') == ['5" pipe,1', '6" pipe,2']
    assert rows_of('a,"x ""y""\nz",b\nnext') == ['a,"x ""y""\nz",b', "next"]
    assert fields('a,"x ""y"", z",,b', ",") == ["a", 'x "y", z', "", "b"]


def test_a_quote_that_never_closes_costs_one_row() -> None:
    text = 'a,"open\n' + "b,c\n" * 2000
    assert len(rows_of(text)) == 2001


def test_encodings_and_ragged_rows(tmp_path: Path) -> None:
    document = read_text(tmp_path, "Name;Stadt\nJürgen;Köln\nUte\n".encode("cp1252"), "a.csv")
    assert "Köln" in document.text
    assert any("Windows-1252" in warning for warning in document.warnings)
    assert any("1 of 3 rows" in warning and "rows 3" in warning for warning in document.warnings)
    assert read_text(tmp_path, "a\tb\n".encode("utf-16"), "a.tsv").mime == "text/tab-separated-values"
    with pytest.raises(DocumentError) as caught:
        read_text(tmp_path, bytes(range(256)) * 9, "a.csv")
    assert caught.value.reason == "encoding"


def test_rows_of_a_large_file_share_names(tmp_path: Path) -> None:
    document = read_text(tmp_path, "a,b\n" * 60_000, "a.csv")
    assert document.anchors[1].place == "rows 21–40"
    assert len(document.anchors) == 3000


@pytest.mark.parametrize(
    ("first", "last", "joined"),
    [
        ("slide 4", "slide 4", "slide 4"),
        ("slide 4", "slide 6 (hidden)", "slides 4–6"),
        ("row 2", "rows 21–40", "rows 2–40"),
        ("Budget!A2:F2", "Budget!A5:F5", "Budget!A2:F5"),
        ("Budget!A1:AB21", "Budget!C3", "Budget!A1:AB21"),
        ("A!A1:B2", "B!A1:B2", "A!A1:B2 – B!A1:B2"),
        ("chapter 2 · One", "chapter 3 · Two", "chapters 2–3"),
        ("page 1", "slide 2", "page 1 – slide 2"),
    ],
)
def test_places_join(first: str, last: str, joined: str) -> None:
    assert join_places(first, last) == joined
