"""What the doors have in common when they answer: headers, citations, log-probabilities, and the parts of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from athanor.types import (
    Citation,
    Cited,
    Context,
    Event,
    Finished,
    Graded,
    ReasoningDelta,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
)

STREAM = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Headers of a stream: no proxy may keep it back."""


def answer_headers(started: Started, ctx: Context) -> dict[str, str]:
    """What is told of an answer beside it: its trace, who gave it, what was left out, and the caller's limits."""
    headers = {
        "x-athanor-trace": ctx.trace,
        "x-request-id": ctx.trace,  # where OpenAI's SDKs look for it
        "x-athanor-model": started.target.encode("ascii", "replace").decode(),
    }
    if started.cached:
        headers["x-athanor-cache"] = started.cached
    if started.dropped:
        headers["x-athanor-dropped"] = ", ".join(started.dropped)
    if started.headers:
        headers.update(started.headers)
    return headers


def own_fields(end: Finished, ctx: Context, grades: Iterable[Graded] = ()) -> dict[str, Any]:
    """Our own facts about an answer, under the key `athanor`; `grades` are those of its sentences."""
    return {
        "trace": ctx.trace,
        "mode": end.mode,
        "abstained": end.abstained,
        "confidence": end.confidence,
        "dropped": end.dropped,
        "groundedness": None if end.groundedness is None else round(end.groundedness, 4),
        "sentences": [grade(event) for event in grades],
        "nearest": [passage(cited) for cited in end.nearest],
        "conflicts": [
            {"first": passage(one.first), "second": passage(one.second), "reason": one.reason} for one in end.conflicts
        ],
    }


def grade(event: Graded) -> dict[str, Any]:
    """How well the sources support the answer's characters `start:end`."""
    return {"start": event.start, "end": event.end, "score": round(event.score, 4), "supported": event.supported}


def graded_now(event: Graded) -> dict[str, Any]:
    """A grade in a stream, beside a piece of the answer without text: clients that do not know it see nothing."""
    return {"athanor": {"graded": grade(event)}}


def link(event: Cited) -> str:
    """Opens the passage in the console."""
    cited = event.citation
    return f"/console/document/{cited.document}?version={cited.version}&start={cited.start}&end={cited.end}"


def citation(event: Cited) -> dict[str, Any]:
    """Our own fields of a citation."""
    return passage(event.citation)


def passage(cited: Citation) -> dict[str, Any]:
    """A span of a document, with where it stands."""
    return {
        "document": cited.document,
        "version": cited.version,
        "page": cited.page,
        "place": cited.place,
        "start": cited.start,
        "end": cited.end,
        "quote": cited.quote,
        "score": round(cited.score, 4),
        "source": cited.source,
        "title": cited.title,
    }


def logprob_rows(rows: Iterable[TokenLogprob]) -> list[dict[str, Any]]:
    """Log-probabilities as OpenAI's APIs write them."""
    return [
        {
            "token": row.token,
            "logprob": row.logprob,
            "bytes": list(row.token.encode()),
            "top_logprobs": [{"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in row.top],
        }
        for row in rows
    ]


@dataclass(slots=True, kw_only=True)
class Block:
    """A part of an answer that the semantic APIs name: text, reasoning, or a tool call."""

    kind: Literal["text", "reasoning", "call"]
    index: int
    """Place among the blocks of the answer."""
    start: int = 0
    """Of a text: characters of the whole answer before it."""
    pieces: list[str] = field(default_factory=list)
    id: str = ""
    """Of a call."""
    name: str = ""
    """Of a call."""
    signature: str | None = None
    redacted: bool = False
    cited: list[Cited] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    done: bool = False

    @property
    def text(self) -> str:
        """All pieces: of a call, its arguments as JSON."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""


Step = tuple[Literal["open", "piece", "close"], Block, Event | None]
"""A block begins, has the next piece (which the event is), or ends."""


class Blocks:
    """Brings the events of an answer into blocks, one open at a time, as the semantic APIs want them. Grades are pieces
    of the block that they are about, and kept in `grades`.

    Calls that come at the same time are told one after the other: a call ends when its arguments are whole JSON and
    another begins; until then the other waits.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.grades: list[Graded] = []
        self._open: Block | None = None
        self._calls: dict[int, Block] = {}
        self._waiting: dict[int, list[ToolCallDelta]] = {}
        self._length = 0

    def take(self, event: Event) -> Iterator[Step]:
        """What an event does to the blocks."""
        kind = type(event)
        if kind is TextDelta:
            assert isinstance(event, TextDelta)
            if event.text or event.logprobs:
                yield from self._text(event)
        elif kind is ReasoningDelta:
            assert isinstance(event, ReasoningDelta)
            yield from self._reasoning(event)
        elif kind is ToolCallDelta:
            assert isinstance(event, ToolCallDelta)
            yield from self._call(event)
        elif kind is Cited:
            assert isinstance(event, Cited)
            block = self._at(event.start)
            if block is not None:
                block.cited.append(event)
                yield "piece", block, event
        elif kind is Graded:
            assert isinstance(event, Graded)
            self.grades.append(event)
            block = self._at(event.start)
            if block is not None:
                yield "piece", block, event

    def end(self) -> Iterator[Step]:
        """Close what is open, and tell what waited."""
        for index in list(self._waiting):
            yield from self._close()
            for event in self._waiting.pop(index):
                yield from self._append(event)
        yield from self._close()

    def _text(self, event: TextDelta) -> Iterator[Step]:
        block = self._open
        if block is None or block.kind != "text":
            yield from self._begin(Block(kind="text", index=len(self.blocks), start=self._length))
            block = self.blocks[-1]
        block.pieces.append(event.text)
        block.logprobs += event.logprobs
        self._length += len(event.text)
        yield "piece", block, event

    def _reasoning(self, event: ReasoningDelta) -> Iterator[Step]:
        block = self._open
        if block is None or block.kind != "reasoning" or event.redacted or block.redacted or block.signature:
            if not event.text and event.signature and not event.redacted and (last := self._unsigned()) is not None:
                # The proof of thoughts that ended before something else began.
                last.signature = event.signature
                return
            proof = event.signature if event.redacted else None  # hidden thoughts are nothing but their proof
            found = Block(kind="reasoning", index=len(self.blocks), redacted=event.redacted, signature=proof)
            yield from self._begin(found)
            block = found
        if event.text:
            block.pieces.append(event.text)
        block.signature = event.signature or block.signature
        yield "piece", block, event

    def _unsigned(self) -> Block | None:
        last = next((block for block in reversed(self.blocks) if block.kind == "reasoning"), None)
        return last if last is not None and not last.signature else None

    def _call(self, event: ToolCallDelta) -> Iterator[Step]:
        if self._waiting and event.index not in self._calls:
            self._waiting.setdefault(event.index, []).append(event)
            return
        if event.index not in self._calls and self._open is not None and not _whole(self._open):
            self._waiting[event.index] = [event]
            return
        yield from self._append(event)
        while self._waiting and self._open is not None and _whole(self._open):
            for waiting in self._waiting.pop(next(iter(self._waiting))):
                yield from self._append(waiting)

    def _append(self, event: ToolCallDelta) -> Iterator[Step]:
        block = self._calls.get(event.index)
        if block is None:
            block = Block(kind="call", index=len(self.blocks), id=event.id or "", name=event.name or "")
            self._calls[event.index] = block
            block.signature = event.signature
            yield from self._begin(block)
        block.signature = event.signature or block.signature
        if event.arguments and not block.done:
            block.pieces.append(event.arguments)
            yield "piece", block, event

    def _at(self, start: int) -> Block | None:
        """The text that the answer's character `start` is in."""
        texts = [block for block in self.blocks if block.kind == "text" and block.start <= start]
        return texts[-1] if texts else None

    def _begin(self, block: Block) -> Iterator[Step]:
        yield from self._close()
        self.blocks.append(block)
        self._open = block
        yield "open", block, None

    def _close(self) -> Iterator[Step]:
        block, self._open = self._open, None
        if block is not None:
            block.done = True
            yield "close", block, None


def _whole(block: Block) -> bool:
    """May another block begin: everything but a call whose arguments are half written."""
    if block.kind != "call":
        return True
    try:
        orjson.loads(block.text)
    except orjson.JSONDecodeError:
        return False
    return True
