"""Spans: the timed stages of one request, as a tree.

A span is opened from its parent (`span.child("retrieve")`), so that stages which run side by side keep their place.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson

from athanor.errors import AthanorError
from athanor.types import Span

MAX_SPANS = 200
"""Spans kept of one trace; the rest are counted in its root's attribute `dropped_spans`."""


class Trace:
    """The spans of one request, while it runs and when it has ended."""

    def __init__(self, id_: str, name: str, attributes: dict[str, Any]) -> None:
        self.id = id_
        self.at = time.time()
        self.finished: list[Span] = []
        self._clock = time.perf_counter()
        self._open: dict[int, OpenSpan] = {}
        self._count = 0
        self.root = self.start(name, None, attributes)

    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._clock

    def start(self, name: str, parent: OpenSpan | None, attributes: dict[str, Any]) -> OpenSpan:
        self._count += 1
        span = OpenSpan(self, self._count, name, parent, attributes, self.elapsed())
        if self._count <= MAX_SPANS:
            self._open[span.number] = span
        return span

    def end(self, span: OpenSpan, status: str) -> None:
        """Keep a span as finished. Ending it again, or after its trace, does nothing."""
        if self._open.pop(span.number, None) is None:
            return
        self.finished.append(
            Span(
                id=str(span.number),
                trace=self.id,
                parent=None if span.parent is None else str(span.parent.number),
                name=span.name,
                started_at=self.at + span.offset,
                duration=self.elapsed() - span.offset,
                status=status,
                attributes=span.attributes,
            )
        )

    def close(self, status: str) -> None:
        """End the root, and whatever is still open below it: nothing may be written after its root."""
        for span in [span for span in self._open.values() if span is not self.root]:
            self.end(span, status)
        if self._count > MAX_SPANS:
            self.root.attributes["dropped_spans"] = self._count - MAX_SPANS
        self.end(self.root, status)

    def dump(self) -> str:
        """The finished spans as JSON; an attribute that is no JSON becomes its type's name."""
        rows = [
            {
                "id": span.id,
                "parent": span.parent,
                "name": span.name,
                "started_at": span.started_at,
                "duration": span.duration,
                "status": span.status,
                "attributes": span.attributes,
            }
            for span in self.finished
        ]
        return orjson.dumps(rows, default=lambda value: type(value).__name__, option=orjson.OPT_NON_STR_KEYS).decode()


class OpenSpan:
    """A stage that is being measured; a context manager that ends it, noting the error that leaves its body."""

    __slots__ = ("attributes", "name", "number", "offset", "parent", "trace")

    def __init__(
        self, trace: Trace, number: int, name: str, parent: OpenSpan | None, attributes: dict[str, Any], offset: float
    ) -> None:
        self.trace = trace
        self.number = number
        self.name = name
        self.parent = parent
        self.attributes = attributes
        self.offset = offset

    def child(self, name: str, **attributes: Any) -> OpenSpan:
        """Measure a stage within this one. Attributes are JSON, and never the text of a request or an answer."""
        return self.trace.start(name, self, attributes)

    def set(self, **attributes: Any) -> None:
        self.attributes.update(attributes)

    def __enter__(self) -> OpenSpan:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.trace.end(self, "ok" if error is None else status_of(error))


def status_of(error: BaseException) -> str:
    """An error as one word: its code, `cancelled` for a caller that went away, `internal` for what was not foreseen."""
    if isinstance(error, AthanorError):
        return error.code
    # Closing a generator and cancelling a task are both a caller that went away.
    return "cancelled" if isinstance(error, GeneratorExit | asyncio.CancelledError) else "internal"
