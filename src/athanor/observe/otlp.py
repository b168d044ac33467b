"""Traces to an OpenTelemetry collector: OTLP over HTTP as JSON, in the words of the GenAI conventions (see `genai`).

Settled requests wait in a bounded queue and are sent in batches by a task of their own, so that no request waits for a
collector. What does not fit into the queue, and what the collector goes on refusing, is dropped and counted. The texts
of requests and answers never pass through here, whether or not they are recorded.

Source: `opentelemetry-proto`, `docs/specification.md` (paths, when to try again, JSON with hexadecimal ids).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import anyio
import httpx
import orjson
from anyio import to_thread
from pydantic import SecretStr

from athanor import __version__
from athanor.config import Settings, TraceSettings
from athanor.errors import ConfigError
from athanor.observe.genai import attribute_list, convert, places
from athanor.observe.metrics import Metrics
from athanor.types import RequestRecord, Span

log = logging.getLogger(__name__)

QUEUE = 8192
"""Spans that may wait."""
BATCH = 512
"""Spans of one request to the collector, about: a trace is never cut."""
GATHER_S = 1.0
"""How long the first of a batch waits for others."""
ATTEMPTS = 5
LONGEST_PAUSE_S = 30.0
FLUSH_S = 3.0
"""How long the end of the server waits for what is left."""
_AGAIN = frozenset({429, 502, 503, 504})
"""Answers after which the same batch may be sent again (OTLP, "Retryable Response Codes")."""


class Exporter:
    """Sends settled requests to `settings.traces.otlp_url`.

    Args:
        instance: tells this run of the server from others.

    Raises:
        ConfigError: there is no such URL, it is not http(s), or a header's secret cannot be read.
    """

    def __init__(self, settings: Settings, metrics: Metrics, *, instance: str) -> None:
        self._url, self._headers = _endpoint(settings.traces)
        self._places = places(settings)
        self._resource = attribute_list(
            {"service.name": "athanor", "service.version": __version__, "service.instance.id": instance}
        )
        self._waiting: deque[tuple[RequestRecord, tuple[Span, ...]]] = deque()
        self._spans = 0
        self._arrived = asyncio.Event()
        self._failing = False
        self._sent = metrics.counter("athanor_otlp_spans_total", "Spans by what became of them.", ("outcome",))
        metrics.gauge("athanor_otlp_waiting_spans", "Spans that wait to be sent.", lambda: self._spans)

    def add(self, record: RequestRecord, spans: Sequence[Span]) -> None:
        """Take in a settled request; a `Sink` of the ledger. Call it from the loop that runs `run`."""
        if self._spans + len(spans) > QUEUE:
            self._sent.add(len(spans), outcome="dropped")
            return
        self._waiting.append((record, tuple(spans)))
        self._spans += len(spans)
        self._arrived.set()

    async def run(self) -> None:
        """Send until cancelled; then what is left, within `FLUSH_S`."""
        timeout = httpx.Timeout(10, connect=5)
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as session:
            try:
                while True:
                    await self._arrived.wait()
                    if self._spans < BATCH:
                        await anyio.sleep(GATHER_S)
                    await self._send(session, self._take())
            finally:
                with anyio.move_on_after(FLUSH_S, shield=True):
                    while self._waiting:
                        await self._send(session, self._take())
                if self._spans:
                    self._sent.add(self._spans, outcome="dropped")

    def _take(self) -> list[tuple[RequestRecord, tuple[Span, ...]]]:
        taken, size = [], 0
        while self._waiting and size < BATCH:
            taken.append(self._waiting.popleft())
            size += len(taken[-1][1])
        self._spans -= size
        if not self._waiting:
            self._arrived.clear()
        return taken

    async def _send(self, session: httpx.AsyncClient, batch: Sequence[tuple[RequestRecord, tuple[Span, ...]]]) -> None:
        size = sum(len(spans) for _, spans in batch)
        try:
            body = await to_thread.run_sync(self._encode, batch)
            rejected, problem = await self._deliver(session, body, size)
        except asyncio.CancelledError:
            # The server ends: there is another chance for them in the last moments.
            self._waiting.extendleft(reversed(batch))
            self._spans += size
            raise
        except Exception:
            log.exception("a batch of traces could not be sent")  # an exporter's fault must not end the server
            rejected, problem = size, ""
        self._sent.add(size - rejected, outcome="sent")
        if rejected:
            self._sent.add(rejected, outcome="dropped")
        # Said once, and not for each batch of an outage.
        if problem and not self._failing:
            log.warning("traces are dropped: the collector at %s %s", self._url.rpartition("@")[2], problem)
        self._failing = bool(problem)

    async def _deliver(self, session: httpx.AsyncClient, body: bytes, size: int) -> tuple[int, str]:
        """(spans that were not taken, why not)."""
        pause, problem = 1.0, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await anyio.sleep(pause)
                pause = min(LONGEST_PAUSE_S, 2 * pause)
            wait = None
            try:
                reply = await session.post(self._url, content=body, headers=self._headers)
                if reply.status_code < 300:
                    return _rejected(reply.content)
                problem = f"answers {reply.status_code}"
                if reply.status_code not in _AGAIN:
                    return size, problem
                with suppress(ValueError):
                    wait = float(reply.headers.get("retry-after", ""))
            except httpx.HTTPError as error:
                problem = f"cannot be reached ({type(error).__name__})"
            # Jitter, so that several servers do not all come back at once.
            pause = min(LONGEST_PAUSE_S, wait) if wait is not None else pause * random.uniform(0.75, 1.25)  # noqa: S311  no secret
        return size, problem

    def _encode(self, batch: Sequence[tuple[RequestRecord, tuple[Span, ...]]]) -> bytes:
        spans = [told for record, own in batch for told in convert(record, own, self._places)]
        scope = {"name": "athanor", "version": __version__}
        resource = {"attributes": self._resource}
        return orjson.dumps(
            {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
        )


def _rejected(body: bytes) -> tuple[int, str]:
    """What a collector that answered 200 says it did not take."""
    try:
        partial = orjson.loads(body or b"{}").get("partialSuccess") or {}
        count = int(partial.get("rejectedSpans") or 0)
    except (ValueError, AttributeError, TypeError):
        return 0, ""  # it took the batch and answers in protobuf, or nothing of interest
    return count, f"refuses {count} spans" if count else ""


def _endpoint(settings: TraceSettings) -> tuple[str, dict[str, str]]:
    url = settings.otlp_url or ""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            "A collector is an http(s) URL, such as http://127.0.0.1:4318/v1/traces.", where="traces.otlp_url"
        )
    secrets: dict[str, SecretStr] = {name: ref.resolve() for name, ref in settings.otlp_headers.items()}
    headers = {name: secret.get_secret_value() for name, secret in secrets.items()}
    return url, {**headers, "content-type": "application/json"}
