"""Metering: usage is turned into money where it arises, so that whatever calls an engine only has to add up."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from athanor.engines.wrappers.base import Wrapper
from athanor.types import FREE, NO_USAGE, Context, Event, Finished, Price, Request, SpanHandle, TextDelta, Usage


class MeteredEngine(Wrapper):
    """The engine of one model, whose events carry their cost by the profile's price. It owns that engine.

    Every call is a span `model` of its trace, with the tokens and the money that it used, the seconds until its first
    event, and why it ended.
    """

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        profile = self.profile
        price, total = profile.price, NO_USAGE
        begin, first, reason = time.perf_counter(), None, ""
        with ctx.span.child("model", model=profile.name, stream=request.stream) as span:
            try:
                async with aclosing(self._inner.run(request, ctx)) as events:
                    async for event in events:
                        if first is None:
                            first = time.perf_counter() - begin
                        if type(event) is Finished:
                            reason = event.reason.value
                        if event.usage is not NO_USAGE:
                            if price is not FREE:
                                event = priced(event, price)  # noqa: PLW2901
                            total += event.usage
                        yield event
            finally:
                if first is not None:
                    span.set(first_s=round(first, 6), finish=reason)
                _tell(span, total)


def _tell(span: SpanHandle, total: Usage) -> None:
    span.set(
        prompt_tokens=total.prompt_tokens,
        completion_tokens=total.completion_tokens,
        cached_tokens=total.cached_tokens,
        cost=total.cost,
    )
    if total.written_tokens or total.reasoning_tokens:  # most models know neither
        span.set(written_tokens=total.written_tokens, reasoning_tokens=total.reasoning_tokens)


def priced(event: Event, price: Price) -> Event:
    """`event` with the cost of its usage."""
    usage = event.usage.costing(price.of(event.usage))
    if type(event) is TextDelta:  # most events of most streams: `replace` would cost four times as much
        return TextDelta(text=event.text, usage=usage, logprobs=event.logprobs)
    return replace(event, usage=usage)
