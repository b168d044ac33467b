"""Columns, tables, turned pages and boxes of PDFs: whatever the order of drawing, the order of reading."""

from __future__ import annotations

from itertools import chain, pairwise
from pathlib import Path

import pytest

from athanor.data.places import join_places, span_place, without_box
from tests.data.makers import Placed, make_pdf, prose
from tests.data.reading import outline, read

LEFT = [
    "The furnace feeds itself from a tower",
    "of charcoal, so that it burns for days at",
    "an even heat without being tended by",
    "anyone. It was used for long digestions",
    "and for slow distillation of spirits.",
]
RIGHT = [
    "Later chemists gave it up, because gas",
    "and electric heating could be set more",
    "exactly. The name was kept for journals",
    "and for hotels, and it has lately come",
    "to stand for patient work in general.",
]
STORY = " ".join(LEFT + RIGHT)


def columns(order: str, top: float = 700) -> list[Placed]:
    left, right = prose(LEFT, top=top), prose(RIGHT, top=top, x=320)
    return left + right if order == "by column" else list(chain.from_iterable(zip(left, right, strict=True)))


@pytest.mark.parametrize("order", ["by column", "by row"])
def test_two_columns_are_read_one_after_the_other(tmp_path: Path, order: str) -> None:
    assert outline(read(make_pdf(tmp_path / "a.pdf", [columns(order)])))[0][1].startswith(" ".join(LEFT)[:-1])
    assert read(make_pdf(tmp_path / "a.pdf", [columns(order)])).text.replace("\n\n", " ") == STORY


def test_what_crosses_the_gutter_divides_the_columns(tmp_path: Path) -> None:
    wide = "A title that goes over both of the columns of this page, from left to right, and more"
    page = [(wide, 72, 760, 11), *columns("by row", 700), (wide.replace("title", "note"), 72, 600, 11)]
    page += columns("by row", 560)
    text = read(make_pdf(tmp_path / "a.pdf", [page])).text.replace("\n\n", " ")
    assert text == f"{wide} {STORY} {wide.replace('title', 'note')} {STORY}"


def test_three_columns(tmp_path: Path) -> None:
    texts = [[f"{name} line {n} of a narrow" for n in range(6)] for name in ("First", "Second", "Third")]
    placed = [prose(lines, x=50 + 175 * i, size=10) for i, lines in enumerate(texts)]
    by_row = list(chain.from_iterable(zip(*placed, strict=True)))
    text = read(make_pdf(tmp_path / "a.pdf", [by_row])).text
    assert [text.index(name) for name in ("First line 5", "Second line 0", "Second line 5", "Third line 0")] == sorted(
        text.index(name) for name in ("First line 5", "Second line 0", "Second line 5", "Third line 0")
    )


def test_hyphens_at_the_ends_of_columns_drawn_by_row(tmp_path: Path) -> None:
    left = prose(["The deduc-", "tion of the first column", "is a long and winding", "one that ends here."])
    right = prose(["The second column has", "lines of its own, which", "are read when the first", "is over."], x=320)
    page = list(chain.from_iterable(zip(left, right, strict=True)))
    assert "The deduction of the first column is a long" in read(make_pdf(tmp_path / "a.pdf", [page])).text


def rows(table: list[list[str]], xs: tuple[float, ...], top: float = 700, step: float = 16) -> list[Placed]:
    return [
        (cell, x, top - i * step, 10)
        for i, row in enumerate(table)
        for cell, x in zip(row, xs, strict=True)
        if cell
    ]  # fmt: skip


FIGURES = [["Region", "Q1", "Q2"], ["North", "12", "15"], ["South", "7", ""], ["West", "101", "99"]]


def test_a_table_without_rules(tmp_path: Path) -> None:
    page = [*prose(["Sales went up in all of the regions of the country."], top=740)]
    page += [*rows(FIGURES, (72, 250, 350)), *prose(["What follows is again an ordinary sentence."], top=600)]
    assert outline(read(make_pdf(tmp_path / "a.pdf", [page]))) == [
        ("paragraph", "Sales went up in all of the regions of the country."),
        ("table", "Region | Q1 | Q2\nNorth | 12 | 15\nSouth | 7\nWest | 101 | 99"),
        ("paragraph", "What follows is again an ordinary sentence."),
    ]


def test_a_cell_that_goes_on_below_joins_the_one_above(tmp_path: Path) -> None:
    table = [["Part", "Use", "Price"], ["A1", "for the long", "12"], ["", "winter", ""], ["B2", "spare", "7"]]
    made = make_pdf(tmp_path / "a.pdf", [rows(table, (72, 200, 400))])
    assert outline(read(made)) == [("table", "Part | Use | Price\nA1 | for the long winter | 12\nB2 | spare | 7")]


def test_prose_in_columns_is_no_table_and_a_list_is_none(tmp_path: Path) -> None:
    assert "table" not in dict(outline(read(make_pdf(tmp_path / "a.pdf", [columns("by row")]))))
    items: list[Placed] = []
    for i in range(5):
        items += [(f"{i + 1}.", 72, 700 - 14 * i, 11), (f"point number {i}", 110, 700 - 14 * i, 11)]
    found = outline(read(make_pdf(tmp_path / "a.pdf", [items])))
    assert found == [("list", "\n".join(f"{i + 1}. point number {i}" for i in range(5)))]


def grid(xs: list[float], ys: list[float], *, skip: tuple[tuple[float, float, float, float], ...] = ()) -> bytes:
    """Each side of each cell as a line of its own, without those in `skip`."""
    sides = [(x0, y, x1, y) for y in ys for x0, x1 in pairwise(xs)]
    sides += [(x, y0, x, y1) for x in xs for y0, y1 in pairwise(ys)]
    return b"".join(b"%g %g m %g %g l S\n" % side for side in sides if side not in skip)


def test_a_table_with_rules_and_merged_cells(tmp_path: Path) -> None:
    xs, ys = [60, 160, 260, 360], [720, 700, 680, 660, 640]
    # The head reaches over the second and third column, `North` over two rows.
    merged = ((260, 720, 260, 700), (60, 680, 160, 680))
    texts = [
        [("Region", 65), ("Sales in thousands", 165)],
        [("North", 65), ("Q1", 165), ("12", 265)],
        [("Q2", 165), ("15", 265)],
        [("South", 65), ("Q1", 165), ("7", 265)],
    ]
    placed = [(text, x, 706 - 20 * i, 10) for i, row in enumerate(texts) for text, x in row]
    made = make_pdf(tmp_path / "a.pdf", [[*placed, *prose(["After it."], top=600)]], drawn=grid(xs, ys, skip=merged))
    assert outline(read(made)) == [
        ("table", "Region | Sales in thousands\nNorth | Q1 | 12\nNorth | Q2 | 15\nSouth | Q1 | 7"),
        ("paragraph", "After it."),
    ]


def test_rules_keep_cells_apart_that_stand_close_and_hold_several_lines(tmp_path: Path) -> None:
    placed = [("alpha", 62, 708, 10), ("beta", 92, 708, 10), ("one of", 62, 688, 10), ("two", 92, 688, 10)]
    placed += [("many", 62, 676, 10)]
    made = make_pdf(tmp_path / "a.pdf", [placed], drawn=grid([60, 90, 130], [720, 702, 670]))
    assert outline(read(made)) == [("table", "alpha | beta\none of many | two")]


def test_a_table_of_rectangles(tmp_path: Path) -> None:
    boxes = b"".join(b"%g %g 100 20 re S\n" % (60 + 100 * x, 680 - 20 * y) for x in range(3) for y in range(4))
    made = make_pdf(tmp_path / "a.pdf", [rows(FIGURES, (64, 164, 264), top=685, step=20)], drawn=boxes)
    assert outline(read(made)) == [("table", "Region | Q1 | Q2\nNorth | 12 | 15\nSouth | 7\nWest | 101 | 99")]


def test_a_frame_around_text_is_no_table(tmp_path: Path) -> None:
    made = make_pdf(tmp_path / "a.pdf", [prose(LEFT)], drawn=b"60 500 400 250 re S\n60 600 400 1 re f\n")
    assert read(made).text == " ".join(LEFT)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_page_reads_as_one_that_stands_upright(tmp_path: Path, degrees: int) -> None:
    def page(name: str) -> list[Placed]:
        return [*rows(FIGURES, (72, 250, 350), top=500), *prose([name], top=400)]

    turn = {0: b"", 90: b"0 1 -1 0 595 0 cm ", 180: b"-1 0 0 -1 595 842 cm ", 270: b"0 -1 1 0 0 842 cm "}[degrees]
    made = make_pdf(tmp_path / "a.pdf", [page("Words.")], drawn=turn, about=b"/Rotate %d" % degrees)
    document = read(made)
    assert outline(document) == [
        ("table", "Region | Q1 | Q2\nNorth | 12 | 15\nSouth | 7\nWest | 101 | 99"),
        ("paragraph", "Words."),
    ]
    inside = [int(edge) for edge in document.anchors[-1].place.partition("[")[2].rstrip("]").split()]
    assert inside[0] < inside[2]
    assert inside[1] < inside[3]
    if degrees == 0:
        assert inside == [72, 398, 107, 410]
    if degrees == 90:  # as the file counts: x is 595 less the y of the upright page
        assert inside == [185, 72, 197, 107]


def test_a_stamp_at_an_angle_stands_apart(tmp_path: Path) -> None:
    made = make_pdf(tmp_path / "a.pdf", [prose(LEFT)], drawn=b"BT /F1 14 Tf 0 1 -1 0 30 300 Tm (arXiv stamp) Tj ET\n")
    assert [text for _, text in outline(read(made))] == [" ".join(LEFT), "arXiv stamp"]


def test_each_block_has_its_page_and_box(tmp_path: Path) -> None:
    pages = [[*prose(["One is", "not two."]), *prose(["Two is", "not one."], top=640)], prose(["Three."])]
    document = read(make_pdf(tmp_path / "a.pdf", pages))
    assert [anchor.place.partition(" [")[0] for anchor in document.anchors] == ["page 1", "page 1", "page 2"]
    one, two = (anchor.place for anchor in document.anchors[:2])
    assert without_box(one) == "page 1"
    both = span_place(document.anchors, 0, document.text.index("Three"))
    assert both == join_places(one, two)
    box = [int(edge) for edge in both.partition("[")[2].rstrip("]").split()]
    assert box[0] == 72
    assert box[1] < 640 - 13 < 700 < box[3]
    assert span_place(document.anchors, 0, len(document.text)) == "pages 1–2"
