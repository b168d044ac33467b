"""What does a cached answer cost, and how often is it the wrong one?

    ATHANOR_DATA=... python bench/cache.py [--quick] [--json]

First the cost of keys, hits and misses, in processor time of this thread on uvloop, as the server runs it. Then the
semantic cache, through the product's own path and with its embedder: shadow comparisons on the questions of some
topics, then hits on the questions of others, where every hit is checked. Beside it, what a fixed threshold on cosines
would have done, as caches commonly have it. The engine is a table of known answers. Without ATHANOR_DATA only the cost
is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import uvloop

from _questions import Asked, Stream, answers, banking, edits, reworded
from athanor.config import Settings
from athanor.engines import Embedder
from athanor.engines.adapters.onnx import OnnxEmbedder, onnx_process
from athanor.engines.local import LocalSettings
from athanor.gateway.cache import Cache, exact_key
from athanor.gateway.cache.agree import agree, signature
from athanor.gateway.cache.calibrate import GRID, lower_bound, upper_bound
from athanor.gateway.cache.semantic import Comparer
from athanor.models import resolve_embedder, resolve_reranker
from athanor.rag.index import decode
from athanor.store import Store
from athanor.store.shadows import Shadows
from athanor.testing.engines import context
from athanor.types import (
    AnswerMode,
    Context,
    EmbedderProfile,
    Embeddings,
    EngineState,
    EngineStatus,
    Event,
    Finished,
    Message,
    Profile,
    Request,
    Role,
    Started,
    TextDelta,
)

PROFILE = Profile(name="m", context=4096, licence="none", grounded=AnswerMode.EXTRACTIVE)
PIECES = 50


class Table:
    """An engine that knows its answers."""

    def __init__(self, known: dict[str, str], *, pieces: int = 1) -> None:
        self.known = known
        self.profile = PROFILE
        self._pieces = pieces

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        text = self.known.get(request.question, "This is the answer.")
        for _ in range(self._pieces):
            yield TextDelta(text=text)
        yield Finished()

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="table")

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class Remembered:
    """An embedder that computes every vector once, in batches."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self._rows: dict[str, bytes] = {}

    @property
    def profile(self) -> EmbedderProfile:
        return self._inner.profile

    async def prepare(self, texts: Sequence[str]) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        for at in range(0, len(new), 64):
            batch = new[at : at + 64]
            rows = (await self._inner.embed(batch, kind="query")).rows()
            self._rows.update(zip(batch, rows, strict=True))
            if sys.stderr.isatty():
                print(f"\r{at + len(batch)}/{len(new)} texts", end="", file=sys.stderr)

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        await self.prepare(texts)
        data = b"".join(self._rows[text] for text in texts)
        return Embeddings(data=data, count=len(texts), dimension=self.profile.dimension, tokens=0)

    def matrix(self, texts: Sequence[str]) -> Any:
        return decode(b"".join(self._rows[text] for text in texts), self.profile.dimension)

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="remembered")

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


def ask(text: str) -> Request:
    return Request(model="m", messages=(Message(role=Role.USER, content=text),))


async def drain(cache: Cache, engine: Table, request: Request, ctx: Context) -> list[Event]:
    async with aclosing(cache.through(engine, request, ctx, "scope")) as events:
        return [event async for event in events]


# The cost


async def cost(*, quick: bool) -> dict[str, float]:
    """Microseconds of processor time for one request: medians over rounds."""
    count, rounds = (1000, 5) if quick else (5000, 9)
    ctx, short = context(), ask("What is the capital of France?")
    long = replace(short, messages=tuple(Message(role=Role.USER, content="word " * 400) for _ in range(20)))
    cache, engine, streaming = _exact("exact"), Table({}), Table({}, pieces=PIECES)
    off = _exact("off")
    other = ask("And of Peru?")
    await drain(cache, engine, short, ctx)
    await drain(cache, streaming, other, ctx)
    numbers = iter(range(1 << 60))

    async def key(request: Request) -> None:
        exact_key(request, PROFILE, scope="key:0123456789", policy="1")

    async def through(used: Cache, model: Table, request: Request) -> None:
        async for _ in used.through(model, request, ctx, "scope"):
            pass

    cases: dict[str, Callable[[], Awaitable[None]]] = {
        "key_short": lambda: key(short),
        "key_40_kB": lambda: key(long),
        "hit": lambda: through(cache, engine, short),
        f"hit_{PIECES}_pieces": lambda: through(cache, streaming, other),
        f"hit_{PIECES}_pieces_joined": lambda: through(cache, streaming, replace(other, stream=False)),
        "off": lambda: through(off, engine, short),
        "miss": lambda: through(cache, engine, ask(str(next(numbers)))),
        f"off_{PIECES}_pieces": lambda: through(off, streaming, short),
        f"miss_{PIECES}_pieces": lambda: through(cache, streaming, ask(str(next(numbers)))),
    }
    spent: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, work in cases.items():
            began = time.thread_time()
            for _ in range(count):
                await work()
            spent[name].append((time.thread_time() - began) / count * 1e6)
    return {name: round(median(values), 1) for name, values in spent.items()}


def _exact(mode: str) -> Cache:
    return Cache(Settings.model_validate({"cache": {"mode": mode}}))


# False hits


async def stream(found: Stream, embedder: Remembered, folder: Path) -> dict[str, Any]:
    """Compare on the first topics, then give and check hits on the others, for each bound that is allowed."""
    await embedder.prepare([text for text, _ in [*found.learn, *found.measure]])
    store = Store.open(f"sqlite:///{folder / 'bench.db'}", blobs=folder / "blobs")
    try:
        shadows = Shadows(store.database)
        learning = _semantic(embedder, shadows, allowed=0.01, share=1.0)
        await _ask_all(learning, found.learn)
        seen = shadows.latest(route="m", embedder=embedder.profile.id, limit=1 << 20)
        curve = []
        for threshold in GRID:
            above = [row for row in seen if row.similarity >= threshold]
            wrong = sum(not row.same for row in above)
            curve.append(
                {
                    "threshold": threshold,
                    "n": len(above),
                    "false": wrong,
                    "bound": round(upper_bound(wrong, len(above)), 4),
                }
            )
        result: dict[str, Any] = {
            "about": found.about, "learn": len(found.learn), "measure": len(found.measure), "comparisons": curve,
            "allowed": {}, "fixed": {},
        }  # fmt: skip
        for allowed in (0.01, 0.05):
            serving = _semantic(embedder, shadows, allowed=allowed, share=0.0)
            result["allowed"][str(allowed)] = await _ask_all(serving, found.measure)
    finally:
        store.close()
    result["fixed"] = _fixed(found.measure, embedder)
    return result


def _semantic(embedder: Remembered, shadows: Shadows, *, allowed: float, share: float) -> Cache:
    settings = {"mode": "semantic", "false_hits": allowed, "shadow": share, "max_mb": 512, "ttl_s": 1e6}
    return Cache(Settings.model_validate({"cache": settings}), embedder=embedder, shadows=shadows)


async def _ask_all(cache: Cache, asked: Sequence[Asked]) -> dict[str, Any]:
    """Ask in order; how many are answered by meaning, and how many of these wrongly."""
    engine, ctx = Table(dict(asked)), context()
    hits = wrong = 0
    for text, answer in asked:
        events = await drain(cache, engine, ask(text), ctx)
        await cache.settle()
        if isinstance(events[0], Started) and events[0].cached == "semantic":
            hits += 1
            wrong += "".join(event.text for event in events if isinstance(event, TextDelta)) != answer
    await cache.aclose()
    return {"threshold": cache.states()["m"].threshold, **_share(hits, wrong, len(asked))}


def _fixed(asked: Sequence[Asked], embedder: Remembered) -> dict[str, Any]:
    """The nearest earlier question from a fixed cosine on, without a look at words or proof: what is usual."""
    vectors = embedder.matrix([text for text, _ in asked])
    result = {}
    for threshold in (0.8, 0.9, 0.95):
        kept: list[int] = []
        hits = wrong = 0
        store = np.empty_like(vectors)
        for number, (_, answer) in enumerate(asked):
            if kept:
                cosines = store[: len(kept)] @ vectors[number]
                best = int(np.argmax(cosines))
                if cosines[best] >= threshold:
                    hits += 1
                    wrong += asked[kept[best]][1] != answer
                    continue
            store[len(kept)] = vectors[number]
            kept.append(number)
        result[str(threshold)] = _share(hits, wrong, len(asked))
    return result


def _share(hits: int, wrong: int, asked: int) -> dict[str, Any]:
    """Two-sided 95 % interval (Clopper-Pearson)."""
    return {
        "hits": hits,
        "hit_rate": round(hits / max(1, asked), 4),
        "false": wrong,
        "false_rate": round(wrong / hits, 4) if hits else None,
        "interval": [round(lower_bound(wrong, hits, 0.975), 4), round(upper_bound(wrong, hits, 0.975), 4)],
    }


async def guards(data: Path, embedder: Remembered, *, quick: bool) -> dict[str, Any]:
    """Edited questions: how near the embedder finds them, and how many the words tell apart."""
    result = {}
    for kind, pairs in edits(data).items():
        used = pairs[:30] if quick else pairs
        await embedder.prepare([text for pair in used for text in pair])
        one, two = (embedder.matrix([pair[i] for pair in used]) for i in (0, 1))
        cosines = np.sum(one * two, axis=1)
        told = [not agree(signature(a), signature(b)) for a, b in used]
        result[kind] = {
            "pairs": len(used), "cosine_median": round(float(np.median(cosines)), 3),
            "cosine_over_0.9": round(float(np.mean(cosines >= 0.9)), 3), "told_apart": round(float(np.mean(told)), 3),
        }  # fmt: skip
    return result


async def comparer(data: Path, embedder: Remembered, *, quick: bool) -> dict[str, Any]:
    """Which answers count as the same: of correct ones in other words, and of incorrect ones."""
    compare = Comparer(embedder)
    result = {}
    for same, pairs in answers(data).items():
        used = pairs[:: len(pairs) // 150] if quick else pairs
        await embedder.prepare([text for pair in used for text in pair])
        found = [await compare.same(one, two) for one, two in used]
        result["correct" if same else "incorrect"] = {
            "pairs": len(used), "called_same": round(sum(found) / len(found), 4)
        }  # fmt: skip
    return result


async def run(options: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {"quick": options.quick, "microseconds": await cost(quick=options.quick)}
    if "ATHANOR_DATA" not in os.environ:
        return result
    data = Path(os.environ["ATHANOR_DATA"])
    found = resolve_embedder()
    onnx = OnnxEmbedder(onnx_process(found, resolve_reranker(), LocalSettings(threads=2)), found.profile)
    embedder = Remembered(onnx)
    try:
        result["streams"] = {}
        for one in [*reworded(data, quick=options.quick), *banking(data, quick=options.quick)]:
            with tempfile.TemporaryDirectory() as folder:
                result["streams"][one.name] = await stream(one, embedder, Path(folder))
        result["edits"] = await guards(data, embedder, quick=options.quick)
        result["answers"] = await comparer(data, embedder, quick=options.quick)
    finally:
        await onnx.aclose()
    return result


def show(result: dict[str, Any]) -> None:
    print("Processor time of one request, µs (median of rounds; a table as the engine; uvloop)")
    for name, value in result["microseconds"].items():
        print(f"  {name.replace('_', ' '):24s} {value:8.1f}")
    for name, row in result.get("streams", {}).items():
        print(f"\n{name}: {row['about']}\n  shadow comparisons on {row['learn']} questions")
        for point in row["comparisons"]:
            print(
                f"    from {point['threshold']:.2f} on  {point['n']:5d}, false {point['false']:4d}, "
                f"95 % bound {point['bound']:.4f}"
            )
        print(f"  then {row['measure']} questions of other topics             hits   false   rate of false hits [95 %]")
        for allowed, found in row["allowed"].items():
            granted = "off" if found["threshold"] is None else f"from {found['threshold']:.2f} on"
            _line(f"allowed {float(allowed):.0%}: {granted}", found)
        for threshold, found in row["fixed"].items():
            _line(f"fixed cosine {threshold}, unproved", found)
    if "edits" in result:
        print("\nEdited questions, never the same answer       pairs  cosine   ≥ .9   told apart by their words")
        for kind, row in result["edits"].items():
            print(
                f"  {kind:42s} {row['pairs']:6d}   {row['cosine_median']:.3f}  {row['cosine_over_0.9']:.3f}   "
                f"{row['told_apart']:.3f}"
            )
    if "answers" in result:
        print("\nAnswers called the same as the best one (TruthfulQA)")
        for kind, row in result["answers"].items():
            print(f"  {kind:10s} {row['called_same']:.3f} of {row['pairs']}")


def _line(what: str, row: dict[str, Any]) -> None:
    low, high = row["interval"]
    rate = "    -" if row["false_rate"] is None else f"{row['false_rate']:.4f} [{low:.4f}, {high:.4f}]"
    print(f"    {what:46s} {row['hit_rate']:6.3f}   {row['false']:5d}   {rate}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a sample, under a minute")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = uvloop.run(run(options))
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
