"""An exact vector index: one matrix in memory, derived from the store's vectors and rebuildable from them at any time.

Exact search of 100,000 × 384 float32 takes about 20 ms on two cores, so up to some 300,000 chunks (460 MB) an
approximate index would save little and lose recall.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from athanor.rag.arrays import Matrix, np
from athanor.types import VectorChanges

_FIRST = 256
"""Rows of the first allocation; it doubles from there."""


def decode(data: bytes, dimension: int) -> Matrix:
    """Joined little-endian float32 vectors as a matrix of n × `dimension`."""
    return np.frombuffer(data, dtype="<f4").reshape(-1, dimension)


class ExactIndex:
    """Unit vectors by id, searched by cosine. Safe to use from several threads."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.revision = 0
        """Of the knowledge base that this index equals."""
        self._matrix: Matrix = np.zeros((0, dimension), dtype=np.float32)
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, chunk: object) -> bool:
        return chunk in self._rows

    def apply(self, changes: VectorChanges) -> None:
        """Bring the index to `changes.revision`: drop what is no longer present, then add or replace."""
        with self._lock:
            present = set(changes.present)
            self._remove([chunk for chunk in self._ids if chunk not in present])
            self._add(changes.added, decode(changes.matrix, self.dimension))
            self.revision = changes.revision

    def add(self, ids: Sequence[str], vectors: Matrix) -> None:
        """Add rows of `vectors` (n × dimension) under `ids`; an id that is there gets the new vector."""
        with self._lock:
            self._add(ids, vectors)

    def remove(self, ids: Iterable[str]) -> None:
        """Forget `ids`; unknown ones are ignored."""
        with self._lock:
            self._remove(ids)

    def search(
        self, query: Matrix, limit: int, also: Iterable[str] = ()
    ) -> tuple[list[tuple[str, float]], dict[str, float]]:
        """The `limit` best (id, cosine), best first, and the cosines of the ids in `also` that exist.

        `query` is a unit vector of shape (dimension,). Both come from one product, so they agree.
        """
        with self._lock:
            count = len(self._ids)
            if count == 0 or limit < 1:
                return [], {}
            scores = self._matrix[:count] @ query
            limit = min(limit, count)
            best = np.argpartition(-scores, limit - 1)[:limit]
            ranked = sorted(((self._ids[i], float(scores[i])) for i in best.tolist()), key=lambda p: (-p[1], p[0]))
            asked = {chunk: float(scores[self._rows[chunk]]) for chunk in also if chunk in self._rows}
        return ranked, asked

    def _add(self, ids: Sequence[str], vectors: Matrix) -> None:
        if len(ids) != len(vectors):
            raise ValueError(f"{len(ids)} ids came with {len(vectors)} vectors")
        needed = len(self._ids) + len(ids)
        if needed > len(self._matrix):
            grown = np.zeros((max(_FIRST, needed, 2 * len(self._matrix)), self.dimension), dtype=np.float32)
            grown[: len(self._ids)] = self._matrix[: len(self._ids)]
            self._matrix = grown
        for chunk, vector in zip(ids, vectors, strict=True):
            row = self._rows.get(chunk)
            if row is None:
                row = self._rows[chunk] = len(self._ids)
                self._ids.append(chunk)
            self._matrix[row] = vector

    def _remove(self, ids: Iterable[str]) -> None:
        for chunk in ids:
            row = self._rows.pop(chunk, None)
            if row is None:
                continue
            last = self._ids.pop()
            if last != chunk:  # the last row takes the free place
                self._matrix[row] = self._matrix[len(self._ids)]
                self._ids[row] = last
                self._rows[last] = row
