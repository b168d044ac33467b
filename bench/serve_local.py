"""A local model through our whole HTTP path: against its bare engine, and against llama.cpp's own HTTP server.

    python bench/serve_local.py [--quick] [--json] [--wait active]

The same weights everywhere. "Bare" is the engine as the gateway calls it: its process, without HTTP, keys, ledger and
traces. The peer is llama.cpp's server as shipped in the `xllamacpp` wheel, with the same threads, as many slots as our
batch (16) over one shared context, the same OpenMP wait, and otherwise its defaults. All run at once and are measured
in turn; each ratio is the median of the rounds' ratios, so that a busy minute of the machine hits both sides. One
client for all, which does next to nothing, in the process that also holds the bare engine's side.

First-token time is of one stream on an idle model: of a prompt of some 500 tokens that nobody has seen; and of a
question behind 400 tokens that all of them share, after one has been asked (warm) against none (cold).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvloop

from _doors import KINDS, PASSAGE, Direct, Door, Http, measure, server
from _target import free_port
from athanor.engines import LocalSettings
from athanor.models import resolve_chat
from athanor.testing.engines import chat

PEER = "llama.cpp's server"
LONG = PASSAGE + PASSAGE[: len(PASSAGE) // 5]
"""Some 450 tokens; with the template, the number and the question about 500."""
PATH, AGAINST, SOONER, PREFIX = 0.95, 1.8, 4.0, 5.0
"""The aims."""

Values = dict[str, dict[str, list[float]]]
"""What was measured → door → one value for each round."""


@asynccontextmanager
async def peer(path: Path, folder: Path, args: argparse.Namespace) -> AsyncIterator[str]:
    """llama.cpp's own server: its URL."""
    port = free_port()
    script = Path(__file__).with_name("_llamacpp_server.py")
    command = [sys.executable, str(script), str(path), str(port)]
    command += ["--threads", str(args.threads), "--context", str(args.context)]
    environment = {**os.environ, "OMP_WAIT_POLICY": args.wait.upper()}
    with (folder / "peer.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: ASYNC220  # not measured
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            for _ in range(600):
                if process.poll() is not None:
                    raise SystemExit(f"llama.cpp's server ended: {(folder / 'peer.log').read_text()[-500:]}")
                try:
                    if (await client.get("/health")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


async def first(door: Door, text: str) -> float:
    """Milliseconds until the first piece."""
    seconds, _, _ = await door.ask(chat(text, max_tokens=1))
    return 1000 * seconds


async def one_round(doors: dict[str, Door], found: Values, number: int, args: argparse.Namespace) -> None:
    turn = number % len(doors)
    order = [*doors.items()][turn:] + [*doors.items()][:turn]
    for name, door in order:
        mark = f"{number} {time.time_ns()}"
        found["new prompt, first token ms"][name].append(await first(door, f"{mark} {LONG} What is it about?"))
        shared = f"Prefix {mark}: {PASSAGE}"
        found["prefix cold, first token ms"][name].append(await first(door, f"{shared} Who wrote?"))
        found["prefix warm, first token ms"][name].append(await first(door, f"{shared} What was written, and when?"))
    for count in args.streams:
        for name, door in order:
            speed = await measure(door, count, 1000 * number + count, args.tokens)
            found[f"{count} tok/s"][name].append(speed)


async def run(args: argparse.Namespace, home: Path) -> Values:
    model = resolve_chat(args.model, None, home)
    settings = LocalSettings(threads=args.threads, wait=args.wait)
    found: Values = defaultdict(lambda: defaultdict(list))
    async with AsyncExitStack() as stack:
        doors: dict[str, Door] = {}
        for name in args.backends:
            engine = KINDS[name](model.profile, model, settings)
            stack.push_async_callback(engine.aclose)
            await engine.process.ready()
            doors[f"{name}, bare"] = Direct(engine)
        url, key = await stack.enter_async_context(
            server(args.model, args.backends, home, threads=args.threads, wait=args.wait)
        )
        doors |= {f"{name}, ours": Http(url, name, key) for name in args.backends}
        assert model.path is not None
        doors[PEER] = Http(await stack.enter_async_context(peer(model.path, home, args)), args.model)
        for door in doors.values():  # what is made on first use
            await door.ask(chat("Hello.", max_tokens=4))
        for number in range(args.rounds):
            await one_round(doors, found, number, args)
    return found


def ratio(above: list[float], below: list[float]) -> dict[str, float]:
    values = [a / b for a, b in zip(above, below, strict=True)]
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(found: Values, backends: list[str]) -> list[dict[str, Any]]:
    """Each comparison, with its aim where there is one."""
    rows: list[dict[str, Any]] = []

    def add(what: str, above: list[float], below: list[float], aim: float | None) -> None:
        rows.append({"what": what, **ratio(above, below), "aim": aim})

    speeds = [what for what in found if what.endswith("tok/s")]
    for name in backends:
        ours, bare = f"{name}, ours", f"{name}, bare"
        first_choice = name == backends[0]
        for what in speeds:
            count = int(what.split()[0])
            add(f"{name}: tok/s at {count}, whole path over bare engine", found[what][ours], found[what][bare], PATH)
            aim = AGAINST if count >= 4 and first_choice else None
            add(f"{name}: tok/s at {count}, ours over llama.cpp's", found[what][ours], found[what][PEER], aim)
        new = found["new prompt, first token ms"]
        aim = SOONER if first_choice else None
        add(f"{name}: first token of a new prompt, times sooner than llama.cpp's", new[PEER], new[ours], aim)
        cold, warm = found["prefix cold, first token ms"], found["prefix warm, first token ms"]
        add(f"{name}: first token behind a shared prefix, times sooner than cold", cold[ours], warm[ours], PREFIX)
    cold, warm = found["prefix cold, first token ms"], found["prefix warm, first token ms"]
    add("the same in llama.cpp's server", cold[PEER], warm[PEER], None)
    return rows


def show(result: dict[str, Any]) -> None:
    machine, settings = result["machine"], result["settings"]
    print(
        f"{settings['model']}, {settings['threads']} threads, {settings['wait']} wait, {settings['rounds']} rounds of "
        f"{settings['tokens']} tokens an answer; load average {machine['load']:.1f} and {machine['load after']:.1f}"
    )
    names = list(next(iter(result["values"].values())))
    print(f"\n{'':29}" + "".join(f"{name:>26}" for name in names))
    for what, values in result["values"].items():
        cells = (f"{statistics.median(v):.1f} ({min(v):.1f}–{max(v):.1f})" for v in values.values())
        print(f"{what:29}" + "".join(f"{cell:>26}" for cell in cells))
    print(f"\n{'ratios':76} median (smallest–largest)")
    for row in result["ratios"]:
        aim = f"aim ≥ {row['aim']:g}: {'met' if row['median'] >= row['aim'] else 'NOT met'}" if row["aim"] else ""
        print(f"  {row['what']:74} {row['median']:5.2f} ({row['min']:.2f}–{row['max']:.2f})  {aim}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of the first backend: under a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", default="smollm2-135m", help="a chat model of the catalogue")
    parser.add_argument("--backends", nargs="+", choices=list(KINDS), help="default: both; --quick: openvino")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--tokens", type=int, help="per answer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=16384, help="of llama.cpp's server, shared by its slots")
    parser.add_argument("--wait", choices=["passive", "active"], default="passive", help="of OpenMP threads")
    args = parser.parse_args()
    args.backends = args.backends or (["openvino"] if args.quick else list(KINDS))
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.tokens = args.tokens or (16 if args.quick else 64)
    args.streams = [1, 4] if args.quick else [1, 4, 8, 16]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(run(args, Path(folder)))
    result = {
        "machine": {"load": load, "load after": os.getloadavg()[0]},
        "settings": {name: getattr(args, name) for name in ("model", "rounds", "tokens", "threads", "wait", "context")},
        "values": {what: dict(values) for what, values in found.items()},
        "ratios": ratios(found, args.backends),
    }
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
