"""openvino against llama.cpp, both as Athanor runs them: in a supervised process, and through our own HTTP.

Rounds are interleaved, so that a busy minute of the machine hits both. Figures are medians over rounds, with the
smallest and largest in brackets; the ratio is the median of the rounds' ratios. `--wait active` lets OpenMP threads
spin (see design/engines.md).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx

from athanor.engines import LocalEngine, LocalSettings
from athanor.engines.adapters.llamacpp import LlamaCppEngine
from athanor.engines.adapters.openvino import OpenVINOEngine
from athanor.models import resolve_chat
from athanor.testing.engines import chat, context
from athanor.types import Request, TextDelta

KINDS: dict[str, type[LocalEngine]] = {"openvino": OpenVINOEngine, "llamacpp": LlamaCppEngine}
# Some 400 tokens; a number in front of each keeps the prefix cache out of the prompt's figure.
PASSAGE = "The keeper of the lighthouse wrote the weather and the ships into a book every evening. " * 20
STORY = "Write a long story about the sea."


class Door(Protocol):
    """A way to a model: seconds to the first piece, prompt tokens, completion tokens."""

    async def ask(self, request: Request) -> tuple[float, int, int]: ...


class Direct:
    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    async def ask(self, request: Request) -> tuple[float, int, int]:
        started, first, prompt, completion = time.perf_counter(), 0.0, 0, 0
        async for event in self.engine.run(request, context()):
            if isinstance(event, TextDelta) and not first:
                first = time.perf_counter() - started
            prompt += event.usage.prompt_tokens
            completion += event.usage.completion_tokens
        return first, prompt, completion


class Http:
    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self.client = client
        self.model = model

    async def ask(self, request: Request) -> tuple[float, int, int]:
        body = {
            "model": self.model,
            "messages": [{"role": m.role.value, "content": m.content} for m in request.messages],
            "max_tokens": request.sampling.max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        started, first, usage = time.perf_counter(), 0.0, {"prompt_tokens": 0, "completion_tokens": 0}
        async with self.client.stream("POST", "/v1/chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    raise RuntimeError(chunk["error"])
                if not first and any(c["delta"].get("content") for c in chunk.get("choices", ())):
                    first = time.perf_counter() - started
                usage = chunk.get("usage") or usage
        return first, usage["prompt_tokens"], usage["completion_tokens"]


async def measure(door: Door, streams: int, number: int, tokens: int) -> float:
    """Tokens per second over `streams` at once."""
    requests = [chat(f"{STORY} Number {number}, part {i}.", max_tokens=tokens) for i in range(streams)]
    started = time.perf_counter()
    answers = await asyncio.gather(*map(door.ask, requests))
    return sum(answer[2] for answer in answers) / (time.perf_counter() - started)


async def rounds(doors: dict[str, Door], args: argparse.Namespace, streams: list[int]) -> dict[str, Any]:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for door in doors.values():  # the first request of a process pays for what is made on first use
        await door.ask(chat("Hello.", max_tokens=4))
    for number in range(args.rounds):
        for name, door in doors.items():
            first, prompt, _ = await door.ask(chat(f"{number} {time.time_ns()} {PASSAGE}", max_tokens=1))
            found["prompt tok/s"][name].append(prompt / first)
            first, _, _ = await door.ask(chat(f"Hello, number {number}.", max_tokens=1))
            found["first token ms"][name].append(1000 * first)
        for count in streams:
            for name, door in doors.items():
                speed = await measure(door, count, 1000 * number + count, args.tokens)
                found[f"{count} stream{'s' * (count > 1)} tok/s"][name].append(speed)
    return {what: summary(values) for what, values in found.items()}


def summary(values: dict[str, list[float]]) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: {"median": statistics.median(v), "min": min(v), "max": max(v)} for name, v in values.items()
    }
    if len(values) == 2:
        ours, theirs = values.values()
        row["ratio"] = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return row


async def direct(args: argparse.Namespace, streams: list[int], home: Path) -> dict[str, Any]:
    model = resolve_chat(args.model, None, home)
    settings = LocalSettings(threads=args.threads, wait=args.wait)
    engines: dict[str, LocalEngine] = {}
    facts: dict[str, Any] = {}
    try:
        for name in args.backends:
            engine = engines[name] = KINDS[name](model.profile, model, settings)
            started = time.perf_counter()
            await engine.process.ready()
            facts[name] = {"load s": time.perf_counter() - started}
        table = await rounds({name: Direct(engine) for name, engine in engines.items()}, args, streams)
        for name, engine in engines.items():
            facts[name]["resident MiB"] = (engine.process.resident_bytes() or 0) >> 20
        return {"processes": facts, "table": table}
    finally:
        for engine in engines.values():
            await engine.aclose()


@asynccontextmanager
async def server(args: argparse.Namespace, home: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Our own server on a free port, with one model per backend."""
    path = resolve_chat(args.model, None, home).path
    tables = "".join(
        f'[models.{name}]\nsource = "file:{path}"\nbackend = "{name}"\nthreads = {args.threads}\n'
        for name in args.backends
    )
    settings = f'chat = "{args.backends[0]}"\nprocessor_wait = "{args.wait}"\n[server]\nconsole = false\n{tables}'
    (home / "athanor.toml").write_text(settings)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ATHANOR_")}
    command = [sys.executable, "-m", "athanor", "up", "--port", "0", "--no-browser"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220  # its start is not what is measured
            command, cwd=home, env={**environment, "ATHANOR_HOME": str(home)}, stdout=log, stderr=log
        )
    try:
        while not ((home / "server.json").exists() and (home / "local.key").exists()):
            if process.poll() is not None:
                raise SystemExit(f"the server did not start: {(home / 'log').read_text()[-500:]}")
            await asyncio.sleep(0.1)
        url = json.loads((home / "server.json").read_text())["url"]
        headers = {"authorization": f"Bearer {(home / 'local.key').read_text().strip()}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=300) as client:
            for _ in range(300):
                try:
                    await client.get("/health")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait()


async def over_http(args: argparse.Namespace, streams: list[int], home: Path) -> dict[str, Any]:
    async with server(args, home) as client:
        doors: dict[str, Door] = {name: Http(client, name) for name in args.backends}
        return {"table": await rounds(doors, args, streams)}


def show(title: str, found: dict[str, Any], backends: list[str]) -> None:
    print(f"\n{title}")
    print(f"{'':18}" + "".join(f"{name:>26}" for name in backends) + f"{'ratio':>8}")
    for name, facts in found.get("processes", {}).items():
        print(f"  {name}: loaded in {facts['load s']:.1f} s, {facts['resident MiB']} MiB resident after the run")
    for what, row in found["table"].items():
        cells = "".join(
            f"{row[n]['median']:>10.1f} ({row[n]['min']:.1f}–{row[n]['max']:.1f})".rjust(26) for n in backends
        )
        ratio = f"{row['ratio']:>7.2f}×" if "ratio" in row else ""
        print(f"{what:18}{cells}{ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="two short rounds, without HTTP: under a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--http", choices=["yes", "no", "only"], help="through our server too (default: not in --quick)"
    )
    parser.add_argument("--model", default="smollm2-135m", help="a chat model of the catalogue")
    parser.add_argument("--backends", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--tokens", type=int, help="per answer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--wait", choices=["passive", "active"], default="passive")
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.tokens = args.tokens or (24 if args.quick else 64)
    http = args.http or ("no" if args.quick else "yes")
    streams = [1, 4, 16] if args.quick else [1, 4, 8, 16]
    result: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "load": os.getloadavg()[0]},
        "settings": {k: getattr(args, k) for k in ("model", "rounds", "tokens", "threads", "wait")},
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if http != "only":
            result["process"] = asyncio.run(direct(args, streams, home))
        if http != "no":
            result["http"] = asyncio.run(over_http(args, streams, home))
    result["machine"]["load after"] = os.getloadavg()[0]
    if args.json:
        print(json.dumps(result, indent=2))
        return
    load = result["machine"]
    print(f"{args.model}, {args.threads} threads, {args.wait} wait, {args.rounds} rounds; other work on the machine:")
    print(f"load average {load['load']:.1f} before and {load['load after']:.1f} after, our own included")
    for title, key in (("In its process, as the gateway calls it", "process"), ("Through our HTTP", "http")):
        if key in result:
            show(title, result[key], args.backends)


if __name__ == "__main__":
    main()
