"""Measuring requests: nested spans of one trace, and the row that a request is metered by."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection

from athanor.errors import AthanorError
from athanor.observe.metrics import Metrics
from athanor.store import Store
from athanor.types import Context, Request, RequestRecord, Span, Usage, new_id

log = logging.getLogger(__name__)

MAX_SPANS = 200
"""Spans kept of one trace; the rest are counted in its root's attribute `dropped_spans`."""

MAX_TRACES = 10_000
"""Traces open at once, at most."""


@dataclass(slots=True)
class OpenSpan:
    """A stage that is being measured. Only its attributes are anyone's to change."""

    id: str
    ctx: Context
    name: str
    parent: OpenSpan | None
    attributes: dict[str, Any]
    started_at: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.perf_counter)
    closed: bool = False


@dataclass(slots=True)
class _Trace:
    stack: list[OpenSpan] = field(default_factory=list)
    finished: list[Span] = field(default_factory=list)
    dropped: int = 0


class Spans:
    """Records spans. Storing is grouped, and a store that fails is logged and counted, never raised.

    A span opened while another of its trace is open is its child. Spans of one trace that run side by side are
    children of the one opened last before them.
    """

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._traces: dict[str, _Trace] = {}
        self._lock = threading.Lock()
        self._requests = metrics.counter("athanor_requests_total", "Requests by how they ended.", ("door", "status"))
        self._tokens = metrics.counter("athanor_tokens_total", "Tokens by kind.", ("model", "kind"))
        self._seconds = metrics.histogram("athanor_request_seconds", "Whole requests, in seconds.", ("door",))
        self._first = metrics.histogram("athanor_first_token_seconds", "Until the first event, in seconds.", ("door",))
        self._lost = metrics.counter("athanor_records_lost_total", "Spans or request rows that were not stored.")

    @contextmanager
    def open(self, ctx: Context, name: str, **attributes: Any) -> Iterator[OpenSpan]:
        """Measure a stage of the trace of `ctx`, with a monotonic clock.

        An error that leaves the body is noted in the status and goes on. When the outermost span closes, the
        trace is handed to the store, unless `settle` did that already. Attributes must be JSON.
        """
        span = self._start(ctx, name, attributes)
        status = "ok"
        try:
            yield span
        except BaseException as error:
            status = _status(error)
            raise
        finally:
            self._close(span, status)

    async def settle(
        self,
        span: OpenSpan,
        request: Request,
        usage: Usage,
        *,
        first_token: float | None = None,
        status: str = "ok",
        cost: float = 0.0,
    ) -> None:
        """Close the outermost span and wait until its trace and its request row are on disk.

        Args:
            first_token: seconds until the first event, if there was one.
            status: `ok`, `cancelled`, or an error's code.
            cost: US dollars.
        """
        seconds = time.perf_counter() - span.clock
        record = RequestRecord(
            trace=span.ctx.trace,
            at=span.started_at,
            door=span.ctx.door,
            principal=span.ctx.principal.id,
            model=request.model,
            status=status,
            usage=usage,
            first_token=first_token,
            cost=cost,
        )
        self._count(record, seconds)
        future = self._finish(span, status, record)
        if future is not None:
            try:
                await asyncio.wrap_future(future)
            except Exception as error:
                self._lose(span.ctx.trace, error)

    def _start(self, ctx: Context, name: str, attributes: dict[str, Any]) -> OpenSpan:
        with self._lock:
            trace = self._traces.setdefault(ctx.trace, _Trace())
            if len(self._traces) > MAX_TRACES:
                # Its request was never closed; a leak here must stay small.
                self._traces.pop(next(iter(self._traces)))
            parent = trace.stack[-1] if trace.stack else None
            span = OpenSpan(id=new_id("sp"), ctx=ctx, name=name, parent=parent, attributes=attributes)
            trace.stack.append(span)
        return span

    def _close(self, span: OpenSpan, status: str) -> None:
        if span.closed:
            return
        if span.parent is not None:
            with self._lock:
                self._end(span, status)
            return
        future = self._finish(span, status, None)
        if future is not None:
            future.add_done_callback(partial(self._stored, span.ctx.trace))

    def _end(self, span: OpenSpan, status: str) -> None:
        span.closed = True
        trace = self._traces.get(span.ctx.trace)
        if trace is None:
            return
        if span in trace.stack:
            trace.stack.remove(span)
        if span.parent is None and trace.dropped:
            span.attributes["dropped_spans"] = trace.dropped
        if len(trace.finished) >= MAX_SPANS and span.parent is not None:
            trace.dropped += 1
            return
        trace.finished.append(
            Span(
                id=span.id,
                trace=span.ctx.trace,
                parent=span.parent.id if span.parent else None,
                name=span.name,
                started_at=span.started_at,
                duration=time.perf_counter() - span.clock,
                status=status,
                attributes=span.attributes,
            )
        )

    def _finish(self, root: OpenSpan, status: str, record: RequestRecord | None) -> Future[None] | None:
        with self._lock:
            trace = self._traces.get(root.ctx.trace, _Trace())
            # Children that are still open end with their root: nothing may be written after it.
            for child in [span for span in reversed(trace.stack) if span is not root]:
                self._end(child, status)
            self._end(root, status)
            self._traces.pop(root.ctx.trace, None)

        def write(conn: Connection) -> None:
            self._store.spans.insert(trace.finished, conn=conn)
            if record is not None:
                self._store.requests.insert(record, conn=conn)

        try:
            return self._store.writer.submit(write)
        except AthanorError as error:
            self._lose(root.ctx.trace, error)
            return None

    def _count(self, record: RequestRecord, seconds: float) -> None:
        self._requests.add(door=record.door, status=record.status)
        self._seconds.observe(seconds, door=record.door)
        if record.first_token is not None:
            self._first.observe(record.first_token, door=record.door)
        for kind in ("prompt_tokens", "completion_tokens", "cached_tokens"):
            self._tokens.add(getattr(record.usage, kind), model=record.model, kind=kind.removesuffix("_tokens"))

    def _stored(self, trace: str, future: Future[None]) -> None:
        error = future.exception()
        if error is not None:
            self._lose(trace, error)

    def _lose(self, trace: str, error: BaseException) -> None:
        self._lost.add()
        log.error("trace %s was not stored: %s", trace, error)


def _status(error: BaseException) -> str:
    if isinstance(error, AthanorError):
        return error.code
    # Closing a generator and cancelling a task are both a caller that went away.
    return "cancelled" if isinstance(error, GeneratorExit | asyncio.CancelledError) else "internal"
