"""The full comparison of an index with the vectors in the store, which are the truth."""

from __future__ import annotations

from athanor.rag.arrays import np
from athanor.rag.index import decode
from athanor.rag.vectors.live import LiveIndex
from athanor.store import Store

_SAMPLE = 200
"""Rows that the graph has to find by their own vector."""
_FOUND = 0.9


def differences(store: Store, base: str, index: LiveIndex) -> list[str]:
    """One line for each kind of difference between `index` and the base (by id) in `store`; empty when there is none.

    Says nothing when the base changes meanwhile.

    Raises:
        NotFoundError: no such base.
    """
    state = index.state
    missing = different = seen = 0
    with store.read() as conn:
        if store.knowledge.get(base, conn=conn).revision != state.revision:
            return []
        for ids, data in store.chunks.vectors(base, conn=conn):
            rows = [state.names.row(chunk, state.count) for chunk in ids]
            known = [place for place, row in enumerate(rows) if row is not None and state.columns.alive[row]]
            held = state.vectors(np.array([rows[place] for place in known], dtype=np.int64))
            different += int((held != decode(data, index.dimension)[known]).any(axis=1).sum())
            missing += len(ids) - len(known)
            seen += len(known)
    found = []
    if missing:
        found.append(f"{missing} chunks are not in the vector index.")
    if state.present != seen:
        found.append(f"{state.present - seen} rows of the vector index have no chunk.")
    if different:
        found.append(f"{different} rows of the vector index differ from their vectors.")
    if state.graph is not None and (lost := _lost(index)):
        found.append(f"The graph of the vector index does not find {lost} of {_SAMPLE} rows by their own vectors.")
    return found


def _lost(index: LiveIndex) -> int:
    """How many of a sample the graph cannot find, where they are more than an approximate search may lose."""
    state = index.state
    assert state.graph is not None
    rows = np.unique(np.linspace(0, state.covered - 1, _SAMPLE).astype(np.int64))
    vectors = state.vectors(rows)
    lost = 0
    for row, vector in zip(rows.tolist(), vectors, strict=True):
        near = state.graph.search(vector, 20)
        # A copy of the same vector under another row is as good.
        lost += row not in near and not bool((state.vectors(near) == vector).all(axis=1).any())
    return lost if lost > (1 - _FOUND) * len(rows) else 0
