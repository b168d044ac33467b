"""One state of an index: what it holds at one revision, and how that is searched. Nothing in it changes any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from athanor.rag.arrays import Matrix, np
from athanor.rag.index import Found
from athanor.rag.vectors.graph import Graph
from athanor.rag.vectors.rows import Columns, Names, Selection, Selections
from athanor.types import View

if TYPE_CHECKING:
    import numpy.typing as npt

    from athanor.rag.vectors.rows import Integers

FEW = 10_000
"""Rows up to which there is no graph. Their product of 384 numbers takes 0.3 ms on two quiet cores and 1 to 2 ms on
busy ones, where that of 20,000 no longer fits the caches: 1.5 ms and 13. The graph takes 0.4 ms at 20,000 rows, and
1.5 s to make at 10,000."""

_FILTERED = 2
"""Times as many rows may be visible under a view and still be searched exactly: the vectors of a view are kept side by
side, the graph would propose mostly hidden ones, and up to here nothing that is hidden can sway what is found."""

_OVERSAMPLING = 4
"""Rows that the graph proposes for each one wanted: its order is that of vectors of one byte a number."""
_PROPOSED = 100
"""At least so many."""
_SPARE = 2
"""Visible rows that the proposals must hold for each one wanted, or more are asked for."""
_MOST = 20_000
"""Proposals beyond which the exact search is the faster one."""

_GATHERED = 32 * 2**20
"""Bytes of vectors kept side by side for one view; larger ones are gathered again by each search."""
_BLOCKS = 64 * 2**20
"""The same for one state of an index."""

_ERROR = 2e-6
"""Above what a float32 product of unit vectors errs by: how far below the last place a candidate may lie."""


@dataclass(slots=True, kw_only=True)
class State:
    """Rows 0 to `count` − 1: those of `base` (usually mapped from a file), then those of `tail` (in memory)."""

    revision: int
    names: Names
    columns: Columns
    base: Matrix
    tail: Matrix
    graph: Graph | None = None
    few: int = FEW
    """As the constant."""
    present: int = field(init=False)
    """Rows that are alive."""
    selections: Selections = field(init=False)
    _gathered: int = field(init=False, default=0, repr=False)

    def __post_init__(self) -> None:
        self.present = int(np.count_nonzero(self.columns.alive))
        self.selections = Selections(self.columns, self.names, self.revision)

    @property
    def count(self) -> int:
        """Rows, the dead ones included."""
        return len(self.base) + len(self.tail)

    @property
    def covered(self) -> int:
        """Rows of the graph; it has the first ones."""
        return 0 if self.graph is None else len(self.graph)

    def with_few(self, few: int) -> State:
        """The same, searched exactly where at most `few` rows are visible."""
        return replace(self, few=few)

    def vectors(self, rows: Integers) -> Matrix:
        """The vectors of `rows`, copied."""
        split = len(self.base)
        if not len(self.tail):
            return self.base[rows]
        if not split:
            return self.tail[rows]
        found = np.empty((len(rows), self.base.shape[1]), dtype=np.float32)
        late = rows >= split
        found[~late] = self.base[rows[~late]]
        found[late] = self.tail[rows[late] - split]
        return found

    def between(self, first: int, end: int) -> Matrix:
        """The vectors of rows `first` to `end` − 1."""
        parts = list(self._parts(first, end))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def search(self, query: Matrix, limit: int, also: Iterable[str], view: View | None) -> Found:
        """As `VectorIndex.search`."""
        chosen = self.selections.of(view, _FILTERED * self.few)
        asked = self._asked(also, chosen)
        if limit < 1 or chosen.count == 0:
            return [], self._scored(query, asked)
        limit = min(limit, chosen.count)
        few = self.few if chosen.mask is None else _FILTERED * self.few
        rows = None if self.graph is None or chosen.count <= few else self._proposed(query, limit, chosen)
        if rows is None:
            rows = self._exact(query, limit, chosen)
        ids = self.names.ids
        scores = self._scored(query, {ids[row]: row for row in rows.tolist()})
        ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
        return ranked, self._scored(query, asked)

    def _asked(self, also: Iterable[str], chosen: Selection) -> dict[str, int]:
        found = {}
        for chunk in also:
            row = self.names.row(chunk, self.count)
            if row is not None and (chosen.mask is None or chosen.mask[row]):
                found[chunk] = row
        return found

    def _scored(self, query: Matrix, rows: dict[str, int]) -> dict[str, float]:
        """Cosines that depend on the two vectors alone: a matrix product rounds differently in different places, and
        so would tell of hidden rows in the last digit."""
        if not rows:
            return {}
        vectors = self.vectors(np.fromiter(rows.values(), dtype=np.int64, count=len(rows)))
        cosines = (vectors * query).sum(axis=1, dtype=np.float64).astype(np.float32)
        return dict(zip(rows, cosines.tolist(), strict=True))

    def _exact(self, query: Matrix, limit: int, chosen: Selection) -> Integers:
        """The rows of the `limit` best, and those that rounding could have kept from being among them."""
        if chosen.mask is None or chosen.rows is None:
            scores = np.concatenate([part @ query for part in self._parts(0, self.count)])
            if chosen.mask is not None:
                scores[~chosen.mask] = -np.inf
            return _best(scores, limit)
        return chosen.rows[_best(self._block(chosen) @ query, limit)]

    def _block(self, chosen: Selection) -> Matrix:
        if chosen.block is not None:
            return chosen.block
        assert chosen.rows is not None
        block = self.vectors(chosen.rows)
        if block.nbytes <= _GATHERED and self._gathered + block.nbytes <= _BLOCKS:
            self._gathered += block.nbytes
            chosen.block = block
        return block

    def _proposed(self, query: Matrix, limit: int, chosen: Selection) -> Integers | None:
        """What the graph proposes and the exact search of the later rows finds; `None` when it does not suffice."""
        assert self.graph is not None
        wanted = max(_PROPOSED, _OVERSAMPLING * limit)
        if chosen.mask is not None:  # as many more as are hidden, on average
            wanted = int(wanted * self.count / chosen.count)
        while wanted <= min(_MOST, self.covered):
            rows = self.graph.search(query, wanted)
            if chosen.mask is not None:
                rows = rows[chosen.mask[rows]]
            if len(rows) >= _SPARE * limit:
                return np.concatenate([rows, self._later(query, limit, chosen)])
            wanted *= 4
        return None

    def _later(self, query: Matrix, limit: int, chosen: Selection) -> Integers:
        """The best of the rows that the graph does not have."""
        first = self.covered
        scores = [part @ query for part in self._parts(first, self.count)]
        if not scores:
            return np.zeros(0, dtype=np.int64)
        joined = np.concatenate(scores)
        if chosen.mask is not None:
            joined[~chosen.mask[first:]] = -np.inf
        return first + _best(joined, limit)

    def _parts(self, first: int, end: int) -> Iterator[Matrix]:
        split = len(self.base)
        if first < split:
            yield self.base[first : min(end, split)]
        if end > split:
            yield self.tail[max(first, split) - split : end - split]


def _best(scores: npt.NDArray[np.float32], limit: int) -> Integers:
    """Where the `limit` largest are, and all that equal the last of them but for rounding; −inf is never among them."""
    if limit >= len(scores):
        return np.flatnonzero(scores > -np.inf)
    last = np.partition(scores, len(scores) - limit)[len(scores) - limit]
    return np.flatnonzero((scores >= last - _ERROR) & (scores > -np.inf))
