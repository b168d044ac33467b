from __future__ import annotations

import numpy as np

from athanor.rag.diversify import capped, diversify

A = np.array([1, 0], dtype=np.float32)
B = np.array([0, 1], dtype=np.float32)
RANKED = [("a1", 1.0), ("a2", 0.9), ("b", 0.5), ("worst", 0.0)]
VECTORS = {"a1": A, "a2": A, "b": B, "worst": B}


def test_the_same_again_gives_way_to_something_else() -> None:
    assert diversify(RANKED, VECTORS, weight=0.5, limit=3) == ["a1", "b", "a2"]


def test_weights_at_the_ends() -> None:
    assert diversify(RANKED, VECTORS, weight=0.0, limit=4) == ["a1", "a2", "b", "worst"]
    assert diversify(RANKED, VECTORS, weight=1.0, limit=2) == ["a1", "b"]


def test_without_vectors_nothing_is_alike() -> None:
    assert diversify(RANKED, {}, weight=0.5, limit=4) == ["a1", "a2", "b", "worst"]


def test_scale_of_the_scores_does_not_matter() -> None:
    scaled = [(key, 100 * score - 7) for key, score in RANKED]
    assert diversify(scaled, VECTORS, weight=0.5, limit=4) == diversify(RANKED, VECTORS, weight=0.5, limit=4)


def test_nothing_and_more_than_there_is() -> None:
    assert diversify([], {}, weight=0.5, limit=3) == []
    assert sorted(diversify(RANKED, VECTORS, weight=0.5, limit=99)) == sorted(VECTORS)
    assert diversify([("a", 1.0), ("b", 1.0)], {}, weight=0.5, limit=2) == ["a", "b"]


def test_a_cap_for_each_document_keeps_the_best_in_order() -> None:
    documents = {"a": "1", "b": "1", "c": "2", "d": "1"}
    assert capped(["a", "b", "c", "d"], documents, 1) == ["a", "c"]
    assert capped(["a", "b", "c", "d"], documents, 2) == ["a", "b", "c"]
