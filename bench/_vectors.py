"""Vectors for `vectors.py` that lie as those of passages do, and what it measures in a process of its own."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

DIMENSION = 384
PER_DOCUMENT = 20
DOCUMENTS_PER_TOPIC = 50
WANTED = 10

Array = Any


class Material:
    """Rows of a hierarchical mixture: a mean that all share + a topic + a document + a passage's own part.

    Each part is Gaussian with the same random orthogonal axes, of deviation (i + 1)^-½ along axis i, as the spectrum
    of sentence embeddings falls; their weights are .3, 1, .8 and .8. Queries are further passages of random documents
    (own part weighted 1). Nearest neighbours of a query then have a cosine of about .76, the tenth .68, a random row
    .05. Everything is normalised; the seed is fixed.
    """

    def __init__(self, count: int, queries: int) -> None:
        self._rng = np.random.default_rng(1)
        axes, _ = np.linalg.qr(self._rng.normal(size=(DIMENSION, DIMENSION)))
        self._shape = (axes * (1 + np.arange(DIMENSION)) ** -0.5).astype(np.float32).T
        documents = -(-count // PER_DOCUMENT)
        topics = -(-documents // DOCUMENTS_PER_TOPIC)
        centres = self._draw(topics)[self._rng.integers(0, topics, documents)]
        centres += 0.3 * self._draw(1) + 0.8 * self._draw(documents)
        self.vectors = np.empty((count, DIMENSION), dtype=np.float32)
        self.documents = np.arange(count) // PER_DOCUMENT
        for first in range(0, count, 50_000):
            end = min(count, first + 50_000)
            rows = centres[self.documents[first:end]] + 0.8 * self._draw(end - first)
            self.vectors[first:end] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        asked = centres[self._rng.integers(0, documents, queries)] + self._draw(queries)
        self.queries = (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float32)
        # Access class 1 is the documents that the filtered searches may see: one in a hundred.
        self.classes = np.where(self._rng.random(documents) < 0.01, 1, 2)[self.documents]

    def _draw(self, count: int) -> Array:
        return self._rng.standard_normal((count, DIMENSION), dtype=np.float32) @ self._shape


def nearest(vectors: Array, queries: Array, mask: Array | None = None) -> list[set[int]]:
    """The true nearest rows of each query, by blocks of the exact product."""
    rows = np.arange(len(vectors)) if mask is None else np.flatnonzero(mask)
    scores: list[list[tuple[float, int]]] = [[] for _ in queries]
    for first in range(0, len(rows), 50_000):
        part = rows[first : first + 50_000]
        product = queries @ vectors[part].T
        best = np.argpartition(-product, min(WANTED, len(part) - 1), axis=1)[:, :WANTED]
        for number, row in enumerate(best):
            scores[number] += [(float(product[number, place]), int(part[place])) for place in row]
    return [{row for _, row in sorted(found, reverse=True)[:WANTED]} for found in scores]


def searched(search: Callable[[Array], list[int]], queries: Array, truth: list[set[int]]) -> dict[str, float]:
    """Recall@10 and milliseconds of `search`, one query at a time, after ten that do not count."""
    taken, hits = [], 0
    for query in queries[:10]:
        search(query)
    for query, right in zip(queries, truth, strict=True):
        began = time.perf_counter()
        found = search(query)
        taken.append(1000 * (time.perf_counter() - began))
        hits += len(right & set(found))
    taken.sort()
    return {
        "p50_ms": statistics.median(taken),
        "p99_ms": taken[int(0.99 * (len(taken) - 1))],
        "recall": hits / sum(len(right) for right in truth),
    }


def resident(kind: str = "RssAnon") -> float:
    """MiB of this process's memory: `RssAnon` is its own, `RssFile` the mapped pages that the system may take back."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def size(folder: Path) -> float:
    """MB of the files below `folder`."""
    return sum(path.stat().st_size for path in _files(folder)) / 1e6


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
