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
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from _doors import KINDS, PASSAGE, Direct, Door, Http, measure, server
from athanor.engines import LocalEngine, LocalSettings
from athanor.models import resolve_chat
from athanor.testing.engines import chat


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


async def over_http(args: argparse.Namespace, streams: list[int], home: Path) -> dict[str, Any]:
    async with server(args.model, args.backends, home, threads=args.threads, wait=args.wait) as (url, key):
        doors: dict[str, Door] = {name: Http(url, name, key) for name in args.backends}
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
