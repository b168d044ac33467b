from __future__ import annotations

from athanor.rag.hops import COST, FIRST, NAMES, merge, second_query

ASKED = "Who designed the bridge that Avonmouth is known for?"


def test_names_beside_the_words_of_the_question_lead_on() -> None:
    found = second_query(ASKED, ["Avonmouth is known for the Severn Way Bridge. It rains in Cardiff."])
    assert found == f"{ASKED} Severn Way Bridge"


def test_names_of_the_question_and_capitals_of_beginnings_do_not() -> None:
    assert second_query(ASKED, ["Visitors come to the bridge at Avonmouth."]) is None
    assert second_query(ASKED, []) is None
    assert second_query(ASKED, ["nothing here", "42"]) is None


def test_the_closest_sentences_come_first_and_names_are_few() -> None:
    far = "The bridge is near Alpha, Beta, Gamma and Delta."
    near = "Its bridge, for which Avonmouth is known, was the work of Omega."
    found = second_query(ASKED, [far, near])
    assert found is not None
    added = found.removeprefix(ASKED).split()
    assert added[0] == "Omega"
    assert len(added) == NAMES


def test_later_passages_are_not_searched_for_names() -> None:
    passages = ["nothing"] * FIRST + ["The bridge of Avonmouth is by Omega."]
    assert second_query(ASKED, passages) is None


def test_merged_by_the_better_score_and_the_second_pays() -> None:
    merged = merge([("a", 1.0), ("b", 0.2)], [("b", 1.0), ("c", 1.0), ("a", 9.0)])
    assert dict(merged) == {"a": 9.0 - COST, "b": 1.0 - COST, "c": 1.0 - COST}
    assert [key for key, _ in merged] == ["a", "b", "c"]
    assert merge([], []) == []
