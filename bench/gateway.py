"""What a request costs: ours with everything on, against other gateways, over one mock upstream on loopback.

    python bench/gateway.py [--quick] [--json] [--peers DIR] [--install] [--only NAME …]

Ours runs with a key, limits and budgets on key and system, one ledger row and one trace a request. The peers run as
they come (see the notes below the tables), each from its own folder below DIR (or below what ATHANOR_PEERS names);
`--install` puts them there from the package index, which takes minutes and 2 GB. Beside them stand the limits: the
mock asked directly, and a proxy on our libraries that only passes bytes on.

All gateways run at once and are measured in turn, round after round, so that a busy minute of the machine hits all of
them. Figures are medians over the rounds with the smallest and largest. Processor time is that of the gateway's whole
process tree, 0.3 s of rest after the load included, and is the figure that other work on the machine disturbs least.
Latency counts from the moment at which a request was due. `--quick`: one short round, one rate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _athanor import CACHED, SETTINGS, Athanor, mock
from _load import Ask, Job, Load
from _peers import PEERS, available, installed_size
from _tables import BARE, HIT, MOCK, OURS, Options, show, summary
from _target import MODEL, Plan, Target, free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FULL = Options(rounds=5, closed=2.5, open=2.5, rates=(50, 200), starts=3)
QUICK = Options(rounds=1, closed=0.8, open=0.8, rates=(200,), starts=1)


@dataclass(kw_only=True)
class Row:
    """One line of the tables: a gateway, and how it is asked."""

    name: str
    target: Target
    headers: dict[str, str]
    model: str
    unique: bool = True
    streams: bool = True
    facts: dict[str, float] = field(default_factory=dict)
    rounds: list[dict[str, float | None]] = field(default_factory=list)
    answered: int = 0
    _number: int = 0

    def job(self, content: str, *, stream: bool = False, **how: Any) -> Job:
        body: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": content}]}
        if stream:
            body["stream"] = True
        job = Job(url=self.target.url, headers=self.headers, asks=[Ask(body=body)], unique=self.unique, **how)
        job.begin, self._number = self._number, self._number + 1_000_000
        return job


def closed(row: Row, load: Load, job: Job) -> tuple[float | None, dict[str, Any]]:
    """Milliseconds of processor time for each answer, and what the generator saw."""
    before = row.target.processor()
    found = load.run(job)
    time.sleep(0.3)
    spent = row.target.processor() - before
    row.answered += found["answered"]
    if found["failures"] or not found["answered"]:
        print(f"{row.name}: {found['failures']} failures: {found['outcomes']}", file=sys.stderr)
        return None, found
    return 1000 * spent / found["answered"], found


def one_round(row: Row, load: Load, options: Options) -> dict[str, float | None]:
    """All figures of one gateway, once."""
    figures: dict[str, float | None] = {}
    cost, found = closed(row, load, row.job("Say hello. #", connections=64, seconds=options.closed))
    figures["cpu"] = cost
    figures["requests/s"] = found["answered"] / found["seconds"]
    for rate in options.rates:
        before = row.target.processor()
        found = load.run(row.job("Say hello. #", rate=rate, seconds=options.open, connections=128))
        row.answered += found["answered"]
        kept = not found["failures"] and not found["unfinished"] and found["seconds"] < options.open + 0.5
        for name in ("p50", "p99"):
            figures[f"{name} at {rate}/s"] = found["latency"][name] if kept else None
        figures[f"cpu at {rate}/s"] = 1000 * (row.target.processor() - before) / found["answered"] if kept else None
    if row.streams:
        paced = f"[paced] {'#' if row.unique else 'again'}"
        found = load.run(row.job(paced, stream=True, rate=20, seconds=options.open))
        figures["first token"] = found["first"]["p50"] if found["first"] else None
        job = row.job(paced, stream=True, connections=32, seconds=options.closed)
        figures["cpu of a stream"], _ = closed(row, load, job)
    return figures


def warm_up(row: Row, load: Load) -> None:
    """What is made on first use."""
    row.answered += load.run(row.job("Say hello. #", connections=8, requests=200, seconds=2))["answered"]
    if row.streams:
        load.run(row.job("Say hello. #", stream=True, connections=8, requests=50, seconds=1))


def bare(folder: Path, upstream: str) -> Target:
    port = free_port()
    command = [sys.executable, str(HERE / "_bare.py"), upstream, str(port)]
    return Target(BARE, Plan(command=command, url=f"http://127.0.0.1:{port}/v1/chat/completions"), folder)


def begin(target: Target, stack: ExitStack, starts: int) -> dict[str, float]:
    """Start it `starts` times; the last stays. Seconds and MiB."""
    taken = []
    for number in range(starts):
        taken.append(target.start())
        if number < starts - 1:
            target.stop()
    stack.callback(target.stop)
    return {"start": statistics.median(taken)}


def ours(folder: Path, upstream: str, stack: ExitStack, options: Options, peers: Path | None) -> list[Row]:
    """Our rows: without the cache, and of a route where every answer is a hit."""
    server = Athanor(folder / "athanor", SETTINGS % upstream)
    server.ready()  # makes the home folder
    server.stop()
    ready = []
    for _ in range(options.starts):
        ready.append(server.ready())
        server.stop()
    server.ready()
    time.sleep(1.5)
    idle = {"idle": server.resident(), "idle, server": server.server_resident()}
    server.stop()
    facts = {**begin(server, stack, options.starts), **idle, "ready": statistics.median(ready)}
    if peers is not None and (peers / "athanor").exists():
        facts["installed"] = installed_size(peers / "athanor") / 1e6
    headers = server.new_key("bench")
    return [
        Row(name=OURS, target=server, headers=headers, model=MODEL, facts=facts),
        Row(name=HIT, target=server, headers=headers, model=CACHED, unique=False),
    ]


def measure(args: argparse.Namespace, options: Options) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(mock(folder / "mock"))
        url = upstream.base
        rows = [Row(name=MOCK, target=upstream, headers={}, model=MODEL)]
        proxy = bare(made(folder / "bare"), url)
        rows.append(Row(name=BARE, target=proxy, headers={}, model=MODEL, facts=begin(proxy, stack, 1)))
        rows += ours(folder, url, stack, options, args.peers)
        for peer in available(args.peers, args.only):
            place = made(folder / peer.name)
            installed = peer.folder(args.peers)
            target = Target(peer.name, peer.plan(installed, place, url), place)
            try:
                facts = begin(target, stack, options.starts)
            except RuntimeError as error:
                print(f"{error}\n{peer.name} is left out.", file=sys.stderr)
                continue
            facts["installed"] = peer.size(args.peers)
            row = Row(name=peer.name, target=target, headers=target.plan.headers, model=target.plan.model, facts=facts)
            row.streams = peer.streams
            rows.append(row)
        load = Load()
        stack.callback(load.close)
        for row in rows:
            row.facts["before"] = row.target.resident()
            warm_up(row, load)
        for number in range(options.rounds):
            for row in rows[number % len(rows) :] + rows[: number % len(rows)]:
                row.rounds.append(one_round(row, load, options))
        for row in rows:
            row.facts["after"] = row.target.resident()
        return {row.name: {"facts": row.facts, "rounds": row.rounds, "answered": row.answered} for row in rows}


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def install(peers: Path, only: list[str] | None) -> None:
    """One after the other: these are large."""
    peers.mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        if (only is None or peer.name.lower() in {name.lower() for name in only}) and not peer.installed(peers):
            print(f"installing {peer.requirement} …", file=sys.stderr)
            peer.install(peers)
    own = peers / "athanor"
    if not own.exists():
        print("installing ours, for its size …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(own)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(own / "bin/python"), "install", "--quiet", str(ROOT)]
        try:
            subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt")], check=True)
        except subprocess.CalledProcessError:
            shutil.rmtree(own)
            raise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round: under a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peers", type=Path, default=os.environ.get("ATHANOR_PEERS"), help="where peers are installed")
    parser.add_argument("--install", action="store_true", help="install what is missing there")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these peers; none: ours alone")
    args = parser.parse_args()
    args.peers = None if args.peers is None or args.only == [] else Path(args.peers).resolve()
    options = QUICK if args.quick else FULL
    if args.install:
        if args.peers is None:
            parser.error("--install needs --peers DIR")
        install(args.peers, args.only)
    machine = {"processors": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
    found = measure(args, options)
    machine["load after"] = os.getloadavg()[0]
    result = {"machine": machine, "options": vars(options), "figures": summary(found, options)}
    if args.json:
        print(json.dumps({**result, "rounds": {name: one["rounds"] for name, one in found.items()}}, indent=2))
    else:
        show(result, options)


if __name__ == "__main__":
    main()
