from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.rag.lexical import coverage, idf, match_terms, stems, words
from athanor.rag.stem import stem


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        # From the vocabulary that accompanies Porter's paper.
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("ties", "ti"),
        ("cats", "cat"),
        ("feed", "feed"),
        ("agreed", "agre"),
        ("plastered", "plaster"),
        ("motoring", "motor"),
        ("sing", "sing"),
        ("conflated", "conflat"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("happy", "happi"),
        ("sky", "sky"),
        ("relational", "relat"),
        ("conditional", "condit"),
        ("rational", "ration"),
        ("digitizer", "digit"),
        ("operator", "oper"),
        ("hopefulness", "hope"),
        ("formality", "formal"),
        ("electricity", "electr"),
        ("goodness", "good"),
        ("revival", "reviv"),
        ("adjustment", "adjust"),
        ("adoption", "adopt"),
        ("effective", "effect"),
        ("probate", "probat"),
        ("rate", "rate"),
        ("controlling", "control"),
        ("roll", "roll"),
        ("generalizations", "gener"),
        ("universities", "univers"),
    ],
)
def test_stems_are_porters(word: str, expected: str) -> None:
    assert stem(word) == expected


@given(st.text())
def test_words_are_spans_of_the_text(text: str) -> None:
    end = 0
    for word in words(text):
        assert end <= word.start < word.end <= len(text)
        end = word.end


def test_match_terms_leave_out_stop_words_unless_nothing_else_is_there() -> None:
    assert match_terms("What is the Capital of France, the capital?") == ["capital", "france"]
    assert match_terms("to be or not to be") == ["to", "be", "or", "not"]
    assert match_terms("?!") == []


def test_diacritics_case_and_endings_meet() -> None:
    assert stems("Café CAFES") == {"cafe"}


def test_idf_falls_with_frequency_and_stays_positive() -> None:
    values = [idf(10, frequency) for frequency in range(11)]
    assert values == sorted(values, reverse=True)
    assert values[-1] > 0


def test_coverage() -> None:
    assert coverage({"a": 3.0, "b": 1.0}, ["a"]) == 0.75
    assert coverage({}, ["a"]) == 0.0
