from __future__ import annotations

import re

import pytest

from athanor.console.answer import Numbers
from athanor.console.theme import DARK, LIGHT, asset, stylesheet
from athanor.console.words import many, size
from athanor.types import Citation


def citation(start: int, document: str = "doc_a") -> Citation:
    span = {"start": start, "end": start + 5, "quote": "quote", "page": None, "score": 0.5}
    return Citation(document=document, version=1, source="a.md", title="A", chunk="c", **span)


def test_a_passage_keeps_its_number() -> None:
    numbers = Numbers()
    assert [numbers.of(citation(n)) for n in (0, 7, 0, 9, 7)] == [1, 2, 1, 3, 2]
    assert numbers.of(citation(0, document="doc_b")) == 4
    assert [c.start for c in numbers.citations] == [0, 7, 9, 0]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (123_456, "123 KB"), (2_400_000, "2.4 MB"), (5 * 10**9, "5.0 GB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count).replace("\N{NO-BREAK SPACE}", " ") == text


def test_counts() -> None:
    assert many(1, "page") == "1 page"
    assert many(12_345, "page").split()[-1] == "pages"


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_surface(palette: dict[str, str]) -> None:
    for text in ("text", "muted", "accent", "bad"):
        for ground in ("ground", "surface", "sunken"):
            assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    pairs = [("text", "mark"), ("on-accent", "accent"), ("on-accent", "accent-strong"), ("accent", "accent-soft")]
    pairs += [(kind, f"{kind}-soft") for kind in ("good", "warn", "bad")] + [
        ("muted", f"{k}-soft") for k in ("warn", "bad")
    ]
    for text, ground in pairs:
        assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    for line in ("line-strong", "focus"):  # borders of fields, the focus ring
        assert contrast(palette[line], palette["surface"]) >= 3, line


def test_the_style_sheet_has_both_palettes_and_no_colour_outside_of_them() -> None:
    assert set(LIGHT) == set(DARK)
    sheet = stylesheet()
    assert LIGHT["accent"] in sheet
    assert DARK["accent"] in sheet
    components = asset("console.css") + asset("books.css")
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b", components)
