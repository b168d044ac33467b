"""Pricing: usage is turned into money where it arises, so that whatever calls an engine only has to add up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from athanor.engines.wrappers.base import Wrapper
from athanor.types import NO_USAGE, Context, Event, Price, Request, TextDelta


class MeteredEngine(Wrapper):
    """The engine of one model, whose events carry their cost by the profile's price. It owns that engine."""

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        price = self.profile.price
        async with aclosing(self._inner.run(request, ctx)) as events:
            async for event in events:
                yield event if event.usage is NO_USAGE else priced(event, price)


def priced(event: Event, price: Price) -> Event:
    """`event` with the cost of its usage."""
    usage = event.usage
    usage = usage.costing(price.of(usage))
    if type(event) is TextDelta:  # most events of most streams: `replace` would cost four times as much
        return TextDelta(text=event.text, usage=usage, logprobs=event.logprobs)
    return replace(event, usage=usage)
