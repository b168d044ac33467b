"""What a route adds to a request: processor time over the bare engine, by way of choosing, in one process.

The engine answers at once, so that nothing but the route is measured. Rounds are interleaved; figures are medians, with
the smallest and largest in brackets.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from athanor.config import RouteSettings
from athanor.engines import Engine
from athanor.gateway.route import Shared
from athanor.gateway.routes import build_route
from athanor.testing.engines import chat, context
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

PICKS: dict[str, dict[str, Any]] = {
    "first": {},
    "weighted": {"pick": "weighted"},
    "least_busy": {"pick": "least_busy"},
    "fastest": {"pick": "fastest"},
    "cheapest": {"pick": "cheapest"},
    "first, hedged": {"hedge_after_s": 30.0},
}
PROFILE = Profile(name="instant", context=8192, licence="none", grounded=AnswerMode.GENERATIVE, json_schema=True)


@dataclass(frozen=True)
class Instant:
    """Answers in `pieces` pieces, without any work."""

    profile: Profile
    pieces: int

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        piece = TextDelta(text="word", usage=Usage(completion_tokens=1))
        for _ in range(self.pieces):
            yield piece
        yield Finished()

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="instant")

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


async def microseconds(engine: Engine, requests: int) -> float:
    """Processor time of one request."""
    request, ctx = chat("What is the weather like in Paris today, and do I need an umbrella?"), context()
    started = time.process_time()
    for _ in range(requests):
        async for _ in engine.run(request, ctx):
            pass
    return (time.process_time() - started) / requests * 1e6


async def measure(rounds: int, requests: int) -> dict[str, dict[str, Any]]:
    found: dict[tuple[int, str], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for pieces in (1, 50):
            engines = {name: Instant(replace(PROFILE, name=name), pieces) for name in ("a", "b", "c")}

            async def engine_of(name: str, engines: dict[str, Instant] = engines) -> Engine:
                return engines[name]

            bare = await microseconds(engines["a"], requests)
            found[pieces, "bare engine"].append(bare)
            for name, settings in PICKS.items():
                built = RouteSettings.model_validate({"use": tuple(engines), **settings})
                route = await build_route("route", built, engine_of, Shared(), Path("/nowhere"))
                await microseconds(route, 100)
                found[pieces, name].append(await microseconds(route, requests) - bare)
    return {
        f"{name}, {pieces} pieces": {
            "us": round(statistics.median(values), 1),
            "least": round(min(values), 1),
            "most": round(max(values), 1),
        }
        for (pieces, name), values in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rounds, requests = (3, 1000) if given.quick else (7, 5000)
    figures = asyncio.run(measure(rounds, requests))
    if given.json:
        print(json.dumps({"rounds": rounds, "requests": requests, "added": figures}, indent=2))
        return
    load = os.getloadavg()[0]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {load:.1f}; ", end="")
    print(f"{rounds} rounds of {requests} requests. Microseconds of processor time, over the bare engine:")
    for name, row in figures.items():
        print(f"  {name:<26} {row['us']:>8} [{row['least']}–{row['most']}]")


if __name__ == "__main__":
    main()
