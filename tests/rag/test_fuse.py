from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.rag.fuse import fuse

SCORES = st.floats(0, 1).map(lambda x: round(x, 3))
IDS = st.sampled_from([f"c{i}" for i in range(12)])


def run(lexical: dict[str, float], dense: dict[str, float]) -> dict[str, float]:
    ranked = sorted(lexical.items(), key=lambda pair: -pair[1])
    every = {**dict.fromkeys(lexical, 0.0), **dense}
    return dict(fuse(ranked, every, list(dense.values())))


@given(st.dictionaries(IDS, SCORES), st.dictionaries(IDS, SCORES))
def test_every_candidate_once_best_first(lexical: dict[str, float], dense: dict[str, float]) -> None:
    scores = run(lexical, dense)
    assert scores.keys() == lexical.keys() | dense.keys()
    assert list(scores.values()) == sorted(scores.values(), reverse=True)


@given(st.dictionaries(IDS, SCORES, min_size=2), st.dictionaries(IDS, SCORES, min_size=2))
def test_better_in_both_legs_is_never_worse_fused(lexical: dict[str, float], dense: dict[str, float]) -> None:
    scores = run(lexical, dense)
    both = sorted(lexical.keys() & dense.keys())
    for a in both:
        for b in both:
            if lexical[a] >= lexical[b] and dense[a] >= dense[b]:
                assert scores[a] >= scores[b] - 1e-9


def test_scale_of_a_leg_does_not_matter() -> None:
    dense = {"a": 0.9, "b": 0.5, "c": 0.2}
    lexical = {"a": 1.0, "b": 4.0, "c": 9.0}
    assert run(lexical, dense) == pytest.approx(run({k: 10 * v for k, v in lexical.items()}, dense))


def test_without_a_lexical_match_the_dense_order_stands() -> None:
    assert list(run({}, {"a": 0.3, "b": 0.6, "c": 0.1})) == ["b", "a", "c"]


def test_nothing_found() -> None:
    assert fuse([], {}, []) == []
