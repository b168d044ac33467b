"""What an index knows of its rows besides their vectors, and which of them one view leaves."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from athanor.rag.arrays import Matrix, np
from athanor.types import View

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

_KEPT = 32
"""Selections kept for one state of an index; each is one byte for each row."""


class Names:
    """Ids by row and rows by id. Rows are only ever added, so that an older state of the index stays readable.

    A chunk whose vector is replaced gets a new row; its older row is found through `rows_of`.
    """

    def __init__(self, ids: Iterable[str] = (), documents: Iterable[str] = ()) -> None:
        self.ids: list[str] = list(ids)
        self.newest: dict[str, int] = {}
        self.older: dict[int, int] = {}
        """Row → the row that the same chunk had before."""
        self.documents: list[str] = list(documents)
        self.numbers: dict[str, int] = {document: number for number, document in enumerate(self.documents)}
        """Of documents, as rows carry them."""
        for row, chunk in enumerate(self.ids):
            self._point(chunk, row)

    def add(self, ids: list[str]) -> None:
        """Give the next rows to `ids`."""
        for chunk in ids:
            self.ids.append(chunk)
            self._point(chunk, len(self.ids) - 1)

    def number(self, document: str) -> int:
        """The number of `document`, given to it now where it is new."""
        found = self.numbers.get(document)
        if found is None:
            found = len(self.documents)
            self.documents.append(document)
            self.numbers[document] = found
        return found

    def row(self, chunk: str, count: int) -> int | None:
        """The row of `chunk` in a state of the index that has `count` rows."""
        row = self.newest.get(chunk)
        while row is not None and row >= count:
            row = self.older.get(row)
        return row

    def _point(self, chunk: str, row: int) -> None:
        before = self.newest.get(chunk)
        if before is not None:
            self.older[row] = before
        self.newest[chunk] = row


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """For each row: is it there still, who may read it, whose passage it is, when it changed last."""

    alive: Mask
    classes: Integers
    documents: Integers
    """Numbers given by `Names`."""
    revisions: Integers

    @classmethod
    def empty(cls) -> Columns:
        """Of no rows."""
        none = np.zeros(0, dtype=np.int64)
        return cls(alive=np.zeros(0, dtype=np.bool_), classes=none, documents=none, revisions=none)

    def grown(self, classes: list[int], documents: list[int], revision: int) -> Columns:
        """A copy with rows added, which its maker may change until it is published."""
        count = len(classes)

        def longer(old: Integers, new: list[int]) -> Integers:
            return np.concatenate([old, np.array(new, dtype=np.int64)])

        return Columns(
            alive=np.concatenate([self.alive, np.ones(count, dtype=np.bool_)]),
            classes=longer(self.classes, classes),
            documents=longer(self.documents, documents),
            revisions=longer(self.revisions, [revision] * count),
        )

    def taken(self, rows: Integers) -> Columns:
        """Of `rows` only, in their order."""
        return Columns(
            alive=self.alive[rows],
            classes=self.classes[rows],
            documents=self.documents[rows],
            revisions=self.revisions[rows],
        )


@dataclass(slots=True, kw_only=True)
class Selection:
    """The rows that may be found."""

    count: int
    mask: Mask | None
    """By row; `None` when it is all of them."""
    rows: Integers | None = None
    """The same in ascending order, where they are few."""
    block: Matrix | None = None
    """Their vectors, side by side, once they have been searched."""


class Selections:
    """The selections of one state of an index, by view; the oldest unused are forgotten."""

    def __init__(self, columns: Columns, names: Names, revision: int) -> None:
        self._columns = columns
        self._names = names
        self._revision = revision
        self._newest = int(columns.revisions.max()) if len(columns.revisions) else 0
        self._made: OrderedDict[object, Selection] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, view: View | None, few: int) -> Selection:
        """The rows that `view` leaves, listed when they are at most `few`. Raises ValueError as `VectorIndex`."""
        since: int | None = None
        if view is not None:
            if view.revision > self._revision:
                raise ValueError(f"The view is of revision {view.revision}, and the index of {self._revision}.")
            since = view.revision if view.revision < self._newest else None
        key = None if view is None else (view.classes, view.documents, since)
        with self._lock:
            found = self._made.get(key)
            if found is not None:
                self._made.move_to_end(key)
                return found
        found = self._make(view, since, few)
        with self._lock:
            self._made[key] = found
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return found

    def _make(self, view: View | None, since: int | None, few: int) -> Selection:
        columns = self._columns
        mask = columns.alive
        if view is not None and view.classes is not None:
            mask = mask & np.isin(columns.classes, np.array(sorted(view.classes), dtype=np.int64))
        if view is not None and view.documents is not None:
            left = np.zeros(len(self._names.documents), dtype=np.bool_)
            numbers = self._names.numbers
            left[[numbers[document] for document in view.documents if document in numbers]] = True
            mask = mask & left[columns.documents]
        if since is not None:
            mask = mask & (columns.revisions <= since)
        count = int(np.count_nonzero(mask))
        rows = np.flatnonzero(mask) if count <= few else None
        return Selection(count=count, mask=None if count == len(mask) else mask, rows=rows)
