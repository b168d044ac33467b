"""Shadow comparisons of the answer cache."""

from __future__ import annotations

from dataclasses import replace

from athanor.store import Store


def test_shadows_are_read_oldest_first_and_forgotten(store: Store) -> None:
    shadows = store.shadows
    first = shadows.add(route="m", embedder="e", similarity=0.9, same=True)
    rows = [replace(first, similarity=0.9 + i / 100, same=i % 2 > 0, at=first.at + i) for i in range(1, 5)]
    shadows.insert(rows)
    shadows.insert([])
    shadows.add(route="n", embedder="e", similarity=0.9, same=False)
    assert shadows.latest(route="m", embedder="e", limit=3) == rows[1:]
    assert shadows.latest(route="m", embedder="x", limit=3) == []
    assert shadows.delete_older(first.at + 2) == 3
    assert shadows.forget(route="m") == 3
    assert shadows.latest(route="m", embedder="e", limit=3) == []
