from __future__ import annotations

import numpy as np
import pytest

from athanor.rag.feedback import AGREED, leaning, weak


def test_the_vector_leans_to_the_passages_and_stays_a_unit() -> None:
    query = np.array([1, 0, 0], dtype=np.float32)
    passages = np.array([[0, 1, 0], [0, 0.6, 0.8]], dtype=np.float32)
    moved = leaning(query, passages, 0.5)
    assert moved.dtype == np.float32
    assert float(np.linalg.norm(moved)) == pytest.approx(1)
    assert moved @ passages[0] > query @ passages[0]
    assert moved @ query > leaning(query, passages, 2.0) @ query
    assert leaning(query, passages, 0.0) == pytest.approx(query)


def test_opposites_do_not_divide_by_nothing() -> None:
    query = np.array([1, 0], dtype=np.float32)
    assert np.isfinite(leaning(query, -query[None], 1.0)).all()


def test_weak_is_where_the_best_ten_differ() -> None:
    ids = [f"c{i}" for i in range(30)]
    assert weak(ids, ids[::-1])
    assert weak([], ids)
    assert not weak(ids, ids)
    assert not weak(ids, ids[:AGREED] + ids[15:])
    assert weak(ids, ids[: AGREED - 1] + ids[15:])
