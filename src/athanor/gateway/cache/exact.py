"""Answers in memory: bounded in bytes, the least used go first, and none outlives its time."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from athanor.types import Cited, Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta

_LARGEST = 4
"""An answer over 1/4 of the memory is not kept: it would drive too many others out."""
_EVENT_BYTES = 160
_ENTRY_BYTES = 600
_LOGPROB_BYTES = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A complete answer as it was streamed, without usage."""

    route: str
    events: tuple[Event, ...]
    target: str
    """The model that gave it; empty where that is the one that was asked."""
    dropped: tuple[str, ...]
    """Parameters that this model did not get."""
    cost: float
    """US dollars: what it cost when it was made, and what every hit saves."""
    born: float
    """On the cache's clock, in seconds."""
    size: int
    """Bytes in memory, nearly."""

    def text(self) -> str:
        """Everything it says."""
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))


class Answers:
    """Key → answer.

    Args:
        limit: bytes for all answers.
        ttl: seconds that each is kept.
        clock: seconds that never go back.
    """

    def __init__(self, *, limit: int, ttl: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._swept = clock()
        self.bytes = 0
        self.counts: Counter[str] = Counter()
        """Route → answers."""
        self.sizes: Counter[str] = Counter()
        """Route → bytes."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, *, max_age: float | None = None) -> Entry | None:
        """The answer under `key`, if it is not older than `max_age` seconds; it is then the last to be driven out."""
        entry = self.peek(key, max_age=max_age)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def peek(self, key: bytes, *, max_age: float | None = None) -> Entry | None:
        """As `get`, but it counts as no use."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        age = self._clock() - entry.born
        if age >= self._ttl:
            self.remove(key)
            return None
        return None if max_age is not None and age >= max_age else entry

    def put(self, key: bytes, entry: Entry) -> bool:
        """Keep `entry`, in place of what was there; False where it is too large to be kept."""
        if key in self._entries:
            self.remove(key)
        if entry.size > self._limit // _LARGEST:
            return False
        self._sweep()
        self._entries[key] = entry
        self._count(entry, 1)
        while self.bytes > self._limit:
            self._count(self._entries.popitem(last=False)[1], -1)
        return True

    def remove(self, key: bytes) -> None:
        """Forget what is under `key`, if there is anything."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._count(entry, -1)

    def entries(self) -> list[Entry]:
        """All answers at this moment; another thread may ask."""
        return list(self._entries.values())

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.bytes = 0
        self.counts.clear()
        self.sizes.clear()

    def _count(self, entry: Entry, sign: int) -> None:
        self.bytes += sign * entry.size
        self.counts[entry.route] += sign
        self.sizes[entry.route] += sign * entry.size

    def _sweep(self) -> None:
        """Forget what is too old, four times in a lifetime: it would else hold memory until it is asked for."""
        now = self._clock()
        if now - self._swept < self._ttl / 4:
            return
        self._swept = now
        for key in [key for key, entry in self._entries.items() if now - entry.born >= self._ttl]:
            self.remove(key)


def size_of(events: tuple[Event, ...]) -> int:
    """Bytes that the events take, nearly: strings exactly, objects by what they were measured to take."""
    total = _ENTRY_BYTES + _EVENT_BYTES * len(events)
    for event in events:
        if isinstance(event, TextDelta):
            total += sys.getsizeof(event.text)
            total += sum(_LOGPROB_BYTES + 2 * _LOGPROB_BYTES // 3 * len(token.top) for token in event.logprobs)
        elif isinstance(event, ReasoningDelta):
            total += sys.getsizeof(event.text) + len(event.signature or "")
        elif isinstance(event, ToolCallDelta):
            total += sys.getsizeof(event.arguments) + len(event.signature or "") + 120
        elif hasattr(event, "citation"):
            total += 800 + sys.getsizeof(event.citation.quote)
    return total


def cites(events: Iterable[Event], documents: Collection[str]) -> bool:
    """Does an answer quote one of these documents (by id): as its source, or as what came nearest."""
    for event in events:
        if isinstance(event, Cited) and event.citation.document in documents:
            return True
        if isinstance(event, Finished) and any(near.document in documents for near in event.nearest):
            return True
    return False
