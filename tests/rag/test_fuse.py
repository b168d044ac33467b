from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athanor.rag.fuse import DENSE_WEIGHT, LEAST_DENSE, RERANK_FLOOR, blend, dense_share, fuse

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


def test_the_dense_share_shrinks_with_the_lead_of_words_and_no_further_than_its_least() -> None:
    close = [("a", 5.0), ("b", 4.9), ("c", 1.0)]
    far = [("a", 9.0), ("b", 4.9), ("c", 1.0)]
    alone = [("a", 50.0), *((f"x{i}", 1.0 + i / 100) for i in range(60))]
    assert DENSE_WEIGHT > dense_share(close) > dense_share(far) > dense_share(sorted(alone, key=lambda p: -p[1]))
    assert dense_share(alone, lead=5.0) == LEAST_DENSE
    assert dense_share(far, 0.1) == pytest.approx(0.1), "a share that was set below the least stays"
    assert dense_share(far, lead=0.0) == DENSE_WEIGHT
    assert dense_share([]) == dense_share([("a", 3.0)]) == DENSE_WEIGHT


def test_weights_at_the_ends_are_the_legs() -> None:
    lexical, dense = {"a": 3.0, "b": 2.0, "c": 1.0}, {"a": 0.1, "b": 0.5, "c": 0.9}
    ranked = list(lexical.items())
    assert [key for key, _ in fuse(ranked, dense, [0.9, 0.5, 0.1], dense_weight=1.0, lead=0)] == ["c", "b", "a"]
    assert [key for key, _ in fuse(ranked, dense, [0.9, 0.5, 0.1], dense_weight=0.0, lead=0)] == ["a", "b", "c"]


def test_a_logit_moves_by_its_weight_above_the_floor() -> None:
    fused = np.array([1.0, 1.0, 1.0])
    blended = blend(fused, np.array([RERANK_FLOOR - 90, RERANK_FLOOR, RERANK_FLOOR + 4]), weight=0.5)
    assert blended.tolist() == [1.0, 1.0, 3.0]
