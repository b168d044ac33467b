"""Single flight: identical requests at the same time are one call, and each of them may leave."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing
from dataclasses import replace
from typing import Any

import anyio

from athanor.engines import Engine
from athanor.engines.wrappers import bill, spent
from athanor.errors import EngineUnavailableError
from athanor.types import NO_USAGE, Context, Event, Finished, Request, SpanHandle, Usage

log = logging.getLogger(__name__)

AHEAD = 16
"""Events without usage that may wait for a reader: to hand over each of them costs more than to hold it."""
_PATIENCE = 5.0
"""Seconds that the last reader waits for an engine to stop."""


class Noted:
    """The span of a request, which also remembers what the engine says there: who answers, and without what."""

    __slots__ = ("_span", "dropped", "target")

    def __init__(self, span: SpanHandle) -> None:
        self._span = span
        self.target = ""
        self.dropped: tuple[str, ...] = ()

    def child(self, name: str, **attributes: Any) -> AbstractContextManager[SpanHandle]:
        return self._span.child(name, **attributes)

    def set(self, **attributes: Any) -> None:
        self.target = attributes.get("target", self.target)
        self.dropped = tuple(attributes.get("dropped", self.dropped))
        self._span.set(**attributes)


class Flight:
    """One run of an engine that many read.

    The engine runs in a task of its own, because the request that began it may be cancelled while others still read.
    While events have usage, it is asked for the next only when a reader wants it, as if the reader ran it: nothing is
    spent for nobody. Whoever gets an event first pays for it, so the usage of all readers adds up to that of the run.

    Args:
        ended: called with all events, and what the engine noted, as soon as the answer is finished.
        left: called when there is nothing to join any more.
    """

    def __init__(
        self,
        engine: Engine,
        request: Request,
        ctx: Context,
        *,
        ended: Callable[[list[Event], Noted], None],
        left: Callable[[], None],
    ) -> None:
        self.noted = Noted(ctx.span)
        self._events: list[Event] = []
        self._paid = 0
        self._readers = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._demand: asyncio.Future[None] | None = None
        self._over = False
        self._error: Exception | None = None
        self._billed = False
        """Has anybody paid for what the error says was spent."""
        self._ended = ended
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(
            self._run(engine, request, replace(ctx, span=self.noted)), name="cache flight"
        )

    @property
    def cost(self) -> float:
        """US dollars so far."""
        return sum(event.usage.cost for event in self._events)

    async def read(self) -> AsyncGenerator[Event, None]:
        """All events from the first on. The error that ends the run is raised to every reader.

        The last reader to leave before the end stops the engine.
        """
        self._readers += 1
        at = 0
        try:
            while True:
                while at < len(self._events):
                    event = self._events[at]
                    if at == self._paid:
                        self._paid += 1
                    elif event.usage is not NO_USAGE:
                        event = replace(event, usage=NO_USAGE)
                    at += 1
                    yield event
                if self._over:
                    break
                await self._next()
            if self._error is not None:
                raise self._failure(self._error)
        except BaseException as leaving:
            await self._leave()
            if not self._readers:
                bill(leaving, self._unpaid())
            raise
        else:
            await self._leave()

    async def _next(self) -> None:
        """Wait until there is another event, or an end."""
        if self._demand is not None and not self._demand.done():
            self._demand.set_result(None)
        wanted = self._loop.create_future()
        self._waiting.append(wanted)
        await wanted

    async def _run(self, engine: Engine, request: Request, ctx: Context) -> None:
        try:
            async with aclosing(engine.run(request, ctx)) as events:
                async for event in events:
                    self._events.append(event)
                    if isinstance(event, Finished):
                        self._ended(self._events, self.noted)
                        self._left()  # from here on the cache itself answers
                        self._wake()
                        continue
                    if event.usage is NO_USAGE and len(self._events) - self._paid < AHEAD:
                        self._wake()
                        continue
                    self._demand = self._loop.create_future()
                    self._wake()
                    await self._demand
        except asyncio.CancelledError as stopped:
            self._error = EngineUnavailableError("The answer was stopped.", hint="Ask again.")
            bill(self._error, spent(stopped))
            raise
        except Exception as error:
            self._error = error
        finally:
            self._over = True
            self._left()
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for wanted in waiting:
            if not wanted.done():
                wanted.set_result(None)

    def _failure(self, error: Exception) -> Exception:
        """What ended the run: for the first reader as it is, for others without what failed tries have cost."""
        if not self._billed:
            self._billed = True
            return error
        # Not `copy`: errors differ in what they are made of.
        twin = type(error).__new__(type(error), *error.args)
        twin.__dict__.update(error.__dict__)
        twin.__dict__.pop("spent", None)
        return twin

    def _unpaid(self) -> Usage:
        """What was used and has reached nobody."""
        usage = sum((event.usage for event in self._events[self._paid :]), NO_USAGE)
        self._paid = len(self._events)
        if self._error is not None and not self._billed:
            self._billed = True
            usage += spent(self._error)
        return usage

    async def _leave(self) -> None:
        """The last reader stops the engine, if it still runs, and waits for it: its slot is free then."""
        self._readers -= 1
        if self._readers:
            return
        self._left()
        if self._task.done():
            return
        if not (self._events and isinstance(self._events[-1], Finished)):
            self._task.cancel()
        with anyio.CancelScope(shield=True):
            _, late = await asyncio.wait({self._task}, timeout=_PATIENCE)
        if late:
            log.warning("an engine did not stop within %s s", _PATIENCE)
