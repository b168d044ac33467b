"""Workbooks made by the libraries that people make them with."""

from __future__ import annotations

import contextlib
import datetime
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlsxwriter
import xlwt

from athanor.data.parsers import sheets
from athanor.data.places import span_place
from athanor.errors import DocumentError
from athanor.types import ParsedDocument
from tests.data.makers_office import PNG, make_ods
from tests.data.reading import outline, read


def workbook(path: Path, fill: Callable[[Any], None]) -> Path:
    book = openpyxl.Workbook()
    fill(book)
    book.save(path)
    return path


def fill_plain(book: Any) -> None:
    """Some of everything."""
    sheet = book.active
    for row in (["Region", "Q1", "When"], ["North", 0.25, datetime.date(2024, 3, 1)], ["South", True, "=A1"]):
        sheet.append(row)
    sheet["B2"].number_format = "0%"
    sheet.merge_cells("A5:B6")
    sheet["A5"] = "merged"
    book.create_sheet("Hidden").sheet_state = "hidden"


def old_workbook(path: Path) -> Path:
    """An XLS file with one table, from C5 on."""
    book = xlwt.Workbook()
    sheet = book.add_sheet("Old")
    for row, values in enumerate([["Name", "Born"], ["Ada", 1815], ["Alan", 1912]]):
        for column, value in enumerate(values):
            sheet.write(row + 4, column + 2, value)
    book.save(str(path))
    return path


def place_of(document: ParsedDocument, text: str) -> str:
    at = document.text.index(text)
    return span_place(document.anchors, at, at + len(text))


def test_values_are_what_people_see(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        sheet = book.active
        sheet.title = "Budget"
        sheet.append(["Region", "Q1", "Share", "When", "Paid"])
        sheet.append(["North", 1200, 0.25, datetime.date(2024, 3, 1), True])
        sheet.append(["South", 0.1 + 0.2, 0.125, datetime.datetime(2024, 3, 1, 14, 30), False])
        sheet["C2"].number_format = "0%"
        sheet["C3"].number_format = "0.0%"
        book.create_sheet("Old plan").sheet_state = "hidden"
        book["Old plan"]["B3"] = '=HYPERLINK("http://evil.test")'
        book["Old plan"]["B4"] = "secret word"

    document = read(workbook(tmp_path / "b.xlsx", fill))
    assert outline(document) == [
        ("h1", "Budget"),
        (
            "table",
            "Region | Q1 | Share | When | Paid\nNorth | 1200 | 25% | 2024-03-01 | TRUE\n"
            "South | 0.3 | 12.5% | 2024-03-01 14:30 | FALSE",
        ),
        ("h1", "Old plan (hidden sheet)"),
        ("table", "secret word"),
    ]
    assert place_of(document, "Region") == "Budget!A1:E3"
    assert place_of(document, "North | 1200") == "Budget!A2:E2"
    assert place_of(document, "secret") == "'Old plan'!B4"
    assert document.title == "b"


def test_tables_are_cut_at_gaps_and_rows_grouped_under_their_head(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        sheet = book.active
        sheet.title = "S"
        sheet["A1"] = "Sales of the year"
        sheet.append(["Region", 2023, 2024])
        for number in range(45):
            sheet.append([f"Town {number}", number, number * 2])
        for number in range(3):
            sheet.cell(row=2 + number, column=6, value=["Key", "a", "b"][number])
            sheet.cell(row=2 + number, column=7, value=["Value", 1, 2][number])
        sheet["A60"] = "Remarks below"

    document = read(workbook(tmp_path / "b.xlsx", fill))
    tables = [text for kind, text in outline(document) if kind == "table"]
    assert ("paragraph", "Sales of the year") in outline(document)
    assert [text.split("\n")[0] for text in tables] == ["Region | 2023 | 2024"] * 3 + ["Key | Value", "Remarks below"]
    assert [len(text.split("\n")) for text in tables[:3]] == [21, 21, 6]
    assert place_of(document, tables[0]) == "S!A2:C22"
    assert place_of(document, tables[1]) == "S!A23:C42"
    assert place_of(document, "Town 5 | 5 | 10\nTown 6 | 6 | 12") == "S!A8:C9"
    assert place_of(document, "Key") == "S!F2:G4"
    assert place_of(document, "Remarks") == "S!A60"


def test_merged_cells_are_meant_for_each_row(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        sheet = book.active
        sheet.append(["Region", "Item", "Cost"])
        for row in (["North", "Paper", 1], [None, "Ink", 2], ["South", "Glue", 3]):
            sheet.append(row)
        sheet.merge_cells("A2:A3")
        sheet["A6"] = "Merged title alone"
        sheet.merge_cells("A6:C7")

    text = read(workbook(tmp_path / "b.xlsx", fill)).text
    assert "North | Ink | 2" in text
    assert text.count("Merged title alone") == 1


def test_old_and_open_formats(tmp_path: Path) -> None:
    old_workbook(tmp_path / "a.xls")
    document = read(tmp_path / "a.xls", "blob")
    assert document.mime == "application/vnd.ms-excel"
    assert outline(document) == [("h1", "Old"), ("table", "Name | Born\nAda | 1815\nAlan | 1912")]
    assert place_of(document, "Ada") == "Old!C6:D6"
    document = read(make_ods(tmp_path / "a.ods", [["Name", "Born"], ["Ada", "1815"]]))
    assert outline(document)[1] == ("table", "Name | Born\nAda | 1815")


def test_pictures_and_what_is_said_of_them(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(PNG)
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet("One")
        sheet.write(0, 0, "text")
        sheet.write_url(1, 0, "https://evil.test/x", string="a link")
        sheet.insert_image("D4", str(tmp_path / "p.png"), {"description": "The new office"})
    document = read(tmp_path / "a.xlsx")
    assert [(found.mime, found.data, found.alt) for found in document.pictures] == [
        ("image/png", PNG, "The new office")
    ]
    assert "[Picture: The new office]" in document.text
    assert "evil" not in document.text


def test_limits_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(book: Any) -> None:
        for number in range(4):
            sheet = book.create_sheet(f"S{number}")
            for row in range(30):
                sheet.append([f"r{row}", row])

    made = workbook(tmp_path / "b.xlsx", fill)
    monkeypatch.setattr(sheets, "MAX_CELLS", 100)
    document = read(made)
    assert "Sheet 'S1' was read up to row 20: the workbook is too large." in document.warnings
    assert any("'S2', 'S3'" in warning for warning in document.warnings)
    assert "r19" in document.text


def test_cells_far_apart_cost_no_memory(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        book.active.title = "Far"
        book.active["A1"] = 1
        book.active["XFD1048576"] = 2
        book.create_sheet("Near")["A1"] = "here"

    document = read(workbook(tmp_path / "b.xlsx", fill))
    assert outline(document) == [("h1", "Far"), ("table", "1"), ("table", "2"), ("h1", "Near"), ("table", "here")]
    assert [anchor.place for anchor in document.anchors] == [
        "sheet Far",
        "Far!A1",
        "Far!XFD1048576",
        "sheet Near",
        "Near!A1",
    ]
    assert document.warnings == ()


def test_a_sheet_that_is_moved_together_reads_as_it_would_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(book: Any) -> None:
        sheet = book.active
        for row, values in enumerate([["Region", "Share", "When"], ["North", 0.25, datetime.date(2024, 3, 1)]], 4):
            for column, value in enumerate(values, 3):
                sheet.cell(row, column, value)
        sheet["D5"].number_format = "0%"
        sheet["H5"], sheet["H6"], sheet["B9"], sheet["A1"] = "beside", True, "=1+1", ""
        sheet["Z30"].number_format = "0%"
        book.create_sheet("Second")["C3"] = "text & more"

    made = workbook(tmp_path / "b.xlsx", fill)
    plain = read(made)
    monkeypatch.setattr(sheets, "_SPARSE_AREA", 0)
    monkeypatch.setattr(sheets, "_SPARSE", 0)
    assert read(made) == plain
    assert "25%" in plain.text
    assert "2024-03-01" in plain.text


def test_a_sheet_too_large_even_when_moved_together_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "_SPARSE_AREA", 0)
    monkeypatch.setattr(sheets, "_SPARSE", 0)
    monkeypatch.setattr(sheets, "MAX_AREA", 3)

    def fill(book: Any) -> None:
        book.active["B2"], book.active["D9"] = 1, 2
        book.create_sheet("Near")["A1"] = "here"

    document = read(workbook(tmp_path / "b.xlsx", fill))
    assert outline(document) == [("h1", "Near"), ("table", "here")]
    assert document.warnings == ("Sheet 'Sheet' was not read: its cells are too far apart (B2:D9).",)


def test_damage_is_read_or_refused(tmp_path: Path) -> None:
    whole = workbook(tmp_path / "b.xlsx", lambda book: book.active.append(["a", 1])).read_bytes()
    old = xlwt.Workbook()
    old.add_sheet("x").write(0, 0, "word")
    old.save(str(tmp_path / "b.xls"))
    for data, suffix, step in ((whole, "xlsx", 41), ((tmp_path / "b.xls").read_bytes(), "xls", 97)):
        for at in range(0, len(data), step):
            (tmp_path / f"c.{suffix}").write_bytes(data[:at] + bytes([data[at] ^ 0x81]) + data[at + 1 :])
            with contextlib.suppress(DocumentError):
                read(tmp_path / f"c.{suffix}")
    (tmp_path / "c.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DocumentError):
        read(tmp_path / "c.xlsx")


def test_no_entity_is_expanded(tmp_path: Path) -> None:
    made = workbook(tmp_path / "b.xlsx", lambda book: book.active.append(["a", 1]))
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(tmp_path / "c.xlsx", "w") as target:
        for entry in source.namelist():
            data = source.read(entry)
            if entry == "xl/workbook.xml":
                data = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + data[data.index(b"<workbook") :]
            target.writestr(entry, data)
    with pytest.raises(DocumentError) as caught:
        read(tmp_path / "c.xlsx")
    assert caught.value.reason == "corrupt"
