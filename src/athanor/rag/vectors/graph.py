"""The approximate part of an index: an HNSW graph (usearch) over vectors of one byte a number.

It only proposes rows; their cosines are always taken from the float32 vectors. A graph never changes once it is in
use: rows that came later are searched exactly beside it, and `extended` makes the next one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from athanor.plugins import require
from athanor.rag.arrays import Matrix, np

if TYPE_CHECKING:
    from athanor.rag.vectors.rows import Integers

CONNECTIVITY = 16
EXPANSION_ADD = 128
EXPANSION_SEARCH = 256
"""A million × 384, recall@10 after rescoring 100 candidates and p50 of the search: 128 .973, 0.9 ms; 192 .983, 1.0 ms;
256 .983, 1.5 ms; 384 .988, 1.7 ms; 512 .993, 2.4 ms; rescoring more gains nothing. f16 and bf16 take twice the memory
and time, and rescoring leaves them nothing to gain."""
_STEP = 4096
"""Rows added between two looks at whether to stop."""


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The work was given up because its owner closes."""


def _never() -> bool:
    return False


class Graph:
    """Rows 0 to `len(graph)` − 1 of an index, as an immutable graph."""

    def __init__(self, index: Any) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    @property
    def memory(self) -> int:
        """Bytes, whether in memory or mapped."""
        return int(self._index.memory_usage)

    @classmethod
    def build(cls, vectors: Callable[[int, int], Matrix], count: int, dimension: int, **options: Any) -> Graph:
        """Of rows 0 to `count` − 1; `vectors(first, end)` gives them. Options as in `extended`."""
        usearch = require("usearch.index", extra="knowledge")
        index = usearch.Index(
            ndim=dimension,
            metric="ip",
            dtype="i8",
            connectivity=CONNECTIVITY,
            expansion_add=EXPANSION_ADD,
            expansion_search=EXPANSION_SEARCH,
        )
        return _grow(index, vectors, count, **options)

    def extended(self, vectors: Callable[[int, int], Matrix], count: int, **options: Any) -> Graph:
        """A new graph with rows up to `count` − 1 added; this one stays as it is.

        Options: `threads` that work at it, and `stopped()`, asked now and then.

        Raises:
            Stopped: `stopped` said so.
        """
        return _grow(self._index.copy(), vectors, count, **options)

    def search(self, query: Matrix, count: int) -> Integers:
        """About the `count` nearest rows, nearest first."""
        found: Integers = self._index.search(query, count, threads=1).keys.astype(np.int64)
        return found

    def save(self, path: Path) -> None:
        """Write to `path`."""
        self._index.save(str(path))

    @classmethod
    def open(cls, path: Path, dimension: int) -> Graph:
        """Map the file at `path`; its pages are read when they are used.

        Raises:
            ValueError: it is not such a graph.
        """
        usearch = require("usearch.index", extra="knowledge")
        try:
            index = usearch.Index.restore(str(path), view=True)
        except RuntimeError as error:
            raise ValueError(f"{path.name} cannot be read: {error}") from error
        if index is None or index.ndim != dimension:
            raise ValueError(f"{path.name} is not a graph of dimension {dimension}")
        index.expansion_search = EXPANSION_SEARCH
        index.expansion_add = EXPANSION_ADD
        return cls(index)


def _grow(
    index: Any,
    vectors: Callable[[int, int], Matrix],
    count: int,
    *,
    threads: int | None = None,
    stopped: Callable[[], bool] = _never,
) -> Graph:
    threads = threads or max(1, (os.cpu_count() or 1) // 2)
    for first in range(len(index), count, _STEP):
        if stopped():
            raise Stopped
        end = min(count, first + _STEP)
        index.add(np.arange(first, end, dtype=np.uint64), np.ascontiguousarray(vectors(first, end)), threads=threads)
    return Graph(index)
