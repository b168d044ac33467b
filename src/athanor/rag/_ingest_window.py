"""What was read and waits for its embedding: bounded by its chunks, given out in groups."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

import anyio


class Weighed(Protocol):
    """Something that counts as so much."""

    @property
    def weight(self) -> int: ...


W = TypeVar("W", bound=Weighed)


class Window(Generic[W]):
    """Lets a reader run ahead of those who take groups, but only so far. Tasks of one event loop share it."""

    def __init__(self, *, group: int, most: int) -> None:
        """An empty window.

        Args:
            group: weight that a group reaches while there is something else to do.
            most: weight from which on no more is taken in; the last one in may weigh anything.
        """
        self._group = group
        self._most = most
        self._waiting: deque[W] = deque()
        self._weight = 0
        self._busy = 0
        self._closed = False
        self._changed = anyio.Condition()

    async def put(self, item: W) -> None:
        """Add one, once there is room."""
        async with self._changed:
            while self._weight >= self._most:
                await self._changed.wait()
            self._waiting.append(item)
            self._weight += item.weight
            self._changed.notify_all()

    async def close(self) -> None:
        """No more will come."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def take(self) -> list[W]:
        """The next group; empty once all were taken and no more will come. Whoever takes one says `done` after it.

        A group is as large as the window was made for, and smaller where there is no more, or where nobody would work
        while it fills.
        """
        async with self._changed:
            while not (self._closed or self._weight >= self._group or (self._waiting and not self._busy)):
                await self._changed.wait()
            group: list[W] = []
            weight = 0
            while self._waiting and weight < self._group:
                weight += self._waiting[0].weight
                group.append(self._waiting.popleft())
            self._weight -= weight
            if group:
                self._busy += 1
                self._changed.notify_all()
            return group

    async def done(self) -> None:
        """A group that was taken is finished."""
        async with self._changed:
            self._busy -= 1
            self._changed.notify_all()
