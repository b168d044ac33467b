"""How busy each model is and how fast it has been, counted where its requests pass."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from athanor.engines.base import Engine
from athanor.engines.wrappers.base import Wrapper, speaks
from athanor.types import NO_USAGE, Context, Event, Finished, Request

_NEW = 0.2
"""Weight of the newest of a series of measurements."""


class Load:
    """What is known of one model's work. Figures are exponentially weighted means; `None` until there is one."""

    __slots__ = ("answer", "asked", "first", "name", "outstanding", "per_token", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.outstanding = 0
        """Requests that run now."""
        self.asked = 0
        """Requests so far."""
        self.first: float | None = None
        """Seconds to the first piece of a streamed answer."""
        self.per_token: float | None = None
        """Seconds for each further token."""
        self.seconds: float | None = None
        """Compute seconds for each token of prompt and answer: what a price by the second is paid for."""
        self.answer: float | None = None
        """Tokens of an answer."""

    def learn(self, *, total: float, first: float | None, tokens: int) -> None:
        """Take in one answer.

        Args:
            total: seconds it took.
            first: seconds to its first piece; `None` if it came in one piece.
            tokens: of the answer.
        """
        if first is not None:
            self.first = _mean(self.first, first)
        if tokens:
            self.answer = _mean(self.answer, float(tokens))
            spent = total - (first if first is not None else self.first or 0.0)
            self.per_token = _mean(self.per_token, max(0.0, spent) / tokens)

    def learn_seconds(self, seconds: float, tokens: int) -> None:
        """Take in the compute seconds of one request."""
        if seconds and tokens:
            self.seconds = _mean(self.seconds, seconds / tokens)

    def expected(self, tokens: float) -> float | None:
        """Seconds to be expected for an answer of `tokens`; `None` where nothing was measured."""
        if self.per_token is None:
            return None
        return (self.first or 0.0) + self.per_token * tokens

    def describe(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "outstanding": self.outstanding,
            "requests": self.asked,
            "first_token_s": self.first,
            "token_s": self.per_token,
            "answer_tokens": self.answer,
        }


class Loads:
    """The loads of all models, by name."""

    def __init__(self) -> None:
        self._loads: dict[str, Load] = {}

    def get(self, name: str) -> Load:
        found = self._loads.get(name)
        if found is None:
            found = self._loads[name] = Load(name)
        return found


class LoadEngine(Wrapper):
    """Counts and times what `inner` answers. An answer that broke off teaches nothing about speed."""

    def __init__(self, inner: Engine, load: Load, *, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(inner)
        self._load = load
        self._now = now

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        load = self._load
        load.outstanding += 1
        load.asked += 1
        started, first, ended = self._now(), None, False
        answer, tokens, seconds = 0, 0, 0.0
        try:
            async with aclosing(self._inner.run(request, ctx)) as events:
                async for event in events:
                    if first is None and speaks(event):
                        first = self._now() - started
                    usage = event.usage
                    if usage is not NO_USAGE:
                        answer += usage.completion_tokens
                        tokens += usage.total_tokens
                        seconds += usage.seconds
                    ended = isinstance(event, Finished)
                    yield event
        finally:
            load.outstanding -= 1
            load.learn_seconds(seconds, tokens)
            if ended:
                total = self._now() - started
                load.learn(total=total, first=first if request.stream else None, tokens=answer)


def _mean(old: float | None, new: float) -> float:
    return new if old is None else old + _NEW * (new - old)
