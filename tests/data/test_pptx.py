"""Presentations made by python-pptx, and what no library would make."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from athanor.data.places import span_place
from athanor.errors import DocumentError
from tests.data.makers_office import PNG
from tests.data.reading import outline, read


def box(slide: Any, text: str, left: float, top: float) -> None:
    slide.shapes.add_textbox(Inches(left), Inches(top), Inches(3), Inches(1)).text_frame.text = text


def make(path: Path) -> Path:
    deck = Presentation()
    deck.core_properties.title = "Plan of the year"
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Goals"
    frame = first.placeholders[1].text_frame
    frame.text = "Grow"
    for text, level in (("In the north", 1), ("Save", 0)):
        item = frame.add_paragraph()
        item.text, item.level = text, level
    first.notes_slide.notes_text_frame.text = "Say hello first."
    second = deck.slides.add_slide(deck.slide_layouts[6])
    box(second, "bottom", 1, 5)
    box(second, "right", 5, 1.1)
    box(second, "left", 1, 1)
    table = second.shapes.add_table(2, 2, Inches(1), Inches(2.5), Inches(4), Inches(1)).table
    for row, texts in enumerate((("Town", "People"), ("Ulm", "128,928"))):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    picture = second.shapes.add_picture(io.BytesIO(PNG), Inches(1), Inches(4), Inches(1), Inches(1))
    picture._element.nvPicPr.cNvPr.set("descr", "A bridge over the Danube")
    third = deck.slides.add_slide(deck.slide_layouts[5])
    third.shapes.title.text = "Sales"
    third._element.set("show", "0")
    data = CategoryChartData()
    data.categories = ["Q1", "Q2"]
    data.add_series("North", (1.5, 2))
    data.add_series("South", (3, None))
    chart = third.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, Inches(2), Inches(4), Inches(3), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Sales by region"
    order = deck.slides._sldIdLst
    order.append(order[1])  # the second slide goes to the end
    deck.save(str(path))
    return path


def test_slides_in_their_order_with_all_that_they_say(tmp_path: Path) -> None:
    document = read(make(tmp_path / "a.pptx"))
    assert document.title == "Plan of the year"
    assert outline(document) == [
        ("h1", "Goals"),
        ("list", "- Grow\n  - In the north\n- Save"),
        ("paragraph", "Notes: Say hello first."),
        ("h1", "Sales"),
        ("paragraph", "Sales by region"),
        ("table", "| North | South\nQ1 | 1.5 | 3\nQ2 | 2 |"),
        ("h1", "Slide 3"),
        ("paragraph", "left"),
        ("paragraph", "right"),
        ("table", "Town | People\nUlm | 128,928"),
        ("paragraph", "[Picture: A bridge over the Danube]"),
        ("paragraph", "bottom"),
    ]
    assert [anchor.place for anchor in document.anchors] == ["slide 1", "slide 2 (hidden)", "slide 3"]
    at = document.text.index("Ulm")
    assert span_place(document.anchors, at, at + 3) == "slide 3"
    (picture,) = document.pictures
    assert (picture.mime, picture.data, picture.alt) == ("image/png", PNG, "A bridge over the Danube")
    assert document.text.index("Ulm") < picture.start <= document.text.index("[Picture")


def rewritten(made: Path, path: Path, part: str, old: bytes, new: bytes) -> Path:
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.namelist():
            data = source.read(entry)
            assert entry != part or old in data
            target.writestr(entry, data.replace(old, new) if entry == part else data)
    return path


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(PNG)
    made = make(tmp_path / "a.pptx")
    part = "ppt/slides/_rels/slide2.xml.rels"
    with zipfile.ZipFile(made) as archive:
        target = archive.read(part).split(b'image" Target="')[1].split(b'"')[0]
    for link in (secret.as_uri().encode() + b'" TargetMode="External', b"../../../../../.." + str(secret).encode()):
        document = read(rewritten(made, tmp_path / "b.pptx", part, target, link))
        assert not document.pictures
        assert "Ulm" in document.text
    declared = b"<!DOCTYPE x [<!ENTITY e 'lol'>]><p:sld "
    with pytest.raises(DocumentError) as caught:
        read(rewritten(made, tmp_path / "b.pptx", "ppt/slides/slide2.xml", b"<p:sld ", declared))
    assert caught.value.reason == "corrupt"


def test_damage_is_read_or_refused(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.pptx").read_bytes()
    for at in range(0, len(whole), 499):
        (tmp_path / "b.pptx").write_bytes(whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :])
        with contextlib.suppress(DocumentError):
            read(tmp_path / "b.pptx")
