"""Search by pgvector: the database proposes chunks, their cosines are taken from the BLOBs here, as everywhere."""

from __future__ import annotations

from collections.abc import Iterable

from athanor.rag.arrays import Matrix, np
from athanor.rag.index import Found, decode
from athanor.store.vectors_postgresql import PostgreSQLVectors
from athanor.types import View

_OVERSAMPLING = 2
"""Chunks proposed for each one wanted: the graph's order is nearly that of the cosines."""


class PostgreSQLIndex:
    """Satisfies `VectorIndex` for one knowledge base (by id). Holds no vectors; every search asks the database."""

    def __init__(self, vectors: PostgreSQLVectors, base: str, dimension: int) -> None:
        self.dimension = dimension
        self.revision = 0
        self._vectors = vectors
        self._base = base

    def forward(self) -> None:
        """Copy what the table of pgvector lacks.

        Raises:
            NotFoundError: the base is gone.
        """
        self.revision = self._vectors.forward(self._base)

    def search(self, query: Matrix, limit: int, also: Iterable[str] = (), view: View | None = None) -> Found:
        """As `VectorIndex.search`; permissions are those of the moment."""
        revision, near, asked = self._vectors.search(
            self._base, query.tolist(), _OVERSAMPLING * limit, list(also), view
        )
        if view is not None and view.revision > revision:
            raise ValueError(f"The view is of revision {view.revision}, and the base of {revision}.")
        ranked = sorted(self._scored(query, near).items(), key=lambda pair: (-pair[1], pair[0]))[: max(limit, 0)]
        return ranked, self._scored(query, asked)

    def _scored(self, query: Matrix, found: list[tuple[str, bytes]]) -> dict[str, float]:
        if not found:
            return {}
        vectors = decode(b"".join(blob for _, blob in found), self.dimension)
        cosines = (vectors * query).sum(axis=1, dtype=np.float64).astype(np.float32)
        return dict(zip((chunk for chunk, _ in found), cosines.tolist(), strict=True))
