"""An engine that does as a test tells it, try by try, and a clock that does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from athanor.engines import Engine
from athanor.errors import AthanorError
from athanor.testing.engines import context
from athanor.types import (
    AnswerMode,
    Context,
    EngineState,
    EngineStatus,
    Event,
    Finished,
    Profile,
    Request,
    TextDelta,
    Usage,
)

PROFILE = Profile(name="fake", context=1000, licence="none", grounded=AnswerMode.GENERATIVE, json_schema=True)
Step = Event | BaseException | float
"""An event to give, an error to raise, or seconds to wait."""


def said(text: str, **usage: Any) -> TextDelta:
    return TextDelta(text=text, usage=Usage(**usage))


def silent(**usage: Any) -> TextDelta:
    """A report of usage that is no piece of an answer."""
    return said("", **usage)


def answer(text: str, tokens: int = 2) -> list[Step]:
    return [said(text, prompt_tokens=5, completion_tokens=tokens), Finished()]


class FakeEngine:
    """Follows one script after the other; the last one is repeated."""

    def __init__(self, *scripts: Sequence[Step], name: str = "fake", **profile: Any) -> None:
        self.scripts = list(scripts) or [answer("ok")]
        self.profile = replace(PROFILE, name=name, **profile)
        self.asked: list[Request] = []
        self.open = 0
        self.most = 0

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        script = self.scripts[min(len(self.asked), len(self.scripts) - 1)]
        self.asked.append(request)
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            for step in script:
                if isinstance(step, float | int):
                    await asyncio.sleep(step)
                elif isinstance(step, BaseException):
                    raise type(step)(*step.args) if not isinstance(step, AthanorError) else _copy(step)
                else:
                    yield step
        finally:
            self.open -= 1

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="fake")

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def _copy(error: AthanorError) -> AthanorError:
    copy = type(error)(error.message)
    copy.retry_after = error.retry_after
    return copy


class FakeClock:
    """Sleeping takes no time, and is written down."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


@dataclass
class Recorded:
    """A span that a test can look at."""

    name: str
    attributes: dict[str, Any] = field(default_factory=dict)
    children: list[Recorded] = field(default_factory=list)
    closed: bool = False

    @contextmanager
    def child(self, name: str, **attributes: Any) -> Iterator[Recorded]:
        span = Recorded(name, dict(attributes))
        self.children.append(span)
        try:
            yield span
        finally:
            span.closed = True

    def set(self, **attributes: Any) -> None:
        self.attributes |= attributes

    def tries(self) -> list[tuple[str, str]]:
        """(target, outcome) of every attempt below."""
        found = [(s.attributes["target"], s.attributes["outcome"]) for s in self.children if s.name == "attempt"]
        assert all(span.closed for span in self.children)
        return found


@dataclass
class Read:
    """A stream, read until it ended or failed."""

    text: str
    usage: Usage
    error: AthanorError | None
    span: Recorded
    events: list[Event]


async def read(engine: Engine, request: Request, *, seconds: float = 10.0) -> Read:
    span, events, error = Recorded("request"), [], None
    try:
        async with asyncio.timeout(seconds):
            async for event in engine.run(request, replace(context(), span=span)):
                events.append(event)  # noqa: PERF401  what came before an error counts
    except AthanorError as failure:
        error = failure
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return Read(text, sum((event.usage for event in events), Usage()), error, span, events)
