"""The index of one knowledge base: brought forward by changes while it is searched.

Searches read one state, which never changes, and take no lock. A change makes the next state from it: new rows go
into memory behind the old ones, dead rows are marked in a copy of the columns. When the rows that the graph does not
have grow many, `merge` makes a larger graph beside the running searches, and only then changes the state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from athanor.rag.arrays import Matrix, np
from athanor.rag.index import Found, decode
from athanor.rag.vectors.files import Folder
from athanor.rag.vectors.graph import Graph
from athanor.rag.vectors.rows import Columns, Names
from athanor.rag.vectors.state import FEW, State
from athanor.types import VectorChanges, View

if TYPE_CHECKING:
    from athanor.rag.vectors.rows import Integers

LATER = 4096
"""Rows outside the graph before it is extended, and for every 64 rows inside one more: their product costs up to 1 ms,
and rewriting the files costs 2 kB for each row of the base."""
_DEAD = 4096
"""Dead rows before the index is made anew without them, if they are a quarter of all."""
_FIRST = 256
"""Rows of the first allocation in memory; it doubles from there."""
_PART = 16_384
"""Rows written to a file at once."""


class StaleError(Exception):
    """The index cannot be brought forward: the base is not what it was made from."""


class LiveIndex:
    """Satisfies `VectorIndex`. Threads may search and apply at once."""

    def __init__(self, dimension: int, folder: Folder | None = None, *, few: int = FEW, later: int = LATER) -> None:
        """An empty index, which keeps files in `folder` once it has a graph.

        Args:
            few: rows up to which there is no graph.
            later: rows outside the graph, see `LATER`.
        """
        self.dimension = dimension
        self._folder = folder
        self._few = few
        self._later = later
        self._writing = threading.Lock()
        self._merging = threading.Lock()
        self._buffer: Matrix = np.zeros((0, dimension), dtype=np.float32)
        self._state = State(
            revision=0, names=Names(), columns=Columns.empty(), base=self._buffer, tail=self._buffer, few=few
        )

    @classmethod
    def open(cls, dimension: int, folder: Folder, *, few: int = FEW, later: int = LATER) -> LiveIndex | None:
        """The index as its files have it, at their revision; `None` where there are none that are whole."""
        opened = folder.open(dimension)
        if opened is None:
            return None
        index = cls(dimension, folder, few=few, later=later)
        index._state = State(
            revision=opened.manifest.revision,
            names=opened.names,
            columns=opened.columns,
            base=opened.vectors,
            tail=index._buffer,
            graph=opened.graph,
            few=few,
        )
        return index

    @property
    def revision(self) -> int:
        """Of the knowledge base that this index equals."""
        return self._state.revision

    @property
    def state(self) -> State:
        """What searches read now."""
        return self._state

    def __len__(self) -> int:
        return self._state.present

    def __contains__(self, chunk: object) -> bool:
        state = self._state
        row = state.names.row(str(chunk), state.count)
        return row is not None and bool(state.columns.alive[row])

    def search(self, query: Matrix, limit: int, also: Iterable[str] = (), view: View | None = None) -> Found:
        """As `VectorIndex.search`."""
        return self._state.search(query, limit, also, view)

    def apply(self, changes: VectorChanges, *, thorough: bool = False) -> None:
        """Bring the index to `changes.revision`: add, replace, change access, drop what is no longer present.

        Args:
            thorough: compare all ids, not only their number.

        Raises:
            StaleError: what is present afterwards is not what the index has; it is as before then.
        """
        with self._writing:
            self._state = self._changed(self._state, changes, thorough)

    @property
    def overdue(self) -> bool:
        """Should `merge` be called."""
        state = self._state
        outside = state.count - state.covered
        if state.graph is None:
            return state.present > self._few
        return outside > self._later + state.count // 64 or _wasteful(state)

    def merge(self, *, stopped: Callable[[], bool] = bool, threads: int | None = None) -> None:
        """Take all rows into the graph, without the dead ones where they are many, and write the files.

        Searches and changes go on meanwhile.

        Raises:
            Stopped: `stopped` said so, which is asked now and then; nothing has changed then.
            OSError: the files could not be written; nothing has changed then.
        """
        with self._merging:
            then = self._state
            if not then.count:
                return
            rows = np.flatnonzero(then.columns.alive) if _wasteful(then) else None
            graph, base = self._merged(then, rows, stopped, threads)
            with self._writing:
                self._state = self._rebased(self._state, then.count, rows, base, graph)

    def _merged(
        self, then: State, rows: Integers | None, stopped: Callable[[], bool], threads: int | None
    ) -> tuple[Graph, Matrix]:
        """The graph and the vectors of all rows of `then`, or of `rows` only."""

        def vectors(first: int, end: int) -> Matrix:
            return then.between(first, end) if rows is None else then.vectors(rows[first:end])

        count = then.count if rows is None else len(rows)
        if then.graph is None or rows is not None:
            graph = Graph.build(vectors, count, self.dimension, stopped=stopped, threads=threads)
        else:
            graph = then.graph.extended(vectors, count, stopped=stopped, threads=threads)
        if self._folder is None:
            return graph, vectors(0, count)
        columns = then.columns if rows is None else then.columns.taken(rows)
        ids = then.names.ids[: then.count] if rows is None else [then.names.ids[row] for row in rows.tolist()]
        parts = (vectors(first, min(count, first + _PART)) for first in range(0, count, _PART))
        base, graph = self._folder.write(
            parts, graph, columns, ids=ids, documents=list(then.names.documents), revision=then.revision
        )
        return graph, base

    def _rebased(self, now: State, count: int, rows: Integers | None, base: Matrix, graph: Graph) -> State:
        """`now` with its first `count` rows in `base` and `graph`."""
        late = np.arange(count, now.count)
        names, columns = now.names, now.columns
        self._buffer = now.vectors(late)
        if rows is not None:
            kept = np.concatenate([rows, late])
            columns = columns.taken(kept)
            names = Names([now.names.ids[row] for row in kept.tolist()], now.names.documents)
        return State(
            revision=now.revision,
            names=names,
            columns=columns,
            base=base,
            tail=self._buffer,
            graph=graph,
            few=self._few,
        )

    def _changed(self, state: State, changes: VectorChanges, thorough: bool) -> State:
        added = changes.added
        vectors = decode(changes.matrix, self.dimension)
        documents = changes.documents or ("",) * len(added)
        classes = changes.classes or (0,) * len(added)
        if not len(added) == len(vectors) == len(documents) == len(classes):
            raise ValueError(f"{len(added)} ids came with {len(vectors)} vectors and {len(documents)} documents")
        numbers = [state.names.number(document) for document in documents]
        old = [self._row(state, chunk) for chunk in added]
        same = _same(state, old, vectors)
        fresh = [place for place in range(len(added)) if place not in same]
        columns = state.columns.grown(
            [classes[place] for place in fresh], [numbers[place] for place in fresh], changes.revision
        )
        for place, row in enumerate(old):
            if place in same:
                assert row is not None
                columns.classes[row], columns.documents[row] = classes[place], numbers[place]
                columns.revisions[row] = changes.revision
            elif row is not None:
                columns.alive[row] = False
        self._bury(state, columns, changes, thorough)
        tail = self._appended(state, vectors, fresh)
        state.names.add([added[place] for place in fresh])
        return State(
            revision=changes.revision,
            names=state.names,
            columns=columns,
            base=state.base,
            tail=tail,
            graph=state.graph,
            few=self._few,
        )

    @staticmethod
    def _row(state: State, chunk: str) -> int | None:
        row = state.names.row(chunk, state.count)
        return row if row is not None and state.columns.alive[row] else None

    @staticmethod
    def _bury(state: State, columns: Columns, changes: VectorChanges, thorough: bool) -> None:
        """Mark the rows of chunks that are not present any more."""
        # Everything present was here before or came now: with equal numbers, nothing has gone.
        count = len(changes.present)
        if thorough or int(np.count_nonzero(columns.alive)) != count:
            present = set(changes.present)
            ids = state.names.ids
            for row in np.flatnonzero(columns.alive[: state.count]).tolist():
                if ids[row] not in present:
                    columns.alive[row] = False
        if (left := int(np.count_nonzero(columns.alive))) != count:
            raise StaleError(f"The base has {count} chunks, and {left} of them are in the index.")

    def _appended(self, state: State, vectors: Matrix, fresh: list[int]) -> Matrix:
        """The tail with the `fresh` ones of `vectors` behind it. Older states share its memory and see less of it."""
        held, needed = len(state.tail), len(state.tail) + len(fresh)
        if not held and len(fresh) == len(vectors):
            self._buffer = vectors  # a whole base at once: not copied
        elif fresh:
            if needed > len(self._buffer):
                grown = np.empty((max(_FIRST, needed, 2 * held), self.dimension), dtype=np.float32)
                grown[:held] = state.tail
                self._buffer = grown
            self._buffer[held:needed] = vectors[fresh]
        return self._buffer[:needed]


def _same(state: State, rows: list[int | None], vectors: Matrix) -> set[int]:
    """The places in `rows` whose vector is the one that the row has already: only what is said of it changed."""
    known = [place for place, row in enumerate(rows) if row is not None]
    if not known:
        return set()
    held = state.vectors(np.array([rows[place] for place in known], dtype=np.int64))
    equal = (held == vectors[known]).all(axis=1)
    return {place for place, yes in zip(known, equal.tolist(), strict=True) if yes}


def _wasteful(state: State) -> bool:
    dead = state.count - state.present
    return state.graph is not None and dead > max(_DEAD, state.count // 4)
