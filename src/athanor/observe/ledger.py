"""The ledger: every request leaves one row and one trace, whatever happens to it.

Rows are written in groups by the store's writer, and a request ends only when its row is committed: an answer that was
acknowledged is on the books after `kill -9`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import anyio
from sqlalchemy import Connection

from athanor.errors import AthanorError
from athanor.observe.content import Recording, Redact
from athanor.observe.metrics import Metrics
from athanor.observe.spans import Trace, status_of
from athanor.store import Store, in_savepoint
from athanor.types import NO_USAGE, Content, Context, Event, Request, RequestRecord, Span, Started, Usage

log = logging.getLogger(__name__)

Sink = Callable[[RequestRecord, Sequence[Span]], None]
"""Told of every settled request; must not block. For exporters."""


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


class Ledger:
    """Opens entries and writes them down.

    Args:
        content: record the texts of every request, not only of keys that ask for it.
        redact: changes a recorded text before it is stored.
    """

    def __init__(self, store: Store, metrics: Metrics, *, content: bool = False, redact: Sequence[Redact] = ()) -> None:
        self._store = store
        self._content = content
        self._redact = tuple(redact)
        self._lock = threading.Lock()
        self._waiting: list[_Settled] = []
        self._committing: list[_Settled] = []
        self.open_entries = 0
        """Requests that have begun and not been settled."""
        self.sinks: list[Sink] = []
        self._requests = metrics.counter("athanor_requests_total", "Requests by how they ended.", ("door", "status"))
        self._tokens = metrics.counter("athanor_tokens_total", "Tokens by kind.", ("model", "kind"))
        self._cost = metrics.counter("athanor_cost_usd_total", "US dollars spent.", ("model",))
        self._hits = metrics.counter("athanor_cache_hits_total", "Answers from the cache.", ("model", "kind"))
        self._seconds = metrics.histogram("athanor_request_seconds", "Whole requests, in seconds.", ("door",))
        self._first = metrics.histogram("athanor_first_token_seconds", "Until the first event, in seconds.", ("door",))
        self._lost = metrics.counter("athanor_records_lost_total", "Requests whose row was not stored.")
        metrics.gauge("athanor_open_requests", "Requests under way.", lambda: self.open_entries)

    def open(self, model: str, ctx: Context) -> Entry:
        """A request for `model` that has begun: `async with ledger.open(…) as entry`."""
        return Entry(self, model, ctx)

    def records(self, ctx: Context) -> bool:
        """Are the texts of this caller recorded."""
        return self._content or (ctx.key is not None and ctx.key.record_content)

    async def write(self, record: RequestRecord, trace: Trace, content: Content | None) -> None:
        """Wait until the row, the trace and the content are committed. A store that fails is logged, never raised."""
        self._count(record)
        for sink in self.sinks:
            sink(record, trace.finished)
        loop = asyncio.get_running_loop()
        entry = _Settled(record, trace, content, loop, loop.create_future())
        with self._lock:
            self._waiting.append(entry)
            first = len(self._waiting) == 1
        if first:
            try:
                self._store.writer.submit(self._take).add_done_callback(self._done)
            except AthanorError as error:
                self._lose(self._drained(), error)
        await entry.stored

    def redacted(self, content: Content) -> Content:
        for redact in self._redact:
            content = replace(content, request=redact(content.request), answer=redact(content.answer))
        return content

    def _drained(self) -> list[_Settled]:
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken

    def _take(self, conn: Connection) -> list[_Settled]:
        """In the writer's thread: everything that waits, in one statement for each table."""
        taken = self._committing = self._drained()
        try:
            in_savepoint(conn, lambda c: self._insert(taken, c))
        except Exception:
            # One row that the database refuses must not take the others with it.
            return [entry for entry in taken if self._inserted(entry, conn)]
        return taken

    def _inserted(self, entry: _Settled, conn: Connection) -> bool:
        try:
            in_savepoint(conn, lambda c: self._insert([entry], c))
        except Exception as error:
            self._lose([entry], error)
            return False
        return True

    def _insert(self, entries: Sequence[_Settled], conn: Connection) -> None:
        self._store.requests.insert([entry.record for entry in entries], conn=conn)
        self._store.traces.insert([(e.trace.id, e.trace.at, e.trace.dump()) for e in entries], conn=conn)
        said = [self.redacted(entry.content) for entry in entries if entry.content is not None]
        if said:
            self._store.contents.insert(said, conn=conn)

    def _done(self, future: Future[list[_Settled]]) -> None:
        if (error := future.exception()) is not None:  # the commit itself: nothing of this group is stored
            self._lose(self._committing, error)
            return
        by_loop: dict[asyncio.AbstractEventLoop, list[_Settled]] = {}
        for entry in future.result():
            by_loop.setdefault(entry.loop, []).append(entry)
        for loop, entries in by_loop.items():
            _call(loop, entries)

    def _count(self, record: RequestRecord) -> None:
        self._requests.add(door=record.door, status=record.status)
        self._seconds.observe(record.duration, door=record.door)
        if record.first_token is not None:
            self._first.observe(record.first_token, door=record.door)
        model = record.target or record.model
        for kind in ("prompt", "completion", "cached"):
            if amount := getattr(record.usage, f"{kind}_tokens"):
                self._tokens.add(amount, model=model, kind=kind)
        if record.usage.cost:
            self._cost.add(record.usage.cost, model=model)
        if record.cache:
            self._hits.add(model=record.model, kind=record.cache)

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


class Entry:
    """One request under way: its trace, its usage, its status. Leaving the block writes it down.

    The status is `ok`, `cancelled` when the caller went away, or the code of the error that left the block.
    """

    def __init__(self, ledger: Ledger, model: str, ctx: Context) -> None:
        self._ledger = ledger
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

    def started(self, dropped: tuple[str, ...], headers: Mapping[str, str]) -> Started:
        """The first event of the answer, from what its engines noted in the root span."""
        attributes = self._trace.root.attributes
        if dropped:
            attributes["dropped"] = list(dropped)
        cached = attributes.get("cache", "")
        return Started(target=_text(attributes, "target"), cached=cached, dropped=dropped, headers=headers)

    async def __aenter__(self) -> Entry:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._ledger.open_entries -= 1
        status = "ok" if error is None else status_of(error)
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
        with anyio.CancelScope(shield=True):  # a closed tab must still be on the books
            await self._ledger.write(record, self._trace, content)


def _text(attributes: Mapping[str, Any], name: str) -> str:
    return str(attributes.get(name, ""))
