from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.rag.arrays import Matrix
from athanor.rag.index import ExactIndex
from athanor.types import VectorChanges

DIMENSION = 8


def unit(seed: int) -> Matrix:
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


STEPS = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1000)), max_size=20, unique_by=lambda p: p[0]),
    )
)


@settings(deadline=None)
@given(STEPS, st.integers(1, 12))
def test_equals_brute_force_after_adds_replacements_and_removals(
    steps: list[tuple[bool, list[tuple[int, int]]]], limit: int
) -> None:
    index = ExactIndex(DIMENSION)
    model: dict[str, Matrix] = {}
    for adds, items in steps:
        if adds:
            rows = {f"c{key}": unit(seed) for key, seed in items}
            index.add(list(rows), np.array(list(rows.values()), dtype=np.float32).reshape(-1, DIMENSION))
            model |= rows
        else:
            index.remove([f"c{key}" for key, _ in items])
            for key, _ in items:
                model.pop(f"c{key}", None)
    query = unit(5000)
    expected = sorted(((float(v @ query), k) for k, v in model.items()), key=lambda p: (-p[0], p[1]))
    found, also = index.search(query, limit, also=["c0", "unknown"])
    assert len(index) == len(model)
    assert len(found) == min(limit, len(model))
    assert [score for _, score in found] == pytest.approx([score for score, _ in expected[:limit]], abs=1e-5)
    for chunk, score in [*found, *also.items()]:
        assert score == pytest.approx(float(model[chunk] @ query), abs=1e-5)
    assert also.keys() == {"c0"} & model.keys()


def test_apply_brings_the_index_to_the_revision() -> None:
    index = ExactIndex(DIMENSION)

    def changes(revision: int, added: dict[str, int], present: list[str]) -> VectorChanges:
        matrix = b"".join(unit(seed).tobytes() for seed in added.values())
        return VectorChanges(revision=revision, added=tuple(added), matrix=matrix, present=tuple(present))

    index.apply(changes(1, {"a": 1, "b": 2}, ["a", "b"]))
    index.apply(changes(2, {"c": 3}, ["b", "c"]))
    assert index.revision == 2
    assert "a" not in index
    found, _ = index.search(unit(3), 10)
    assert found[0][0] == "c"
    assert len(found) == 2


def test_empty_index_finds_nothing() -> None:
    assert ExactIndex(DIMENSION).search(unit(1), 5) == ([], {})


def test_ids_and_vectors_must_pair() -> None:
    with pytest.raises(ValueError, match="2 ids"):
        ExactIndex(DIMENSION).add(["a", "b"], np.zeros((1, DIMENSION), dtype=np.float32))
