"""A load generator in a process of its own: raw sockets and httptools, so that its own cost stays small.

It reads one job a line from stdin (JSON, the fields of `Job`) and prints one result a line. Closed: `connections`
clients, each of which asks again as soon as it is answered. Open: `rate` requests a second whatever comes back, and
latency counts from the moment at which the request was due, so that waiting in a queue is not hidden.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httptools
import uvloop

from _load import Ask, Job

GRACE = 1.5
"""Seconds that an open loop waits for what is still on its way at the end."""
_TAIL = 1000
MARK = b"Hello"
"""What the mock says first."""


class Wire(asyncio.Protocol):
    """One connection to the server. One request at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._busy = False
        self.streams = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, data: bytes, ask: Ask, due: float) -> None:
        self._busy, self._ask, self._due, self._first = True, ask, due, 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._tail, self._trace, self._done = b"", "", False
        self.streams = bool(ask.body.get("stream"))
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            return
        if not self._first and MARK in data:
            self._first = time.perf_counter()
        self._parser.feed_data(data)
        if self._busy and self._ask.cancel and self._first:
            self._busy = False
            self._transport.abort()
            self._run.cancelled(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._run.job.traces and name.lower() == b"x-athanor-trace":
            self._trace = value.decode()

    def on_body(self, body: bytes) -> None:
        self._tail = (self._tail + body)[-_TAIL:]

    def on_message_complete(self) -> None:
        self._busy = False
        status = self._parser.get_status_code()
        done = b"[DONE]" in self._tail
        # One of the peers ends its streams without [DONE].
        ended = (done or b'"finish_reason":"stop"' in self._tail) if self.streams else b"usage" in self._tail
        whole = status != 200 or ended
        good = status == self._ask.status and whole and not self._ask.cancel
        keep = self._parser.should_keep_alive()
        if not keep:
            self._transport.close()
        trace = self._trace if status == 200 and (done if self.streams else whole) else ""
        self._run.answered(self, self._due, self._first, str(status) if whole else "incomplete", good, trace, keep)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost(self, self._busy)
        self._busy = False


class Run:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        parts = urlsplit(job.url)
        self._address = (parts.hostname, parts.port)
        self._encoded = [self._encode(ask, parts.path, parts.netloc) for ask in job.asks]
        self._order = interleaved([ask.share for ask in job.asks])
        self._number = 0
        self._pending = 0
        self._idle: list[Wire] = []
        self._queue: deque[tuple[float, int]] = deque()
        self._wires = 0
        self._over = False
        self._end = asyncio.Event()
        self.latencies: list[float] = []
        self.firsts: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self.failures = 0
        self.traces: list[str] = []

    def _encode(self, ask: Ask, path: str, host: str) -> list[bytes]:
        """Head and body, cut where the number goes."""
        body = json.dumps(ask.body, separators=(",", ":")).encode()
        pieces = body.split(b"#") if self.job.unique else [body]
        length = sum(map(len, pieces)) + 10 * (len(pieces) - 1)
        lines = [f"POST {path} HTTP/1.1", f"host: {host}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.job.headers.items()]
        head = "\r\n".join([*lines, f"content-length: {length}", "", ""]).encode()
        return [head + pieces[0], *pieces[1:]]

    async def __call__(self) -> dict[str, Any]:
        job = self.job
        gc.collect()
        gc.disable()
        processor, began = time.process_time(), time.perf_counter()
        if job.rate:
            await self._open_loop(began)
        else:
            await self._closed_loop(began)
        took = time.perf_counter() - began
        gc.enable()
        return {
            "sent": self._number,
            "answered": len(self.latencies),
            "failures": self.failures,
            "outcomes": dict(self.outcomes),
            "seconds": took,
            "latency": quantiles(self.latencies),
            "first": quantiles(self.firsts),
            "unfinished": self._pending + len(self._queue),
            "processor": time.process_time() - processor,
        }

    async def _closed_loop(self, began: float) -> None:
        self._stop_at = began + self.job.seconds
        await asyncio.gather(*(self._connect() for _ in range(self.job.connections)))
        for wire in self._idle.copy():
            self._idle.remove(wire)
            self._next(wire)
        limit = self.job.seconds + 20 * GRACE
        await self._until_over(limit)

    async def _open_loop(self, began: float) -> None:
        total = self.job.requests or int(self.job.seconds * self.job.rate)
        for number in range(total):
            due = began + number / self.job.rate
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            self._queue.append((due, self._take()))
            self._pump()
        self._over = True
        if self._pending or self._queue:
            await self._until_over(GRACE)

    async def _until_over(self, limit: float) -> None:
        try:
            async with asyncio.timeout(limit):
                await self._end.wait()
        except TimeoutError:
            self.outcomes["unfinished"] += self._pending + len(self._queue)

    async def _connect(self) -> None:
        self._wires += 1
        try:
            _, wire = await asyncio.get_running_loop().create_connection(lambda: Wire(self), *self._address)
        except OSError:
            self._wires -= 1
            self.outcomes["refused"] += 1
            self._over = True  # there is nobody to talk to
            self._queue.clear()
            self._finished()
            return
        self._idle.append(wire)
        self._pump()

    def _take(self) -> int:
        self._number += 1
        return self._number - 1

    def _write(self, wire: Wire, number: int, due: float) -> None:
        place = self._order[number % len(self._order)]
        self._pending += 1
        pieces = self._encoded[place]
        text = (b"%010d" % (self.job.begin + number)).join(pieces) if len(pieces) > 1 else pieces[0]
        wire.send(text, self.job.asks[place], due)

    def _next(self, wire: Wire) -> None:
        """Closed: what a client does when it is free."""
        now = time.perf_counter()
        if (self.job.requests and self._number >= self.job.requests) or now > self._stop_at:
            self._over = True
            self._finished()
            return
        self._write(wire, self._take(), now)

    def _pump(self) -> None:
        """Open: give waiting requests to idle connections."""
        while self._queue and self._idle:
            due, number = self._queue.popleft()
            self._write(self._idle.pop(), number, due)
        if self._queue and self._wires < self.job.connections:
            asyncio.ensure_future(self._connect())  # noqa: RUF006  # it lives as long as the run

    def _free(self, wire: Wire | None) -> None:
        """`wire` can be used again, or (None) a new one must be made."""
        if wire is None:
            if not self.job.rate and not self._over:
                asyncio.ensure_future(self._again())  # noqa: RUF006
        elif self.job.rate:
            self._idle.append(wire)
            self._pump()
        else:
            self._next(wire)
        self._finished()

    async def _again(self) -> None:
        await self._connect()
        if self._idle and not self._over:
            self._next(self._idle.pop())

    def _finished(self) -> None:
        if self._over and not self._pending and not self._queue:
            self._end.set()

    def answered(
        self, wire: Wire, due: float, first: float, outcome: str, good: bool, trace: str, keep: bool
    ) -> None:  # fmt: skip
        self._pending -= 1
        self.outcomes[outcome] += 1
        if good:
            self.latencies.append(time.perf_counter() - due)
            if first and wire.streams:
                self.firsts.append(first - due)
        else:
            self.failures += 1
        if trace:
            self.traces.append(trace)
        self._free(wire if keep else None)

    def cancelled(self, wire: Wire) -> None:
        self._pending -= 1
        self.outcomes["cancelled"] += 1
        self._free(None)

    def lost(self, wire: Wire, busy: bool) -> None:
        self._wires -= 1
        if wire in self._idle:
            self._idle.remove(wire)
        if busy:
            self._pending -= 1
            self.outcomes["broken"] += 1
            self.failures += 1
            self._free(None)


def quantiles(values: list[float]) -> dict[str, float] | None:
    """In milliseconds."""
    if not values:
        return None
    ordered = sorted(values)
    return {f"p{share}": 1000 * ordered[share * (len(ordered) - 1) // 100] for share in (50, 99)}


def interleaved(shares: Sequence[int]) -> list[int]:
    """Places of the shares, as evenly mixed as can be: [3, 1] gives 0 0 1 0."""
    total, owed = sum(shares), [0.0] * len(shares)
    order = []
    for _ in range(total):
        owed = [have + share / total for have, share in zip(owed, shares, strict=True)]
        place = max(range(len(owed)), key=owed.__getitem__)
        owed[place] -= 1
        order.append(place)
    return order


async def work(job: Job) -> tuple[dict[str, Any], list[str]]:
    run = Run(job)
    return await run(), run.traces


def main() -> None:
    for line in sys.stdin:
        fields = json.loads(line)
        fields["asks"] = [Ask(**ask) for ask in fields["asks"]]

        job = Job(**fields)
        found, traces = uvloop.run(work(job))
        if job.traces:
            Path(job.traces).write_text("\n".join(traces))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
