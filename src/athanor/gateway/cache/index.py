"""The questions whose answers are kept, as vectors in memory: few enough to compare with all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from athanor.gateway.cache.agree import Signature, agree
from athanor.rag.arrays import Matrix, np

LIMIT = 8192
"""Questions, at most: 12 MiB of vectors of 384 dimensions. The oldest go first."""
_FIRST_ROWS = 4


_Place = tuple[bytes, Signature]


@dataclass(slots=True)
class _Item:
    key: bytes
    place: _Place
    words: Signature
    """Its own signature: that of its place is equal to it, but may be of other words."""
    row: int


@dataclass(slots=True)
class _Group:
    """Questions that differ in nothing but their wording. Row i of `matrix` belongs to item i."""

    matrix: Matrix
    items: list[_Item] = field(default_factory=list)


class QuestionIndex:
    """Nearest questions by cosine, among those with the same key of everything else and an equal signature."""

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._items: OrderedDict[bytes, _Item] = OrderedDict()
        self._groups: dict[_Place, _Group] = {}

    def __len__(self) -> int:
        return len(self._items)

    def add(self, partition: bytes, key: bytes, vector: Matrix, signature: Signature) -> None:
        """Keep a question under the key of its answer. `vector` has unit length."""
        self.remove(key)
        place = (partition, signature)
        group = self._groups.get(place)
        if group is None:
            group = self._groups[place] = _Group(np.empty((_FIRST_ROWS, len(vector)), dtype=np.float32))
        row = len(group.items)
        if row == len(group.matrix):
            group.matrix = np.concatenate([group.matrix, np.empty_like(group.matrix)])
        group.matrix[row] = vector
        item = self._items[key] = _Item(key, place, signature, row)
        group.items.append(item)
        while len(self._items) > self._limit:
            self.remove(next(iter(self._items)))

    def remove(self, key: bytes) -> None:
        """Forget a question, if it is there."""
        item = self._items.pop(key, None)
        if item is None:
            return
        group = self._groups[item.place]
        last = group.items.pop()
        if last is not item:  # the last one moves into the gap
            group.items[item.row] = last
            group.matrix[item.row] = group.matrix[last.row]
            last.row = item.row
        if not group.items:
            del self._groups[item.place]

    def knows(self, partition: bytes, signature: Signature) -> bool:
        """Is there any question that may agree? Without one, no vector need be computed."""
        return (partition, signature) in self._groups

    def nearest(
        self,
        partition: bytes,
        vector: Matrix,
        signature: Signature,
        *,
        least: float,
        usable: Callable[[bytes], bool],
    ) -> tuple[bytes, float] | None:
        """Key and cosine of the nearest question whose words agree and whose answer is `usable`; None under `least`."""
        group = self._groups.get((partition, signature))
        if group is None:
            return None
        similarities = group.matrix[: len(group.items)] @ vector
        for row in np.argsort(-similarities).tolist():
            similarity = float(similarities[row])
            if similarity < least:
                return None
            item = group.items[row]
            if agree(item.words, signature) and usable(item.key):
                return item.key, min(1.0, similarity)
        return None
