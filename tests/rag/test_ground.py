from __future__ import annotations

import pytest

from athanor.rag.facts import plain_numbers
from athanor.rag.ground import FEATURES, compare, read
from athanor.rag.lexical import stems

SOURCE = "The bridge at Avonmouth was opened in 1974 by the Duke of Kent. It is 1,388 metres long and has eight lanes."


def features(written: str, source: str = SOURCE) -> dict[str, float]:
    found = compare(read(written), read(source), read(source), stems(plain_numbers(source)), lambda _: 1.0)
    return dict(zip(FEATURES, found.row(), strict=True))


def test_the_source_itself_agrees_in_everything() -> None:
    found = features(SOURCE)
    wanted = dict.fromkeys(FEATURES, 0.0) | dict.fromkeys(("words", "triples", "bound"), 1.0)
    assert found == wanted


@pytest.mark.parametrize(
    ("written", "feature", "value"),
    [
        ("The bridge at Avonmouth was opened in 1975.", "numbers", 1),
        ("It is 1388 metres long and has 8 lanes.", "numbers", 0),  # the same numbers, written otherwise
        ("The bridge at Bristol was opened in 1974.", "names_near", 1),
        ("The bridge at Avonmouth was not opened in 1974.", "denial", 1),
        ("The bridge at Avonmouth was closed in 1974.", "opposite", 1),
        ("Penguins live here.", "foreign", 2),
        ("The bridge at Kent was opened in 1974 by the Duke of Avonmouth.", "names_near", 0),
    ],
)
def test_what_was_changed_shows(written: str, feature: str, value: float) -> None:
    assert features(written)[feature] == value


def test_names_that_change_places_lose_their_neighbours() -> None:
    swapped = features("The bridge at Kent was opened in 1974 by the Duke of Avonmouth.")
    kept = features("The bridge at Avonmouth was opened by the Duke of Kent.")
    assert swapped["bound"] < kept["bound"]
    assert swapped["triples"] < kept["triples"]


def test_an_endless_text_is_compared_in_bounded_time() -> None:
    endless = "word " * 100_000
    assert features(endless, endless)["triples"] == 1


@pytest.mark.parametrize("written", ["", "?!", "It is."])
def test_nothing_to_compare(written: str) -> None:
    assert all(value == value for value in features(written).values())
