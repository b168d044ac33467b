"""Pricing: usage is turned into money where it arises, so that whatever calls an engine only has to add up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from athanor.engines.base import Engine
from athanor.types import NO_USAGE, Context, EngineState, Event, Profile, Request


class Metered:
    """The engine of one model, whose events carry their cost by the profile's price."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def profile(self) -> Profile:
        return self._engine.profile

    def state(self) -> EngineState:
        return self._engine.state()

    async def start(self) -> None:
        await self._engine.start()

    async def aclose(self) -> None:
        await self._engine.aclose()

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        price = self._engine.profile.price
        async with aclosing(self._engine.run(request, ctx)) as events:
            async for event in events:
                usage = event.usage
                yield event if usage is NO_USAGE else replace(event, usage=replace(usage, cost=price.of(usage)))
