from __future__ import annotations

from dataclasses import replace

import pytest

from athanor.rag.passages import cite, cite_whole, sentences_of
from athanor.types import Hit
from tests.rag.fakes import hit

TEXT = "One stands here.\nTwo stands\nhere too.\n\nThree is last."


def places(found: Hit) -> list[str]:
    return [cite(found, sentence, 1.0).place for sentence in sentences_of([found])]


def test_lines_are_counted_exactly() -> None:
    found = hit(TEXT, start=100)
    assert places(replace(found, chunk=replace(found.chunk, line=12))) == ["line 12", "lines 13–14", "line 16"]


def test_pages_come_first_and_may_be_two() -> None:
    found = hit(TEXT, start=100)
    second = 100 + TEXT.index("here too")
    paged = replace(found, pages=(0, 50, second), chunk=replace(found.chunk, place="whatever"))
    assert places(paged) == ["page 2", "pages 2–3", "page 3"]


@pytest.mark.parametrize("place", ["Budget!A2:F21", ""])
def test_else_it_stands_where_the_passage_stands(place: str) -> None:
    found = hit(TEXT)
    placed = replace(found, chunk=replace(found.chunk, place=place))
    assert set(places(placed)) == {place}
    whole = cite_whole(placed, 0.2)
    assert (whole.quote, whole.place) == (TEXT, place)
