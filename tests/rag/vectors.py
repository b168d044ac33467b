"""Vectors to index, and what an exact search of them finds."""

from __future__ import annotations

import numpy as np

from athanor.rag.arrays import Matrix
from athanor.types import VectorChanges, View

DIMENSION = 16


def unit(seed: int, dimension: int = DIMENSION) -> Matrix:
    vector = np.random.default_rng(seed).normal(size=dimension)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def units(count: int, seed: int = 0) -> Matrix:
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


class Base:
    """A knowledge base as a dict: what an index has to equal."""

    def __init__(self) -> None:
        self.revision = 0
        self.rows: dict[str, tuple[Matrix, str, int, int]] = {}
        """Chunk → vector, document, access class, revision."""

    def put(self, rows: dict[str, tuple[Matrix, str, int]]) -> None:
        self.revision += 1
        self.rows |= {chunk: (*row, self.revision) for chunk, row in rows.items()}

    def drop(self, chunks: list[str]) -> None:
        self.revision += 1
        for chunk in chunks:
            self.rows.pop(chunk, None)

    def close(self, chunks: list[str], access: int) -> None:
        """Give `chunks` another access class."""
        self.revision += 1
        for chunk in chunks:
            if chunk in self.rows:
                self.rows[chunk] = (*self.rows[chunk][:2], access, self.revision)

    def changes(self, since: int) -> VectorChanges:
        new = {chunk: row for chunk, row in self.rows.items() if row[3] > since}
        return VectorChanges(
            revision=self.revision,
            added=tuple(new),
            matrix=b"".join(row[0].tobytes() for row in new.values()),
            present=tuple(self.rows),
            documents=tuple(row[1] for row in new.values()),
            classes=tuple(row[2] for row in new.values()),
        )

    def visible(self, view: View | None) -> dict[str, Matrix]:
        return {
            chunk: vector
            for chunk, (vector, document, access, revision) in self.rows.items()
            if view is None
            or (
                (view.classes is None or access in view.classes)
                and (view.documents is None or document in view.documents)
                and revision <= view.revision
            )
        }

    def best(self, query: Matrix, limit: int, view: View | None) -> list[tuple[str, float]]:
        scored = {
            chunk: float(np.float32((v * query).sum(dtype=np.float64))) for chunk, v in self.visible(view).items()
        }
        return sorted(scored.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
