"""Do not wait for a slow model: ask a second one too, and take whoever speaks first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import anyio

from athanor.engines.wrappers.base import speaks
from athanor.engines.wrappers.failures import bill
from athanor.engines.wrappers.fallback import Candidate, Failures, FallbackEngine, Order
from athanor.errors import AthanorError, EngineError
from athanor.types import NO_USAGE, Context, Event, Profile, Request, Usage

_Item = Event | Exception | None
"""What a runner hands over: an event, the error that ended it, or its end."""


@dataclass(slots=True, eq=False)
class _Runner:
    """One model's stream, read in a task of its own from its first event to its last.

    Streams hold timeouts and cancel scopes, which must be left in the task that entered them; so a stream is never
    begun in one task and read on in another.
    """

    candidate: Candidate
    unread: Usage = NO_USAGE
    """Of what it has produced and nobody has read."""
    dropped: tuple[str, ...] = ()
    """What was left out of the request for it."""
    task: asyncio.Task[None] = field(init=False)
    head: asyncio.Task[_Item] = field(init=False)
    """Its first item."""
    _items: list[_Item] = field(default_factory=list)
    _arrived: asyncio.Future[None] | None = None
    _wanted: asyncio.Future[None] | None = None

    def begin(self, request: Request, ctx: Context) -> None:
        request, self.dropped = self.candidate.adapt(request)
        self.task = asyncio.create_task(self._pump(request, ctx))
        self.head = asyncio.create_task(self.next())

    async def next(self) -> _Item:
        """The next item. Only now is it asked for: whoever reads ahead makes the caller pay for it."""
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)
        if not self._items:
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self._items.pop(0)

    def _put(self, item: _Item) -> None:
        self._items.append(item)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def _pump(self, request: Request, ctx: Context) -> None:
        begun = False
        try:
            async with aclosing(self.candidate.engine.run(request, ctx)) as events:
                async for event in events:
                    self.unread = event.usage if self.unread is NO_USAGE else self.unread + event.usage
                    begun = begun or speaks(event)
                    if begun:
                        self._wanted = asyncio.get_running_loop().create_future()
                        self._put(event)
                        await self._wanted
            self._put(None)
        except Exception as error:
            self._put(error)
        except asyncio.CancelledError:
            # Not by `stop`, perhaps: then somebody waits for what comes next.
            self._put(EngineError("The model's work was cancelled.", where=self.candidate.name))
            raise

    def read(self) -> Usage:
        """Of what was not read so far; it is, from now on."""
        found, self.unread = self.unread, NO_USAGE
        return found

    def stop(self) -> None:
        self.head.cancel()
        self.task.cancel()


class HedgeEngine(FallbackEngine):
    """A `FallbackEngine` that asks the next model too when the first has said nothing for `after` seconds.

    Two models work at once, at most. The one that is not taken is closed; what it had produced by then is billed.
    A model that answers in one piece (`stream` False) says nothing before its end, so a hedge costs more there.

    Args:
        after: seconds.
    """

    def __init__(self, order: Order, profile: Callable[[], Profile], *, after: float, total: float = 600.0) -> None:
        super().__init__(order, profile, total=total)
        self._after = after

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        failures = Failures()
        runners: list[_Runner] = []
        try:
            winner = await self._race(request, ctx, runners, failures)
            for loser in (runner for runner in runners if runner is not winner):
                loser.stop()
                failures.owed += loser.read()
            winner.candidate.answers(ctx, winner.dropped)
            item = winner.head.result()
            while item is not None:
                if isinstance(item, Exception):
                    raise item
                # With the first event go the reports of usage before it.
                usage = winner.read()
                yield failures.charge(item if usage is item.usage else replace(item, usage=usage))
                item = await winner.next()
        except asyncio.CancelledError as error:
            bill(error, sum((runner.unread for runner in runners), failures.owed))
            raise
        finally:
            await _close(runners)

    async def _race(self, request: Request, ctx: Context, running: list[_Runner], failures: Failures) -> _Runner:
        """Whoever speaks first. `running` holds everyone that was begun and has not failed."""
        waiting = deque(await self._order(request, ctx))
        now = asyncio.get_running_loop().time
        deadline = now() + self._total
        hedged = False

        def begin() -> bool:
            while waiting:
                candidate = waiting.popleft()
                if not failures.rules_out(candidate):
                    runner = _Runner(candidate)
                    runner.begin(request, ctx)
                    running.append(runner)
                    return True
            return False

        while running or begin():
            alone = not hedged and len(running) == 1 and bool(waiting)
            left = deadline - now()
            pause = min(self._after, left) if alone else left
            heads = [runner.head for runner in running]
            done, _ = await asyncio.wait(heads, timeout=max(0.0, pause), return_when=asyncio.FIRST_COMPLETED)
            for runner in [runner for runner in running if runner.head in done]:
                item = runner.head.result()
                if item is not None and not isinstance(item, Exception):
                    return runner
                running.remove(runner)
                failures.owed += runner.read()
                if item is None:
                    continue
                if not isinstance(item, AthanorError):
                    raise item
                failures.add(runner.candidate, item, last=not running)
            if not done and now() >= deadline:
                late = self._late()
                bill(late, sum((runner.read() for runner in running), failures.owed))
                raise late
            if not done and alone:
                hedged = begin()
        raise failures.worst()


async def _close(runners: Iterable[_Runner]) -> None:
    """End all tasks, and wait for it even where we are being cancelled ourselves: connections hang on them."""
    for runner in runners:
        runner.stop()
    tasks = [task for runner in runners for task in (runner.task, runner.head)]
    if tasks:
        with anyio.CancelScope(shield=True):
            await asyncio.wait(tasks)
