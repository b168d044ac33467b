"""Whatever happens, every token is paid for once, every stream is closed, and nothing is left counted."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import Any

import pytest

from athanor.engines.wrappers import (
    BreakerEngine,
    Breakers,
    Candidate,
    FallbackEngine,
    HedgeEngine,
    LoadEngine,
    Loads,
    RetryEngine,
    spent,
)
from athanor.engines.wrappers.retry import RetryPolicy
from athanor.errors import AthanorError, EngineError, EngineRefusedError, EngineUnavailableError, InputError
from athanor.testing.engines import chat, context
from athanor.types import NO_USAGE, Event, Finished, Usage
from tests.engines.failing import FakeClock, FakeEngine, Step, said, silent

pytestmark = pytest.mark.anyio

ASK = chat("Hello.")


class Counted(FakeEngine):
    """Draws a new script for each request, and adds up what left it."""

    def __init__(self, name: str, dice: random.Random) -> None:
        super().__init__(name=name)
        self.dice = dice
        self.produced = NO_USAGE

    async def run(self, request: Any, ctx: Any) -> Any:
        engine = FakeEngine(self._script())
        self.open += 1
        try:
            async with aclosing(engine.run(request, ctx)) as events:
                async for event in events:
                    self.produced += event.usage
                    yield event
        finally:
            self.open -= 1

    def _script(self) -> list[Step]:
        dice, steps = self.dice, []
        for _ in range(dice.randrange(3)):
            steps += [silent(prompt_tokens=dice.randrange(9))] if dice.random() < 0.5 else [dice.choice([0.0, 0.002])]
        for _ in range(dice.randrange(5)):
            steps += [said("x", completion_tokens=dice.randrange(9)), *([0.001] if dice.random() < 0.3 else [])]
        errors = [EngineError("x"), EngineUnavailableError("x"), EngineRefusedError("x"), InputError("x")]
        end = dice.choice(errors) if dice.random() < 0.4 else Finished(usage=Usage(seconds=1.0, completion_tokens=1))
        steps.insert(dice.randrange(len(steps) + 1) if isinstance(end, AthanorError) else len(steps), end)
        return steps


async def caller(engine: FallbackEngine, dice: random.Random) -> Usage:
    """What one caller is billed: they read to the end, leave after some pieces, or are cut off."""
    billed, leaves, events = NO_USAGE, dice.randrange(6), 0

    async def read() -> None:
        nonlocal billed, events
        try:
            async with aclosing(engine.run(ASK, context())) as stream:
                async for event in stream:
                    assert isinstance(event, Event)
                    billed += event.usage
                    events += 1
                    if events == leaves:
                        return
        except (AthanorError, asyncio.CancelledError) as error:
            billed += spent(error)
            raise

    try:
        async with asyncio.timeout(dice.choice([0.001, 0.004, 5.0])):
            await read()
    except (AthanorError, TimeoutError):
        pass
    return billed


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hedged", [False, True])
async def test_every_token_is_billed_once(seed: int, hedged: bool) -> None:
    dice, clock = random.Random(seed), FakeClock()
    engines = [Counted(name, dice) for name in "abc"]
    breakers, loads = Breakers(now=clock.now), Loads()
    candidates = [
        Candidate(
            name=e.profile.name,
            engine=RetryEngine(
                BreakerEngine(LoadEngine(e, loads.get(e.profile.name)), breakers.get(e.profile.name, failures=4)),
                e.profile.name,
                RetryPolicy(attempts=3, first_pause=0.01),
                clock=clock,
                dice=dice,
            ),
        )
        for e in engines
    ]

    async def order(request: Any, ctx: Any) -> list[Candidate]:
        return dice.sample(candidates, 3)

    profile = engines[0].profile
    engine = HedgeEngine(order, lambda: profile, after=0.001) if hedged else FallbackEngine(order, lambda: profile)
    billed = NO_USAGE
    for _ in range(8):
        for usage in await asyncio.gather(*(caller(engine, dice) for _ in range(25))):
            billed += usage
        clock.time += dice.choice([1, 40])
    assert billed == sum((e.produced for e in engines), NO_USAGE)
    assert billed.total_tokens > 100
    assert [e.open for e in engines] == [0, 0, 0]
    assert [loads.get(e.profile.name).outstanding for e in engines] == [0, 0, 0]
    clock.time += 10_000
    assert all(breaker.ready for breaker in breakers)  # no probe was lost
