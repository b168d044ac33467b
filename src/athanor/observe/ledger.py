"""The ledger: every request leaves one row and one trace, whatever happens to it.

Rows are written in groups by the store's writer, and a request ends only when its row is committed: an answer that was
acknowledged is on the books after `kill -9`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio

from athanor.errors import AthanorError, RateLimitError
from athanor.observe.content import Clean, Recording
from athanor.observe.metrics import MAX_SERIES, Metrics
from athanor.observe.spans import Trace, status_of
from athanor.store import Appender, Store
from athanor.types import NO_USAGE, Content, Context, Event, Request, RequestRecord, Span, Started, Usage

log = logging.getLogger(__name__)

Sink = Callable[[RequestRecord, Sequence[Span]], None]
"""Told of every settled request; must not block. For exporters."""

Spent = Callable[[BaseException], Usage]


def nothing(error: BaseException) -> Usage:
    """For requests whose errors cost nothing."""
    return NO_USAGE


_BUSY = 8
"""Requests under way from which on rows wait for others to share their commit."""
_GATHER = 0.002
"""Seconds that they wait: a commit costs a third of a millisecond, however many rows it holds."""


@dataclass(slots=True)
class _Settled:
    record: RequestRecord
    trace: Trace
    content: Content | None
    loop: asyncio.AbstractEventLoop
    stored: asyncio.Future[None]

    def resolve(self) -> None:
        if not self.stored.done():
            self.stored.set_result(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """Where one kind of request is counted."""

    requests: Callable[[float], None]
    seconds: Callable[[float], None]
    first: Callable[[float], None]
    prompt: Callable[[float], None]
    completion: Callable[[float], None]
    cached: Callable[[float], None]
    cost: Callable[[float], None]


class Ledger:
    """Opens entries and writes them down.

    Args:
        content: record the texts of every request, not only of keys that ask for it.
        clean: takes out of recorded texts what may not be stored. Where it fails, none of them is.
    """

    def __init__(self, store: Store, metrics: Metrics, *, content: bool = False, clean: Clean | None = None) -> None:
        self._store = store
        self._content = content
        self._clean = clean
        self._cleaning: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        self._waiting: list[_Settled] = []
        self.open_entries = 0
        """Requests that have begun and not been settled."""
        self.sinks: list[Sink] = []
        self._counts: dict[tuple[str, str, str], _Counts] = {}
        self._requests = metrics.counter("athanor_requests_total", "Requests by how they ended.", ("door", "status"))
        self._tokens = metrics.counter("athanor_tokens_total", "Tokens by kind.", ("model", "kind"))
        self._cost = metrics.counter("athanor_cost_usd_total", "US dollars spent.", ("model",))
        self._hits = metrics.counter("athanor_cache_hits_total", "Answers from the cache.", ("model", "kind"))
        self._seconds = metrics.histogram("athanor_request_seconds", "Whole requests, in seconds.", ("door",))
        self._first = metrics.histogram("athanor_first_token_seconds", "Until the first event, in seconds.", ("door",))
        self._refused = metrics.counter("athanor_refusals_total", "Requests over a limit, by whose.", ("limit", "of"))
        self._failed = metrics.counter("athanor_model_errors_total", "Calls of models that failed.", ("model", "error"))
        self._lost = metrics.counter("athanor_records_lost_total", "Requests whose row was not stored.")
        self._unclean = metrics.counter("athanor_texts_lost_total", "Recorded texts that could not be redacted.")
        metrics.gauge("athanor_open_requests", "Requests under way.", lambda: self.open_entries)

    def open(self, model: str, ctx: Context, spent: Spent = nothing) -> Entry:
        """A request for `model` that has begun: `async with ledger.open(…) as entry`.

        Args:
            spent: what was used before an error and no event has carried.
        """
        return Entry(self, model, ctx, spent)

    def records(self, ctx: Context) -> bool:
        """Are the texts of this caller recorded."""
        return self._content or (ctx.key is not None and ctx.key.record_content)

    async def write(self, record: RequestRecord, trace: Trace, content: Content | None, ctx: Context) -> None:
        """Wait until the row, the trace and the content are committed. A store that fails is logged, never raised."""
        self._count(record)
        for span in trace.finished:
            if span.name == "model" and span.status not in {"ok", "cancelled"}:
                self._failed.add(model=str(span.attributes.get("model")), error=span.status)
        for sink in self.sinks:
            sink(record, trace.finished)
        loop = asyncio.get_running_loop()
        entry = _Settled(record, trace, content, loop, loop.create_future())
        if content is not None and self._clean is not None:
            # A task of its own: a caller who leaves must not take it along.
            task = loop.create_task(self._cleaned(entry, content, ctx, self._clean))
            self._cleaning.add(task)
            task.add_done_callback(self._cleaning.discard)
        else:
            self._enqueue(entry)
        await _whatever_happens(entry.stored)

    async def _cleaned(self, entry: _Settled, content: Content, ctx: Context, clean: Clean) -> None:
        entry.content = None
        try:
            entry.content = await clean(content, ctx, entry.record.model)
        except Exception as error:  # whatever it was: what was not cleaned is not stored
            self._unclean.add()
            log.error("the texts of trace %s were not stored: %s", entry.trace.id, type(error).__name__)
        finally:
            self._enqueue(entry)

    def _enqueue(self, entry: _Settled) -> None:
        with self._lock:
            self._waiting.append(entry)
            first = len(self._waiting) == 1
        if first and self.open_entries < _BUSY:
            self._submit()
        elif first:
            entry.loop.call_later(_GATHER, self._submit)

    def _submit(self) -> None:
        group: list[_Settled] = []
        try:
            self._store.writer.append(partial(self._take, group)).add_done_callback(partial(self._done, group))
        except AthanorError as error:
            self._lose(self._drained(), error)

    def refused(self, error: RateLimitError) -> None:
        """Count a request that a limit of ours kept out."""
        self._refused.add(limit=error.code, of=error.where if error.where in {"key", "team", "system"} else "other")

    def _drained(self) -> list[_Settled]:
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken

    def _take(self, group: list[_Settled], into: Appender) -> None:
        """In the writer's thread: everything that waits, in one statement for each table."""
        group += self._drained()
        self._insert(group, into)

    def _insert(self, entries: Sequence[_Settled], into: Appender) -> None:
        self._store.requests.insert([entry.record for entry in entries], into=into)
        self._store.traces.insert([(e.trace.id, e.trace.at, e.trace.dump()) for e in entries], into=into)
        said = [entry.content for entry in entries if entry.content is not None]
        if said:
            self._store.contents.insert(said, into=into)

    def _done(self, group: list[_Settled], future: Future[None]) -> None:
        if (error := future.exception()) is not None:
            # Where no transaction could be begun, nothing was taken: whoever waits would wait for ever.
            self._again(group or self._drained(), error)
            return
        by_loop: dict[asyncio.AbstractEventLoop, list[_Settled]] = {}
        for entry in group:
            by_loop.setdefault(entry.loop, []).append(entry)
        for loop, entries in by_loop.items():
            _call(loop, entries)

    def _again(self, entries: Sequence[_Settled], error: BaseException) -> None:
        """One row that the database refuses must not take the others of its group with it."""
        if len(entries) < 2:
            self._lose(entries, error)
            return
        for entry in entries:
            try:
                future = self._store.writer.append(partial(self._insert, [entry]))
            except AthanorError as closed:
                self._lose([entry], closed)
            else:
                future.add_done_callback(partial(self._alone, entry))

    def _alone(self, entry: _Settled, future: Future[None]) -> None:
        if (error := future.exception()) is not None:
            self._lose([entry], error)
        else:
            _call(entry.loop, [entry])

    def _count(self, record: RequestRecord) -> None:
        model, usage = record.target or record.model, record.usage
        count = self._counts.get((record.door, record.status, model))
        if count is None:
            if len(self._counts) >= MAX_SERIES:
                self._counts.clear()  # names that callers made up; the metrics have a bound of their own
            count = self._counts[record.door, record.status, model] = self._bind(record, model)
        count.requests(1)
        count.seconds(record.duration)
        if record.first_token is not None:
            count.first(record.first_token)
        count.prompt(usage.prompt_tokens)
        count.completion(usage.completion_tokens)
        count.cached(usage.cached_tokens)
        count.cost(usage.cost)
        if record.cache:
            self._hits.add(model=model, kind=record.cache)

    def _bind(self, record: RequestRecord, model: str) -> _Counts:
        # A name that nothing answers to is the caller's invention, and no label.
        known = model if record.target else "unknown"
        return _Counts(
            requests=self._requests.bind(door=record.door, status=record.status),
            seconds=self._seconds.bind(door=record.door),
            first=self._first.bind(door=record.door),
            prompt=self._tokens.bind(model=known, kind="prompt"),
            completion=self._tokens.bind(model=known, kind="completion"),
            cached=self._tokens.bind(model=known, kind="cached"),
            cost=self._cost.bind(model=known),
        )

    def _lose(self, entries: Sequence[_Settled], error: BaseException) -> None:
        self._lost.add(len(entries))
        for entry in entries:
            log.error("trace %s was not stored: %s", entry.trace.id, error)
            _call(entry.loop, [entry])


def _call(loop: asyncio.AbstractEventLoop, entries: Sequence[_Settled]) -> None:
    def resolve() -> None:
        for entry in entries:
            entry.resolve()

    try:
        loop.call_soon_threadsafe(resolve)
    except RuntimeError:  # the loop is gone, and its requests with it
        return


async def _whatever_happens(stored: asyncio.Future[None]) -> None:
    """Wait for the commit, and let a cancellation through only after it: a closed tab must still be on the books."""
    try:
        await asyncio.shield(stored)
    except asyncio.CancelledError:
        # anyio delivers a cancellation again in every turn of the loop: only its own shield keeps that from spinning.
        with anyio.CancelScope(shield=True):
            await stored
        raise


class Entry:
    """One request under way: its trace, its usage, its status. Leaving the block writes it down.

    The status is `ok`, `cancelled` when the caller went away, or the code of the error that left the block.
    """

    def __init__(self, ledger: Ledger, model: str, ctx: Context, spent: Spent) -> None:
        self._ledger = ledger
        self._spent = spent
        self._model = model
        self._trace = Trace(ctx.trace, "request", {"model": model, "door": ctx.door})
        self._recording: Recording | None = None
        self.ctx = replace(ctx, span=self._trace.root)
        """The caller's context, with the root span in it."""
        self.usage: Usage = NO_USAGE
        self.first_token: float | None = None
        ledger.open_entries += 1

    def record(self, request: Request) -> None:
        """Keep the texts of this request, if this caller is recorded."""
        if self._ledger.records(self.ctx):
            self._recording = Recording(request)

    def add(self, event: Event) -> None:
        """Count an event of the answer."""
        if self.first_token is None:
            self.first_token = self._trace.elapsed()
        if event.usage is not NO_USAGE:
            self.usage += event.usage
        if self._recording is not None:
            self._recording.add(event)

    async def watched(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The same events, each counted as it passes."""
        async with aclosing(events):
            async for event in events:
                self.add(event)
                yield event

    def started(self, dropped: tuple[str, ...], headers: Mapping[str, str]) -> Started:
        """The first event of the answer, from what its engines noted in the root span."""
        attributes = self._trace.root.attributes
        # A route may have left out more for the model that it chose.
        dropped = tuple(dict.fromkeys([*dropped, *attributes.get("dropped", ())]))
        if dropped:
            attributes["dropped"] = list(dropped)
        cached = attributes.get("cache", "")
        return Started(target=_text(attributes, "target"), cached=cached, dropped=dropped, headers=headers)

    async def __aenter__(self) -> Entry:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._ledger.open_entries -= 1
        status = "ok" if error is None else status_of(error)
        if isinstance(error, RateLimitError):
            self._ledger.refused(error)
        if error is not None:
            self.usage += self._spent(error)
        # What failed tries have used, and no event has carried.
        self.usage += getattr(error, "spent", NO_USAGE)
        attributes = self._trace.root.attributes
        self._trace.close(status)
        ctx = self.ctx
        team = ctx.principal.team
        record = RequestRecord(
            trace=ctx.trace,
            at=self._trace.at,
            door=ctx.door,
            principal=ctx.principal.id,
            model=self._model,
            status=status,
            usage=self.usage,
            first_token=self.first_token,
            duration=self._trace.elapsed(),
            key=ctx.key.id if ctx.key is not None else None,
            team=team.id if team is not None else None,
            target=_text(attributes, "target"),
            cache=_text(attributes, "cache"),
            saved=float(attributes.get("saved", 0.0)),
        )
        content = self._recording.content(ctx.trace, self._trace.at) if self._recording is not None else None
        await self._ledger.write(record, self._trace, content, ctx)


def _text(attributes: Mapping[str, Any], name: str) -> str:
    return str(attributes.get(name, ""))
