from __future__ import annotations

import pytest

from athanor.rag.contradict import conflicts, difference
from athanor.rag.passages import cite, sentences_of
from tests.rag.fakes import hit

AGAINST = [
    (
        "Employees are entitled to 25 days of annual leave.",
        "Employees receive 30 days of annual leave per year.",
        "25 against 30",
    ),
    ("The Avonmouth bridge was opened in 1974.", "The Avonmouth bridge was opened in 1975.", "1974 against 1975"),
    (
        "The standard warranty for the pump is 24 months.",
        "The standard warranty for the pump is 36 months.",
        "24 against 36",
    ),
    (
        "Invoices must be paid within 30 days of receipt.",
        "Invoices must be paid within 14 days of receipt.",
        "30 against 14",
    ),
    (
        "The plant in Leipzig employs 12,000 people.",
        "The plant in Leipzig employs 15,000 people.",
        "12,000 against 15,000",
    ),
    (
        "Remote work is allowed for contractors.",
        "Remote work is not allowed for contractors.",
        "one of them denies “allowed”",
    ),
    ("The capital of Australia is Canberra.", "The capital of Australia is Sydney.", "Canberra against Sydney"),
    (
        "The bridge was designed by Ralph Freeman.",
        "The bridge was designed by William Brown.",
        "Ralph Freeman against William Brown",
    ),
    ("The contract expires on 5 March 2026.", "The contract expires on 15 March 2026.", "5 against 15"),
    (
        "The annual licence fee is $499 for each user.",
        "The annual licence fee is $599 for each user.",
        "499 against 599",
    ),
    ("The application deadline is 1 June 2025.", "The application deadline is 1 July 2025.", "June against July"),
]

HARMLESS = [
    ("Revenue in 2022 was 5 million euros.", "Revenue in 2023 was 6 million euros."),
    ("In 2022 the company had 100 employees.", "In 2023 the company had 120 employees."),
    ("The festival was held in Paris in 2019.", "The festival was held in Paris in 2020."),
    ("The trail is 10 km long.", "The trail is 6 miles long."),
    ("The trail is 1,000 m long in all.", "The trail is 1000 m long in all."),
    ("The Berlin office has 40 employees.", "The Munich office has 60 employees."),
    ("The standard warranty is 24 months.", "The extended warranty lasts 36 months."),
    ("The battery warranty is 12 months.", "The warranty is 24 months."),
    ("Room 12 is on the first floor of the building.", "Room 14 is on the first floor of the building."),
    ("More than 100 people attended the opening ceremony.", "150 people attended the opening ceremony."),
    ("About 1,000 people live in the village.", "1,034 people live in the village."),
    ("Paris is the capital of France.", "Berlin is the capital of Germany."),
    ("The library supports Python and Ruby scripts.", "The library supports Lua scripts."),
    ("It has 40 employees in total at the site.", "It has 60 employees in total at the site."),
    ("Anna Schmidt is a director at the Acme company.", "Ben Weber is a director at the Acme company."),
    ("Visitors are allowed on weekdays.", "Visitors are not allowed on weekends."),
    ("Children under 6 travel free of charge.", "Children under 14 travel free of charge with their parents."),
    ("Windows 10 needs 2 GB of memory.", "Windows 11 needs 4 GB of memory."),
    ("The fee for students is 50 euros.", "The fee for members is 70 euros."),
    ("The temperature in January averages 3 degrees.", "The temperature in July averages 19 degrees."),
    ("Smoking is not allowed in the building.", "Smoking is allowed outside the building."),
    ("The maximum speed of the lift is 5 metres per second.", "The usual speed of the lift is 3 metres per second."),
    ("Is the fee for visitors 50 euros a day?", "The fee for visitors is 70 euros a day."),
    ("", "The fee is 70 euros."),
]


@pytest.mark.parametrize(("one", "other", "reason"), AGAINST)
def test_sources_that_do_not_agree(one: str, other: str, reason: str) -> None:
    assert difference(one, other) == reason
    assert difference(other, one) is not None


@pytest.mark.parametrize(("one", "other"), HARMLESS)
def test_differences_that_are_none(one: str, other: str) -> None:
    assert difference(one, other) is None
    assert difference(other, one) is None


@pytest.mark.parametrize(("one", "other", "_"), AGAINST)
def test_nothing_disagrees_with_itself(one: str, other: str, _: str) -> None:
    assert difference(one, one) is None
    assert difference(other, other) is None


def test_a_conflict_cites_both_places_and_is_told_once() -> None:
    old = "Travel is booked early. Invoices must be paid within 30 days of receipt."
    new = "Invoices must be paid within 14 days of receipt. Travel is booked late."
    hits = [hit(old, document="old", title="Handbook 2022"), hit(new, document="new", title="Handbook 2024")]
    cited = [cite(hits[s.passage], s, 0.9) for s in sentences_of(hits) if "Invoices" in s.text]
    (found,) = conflicts(cited, hits)
    assert found.reason == "30 against 14"
    assert {found.first.document, found.second.document} == {"old", "new"}
    assert new[found.second.start : found.second.end] == found.second.quote
    assert conflicts(cited[:1], hits[:1]) == ()


def test_documents_about_different_things_do_not_contradict_each_other() -> None:
    text = "Invoices must be paid within {} days of receipt."
    hits = [
        hit(text.format(30), document="a", title="Terms of Hotel Alpha"),
        hit(text.format(14), document="b", title="Terms of Hotel Beta"),
    ]
    cited = [cite(hits[0], sentences_of(hits)[0], 0.9)]
    assert conflicts(cited, hits) == ()
