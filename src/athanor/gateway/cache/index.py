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


@dataclass(slots=True)
class _Item:
    key: bytes
    partition: bytes
    signature: Signature
    row: int


@dataclass(slots=True)
class _Partition:
    """Questions that differ in nothing but their wording. Row i of `matrix` belongs to item i."""

    matrix: Matrix
    items: list[_Item] = field(default_factory=list)


class QuestionIndex:
    """Nearest questions by cosine, within one partition (the same key of everything else)."""

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._items: OrderedDict[bytes, _Item] = OrderedDict()
        self._partitions: dict[bytes, _Partition] = {}

    def __len__(self) -> int:
        return len(self._items)

    def add(self, partition: bytes, key: bytes, vector: Matrix, signature: Signature) -> None:
        """Keep a question under the key of its answer. `vector` has unit length."""
        self.remove(key)
        part = self._partitions.get(partition)
        if part is None:
            part = self._partitions[partition] = _Partition(np.empty((_FIRST_ROWS, len(vector)), dtype=np.float32))
        row = len(part.items)
        if row == len(part.matrix):
            part.matrix = np.concatenate([part.matrix, np.empty_like(part.matrix)])
        part.matrix[row] = vector
        item = _Item(key, partition, signature, row)
        part.items.append(item)
        self._items[key] = item
        while len(self._items) > self._limit:
            self.remove(next(iter(self._items)))

    def remove(self, key: bytes) -> None:
        """Forget a question, if it is there."""
        item = self._items.pop(key, None)
        if item is None:
            return
        part = self._partitions[item.partition]
        last = part.items.pop()
        if last is not item:  # the last one moves into the gap
            part.items[item.row] = last
            part.matrix[item.row] = part.matrix[last.row]
            last.row = item.row
        if not part.items:
            del self._partitions[item.partition]

    def agrees(self, partition: bytes, signature: Signature) -> bool:
        """Is there any question whose words agree? Without one, no vector need be computed."""
        part = self._partitions.get(partition)
        return part is not None and any(agree(item.signature, signature) for item in part.items)

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
        part = self._partitions.get(partition)
        if part is None:
            return None
        similarities = part.matrix[: len(part.items)] @ vector
        for row in np.argsort(-similarities).tolist():
            similarity = float(similarities[row])
            if similarity < least:
                return None
            item = part.items[row]
            if agree(item.signature, signature) and usable(item.key):
                return item.key, min(1.0, similarity)
        return None
