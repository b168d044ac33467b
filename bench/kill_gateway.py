"""`kill -9` under load, again and again: is every acknowledged answer in the ledger, and every cent in the budgets?

    python bench/kill_gateway.py [--quick] [--json] [--kills N]

Each turn starts the server on the same home folder, lets eight clients ask (half of the answers are streams), kills it
with SIGKILL at a random moment, and starts it again. An answer counts as acknowledged when its client has all of it:
the body of a JSON answer, the `[DONE]` of a stream. Then every acknowledged trace must be a row of the ledger, and what
the server says was spent by the system and by the key must be what the ledger adds up to. Nothing is repaired in
between; at the end SQLite checks the file.

`kill -9` leaves what was written to the operating system; a power failure is another test. `--quick`: 5 kills, not 50.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from _athanor import SETTINGS, Athanor, mock
from _load import Ask, Job, Load
from _target import MODEL

CLIENTS = 8
MOMENT = (0.1, 1.5)
"""Seconds of load before the kill."""
CENT = 1e-9
"""US dollars by which two sums of floating point may differ."""


def asks() -> list[Ask]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello. #"}]}
    paced = {"model": MODEL, "messages": [{"role": "user", "content": "[paced] #"}]}
    streams = ({**body, "stream": True}, {**paced, "stream": True})
    return [Ask(share=2, body=body), *(Ask(body=stream) for stream in streams)]


def spending(server: Athanor) -> dict[str, float]:
    """US dollars of today as the server says, by kind and id."""
    rows = json.loads(server.get("/api/spending"))["data"]
    return {f"{row['kind']}:{row['id']}": row["usd_today"] for row in rows}


def ledger(server: Athanor, since: float) -> dict[str, float]:
    """The same from the ledger."""
    [(total,)] = server.rows("SELECT coalesce(sum(cost), 0) FROM requests WHERE at >= ?", since)
    rows = server.rows("SELECT key, sum(cost) FROM requests WHERE at >= ? AND key IS NOT NULL GROUP BY key", since)
    return {"system:": total, **{f"key:{key}": cost for key, cost in rows}}


def midnight() -> float:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def kill_under_load(server: Athanor, load: Load, job: Job) -> tuple[set[str], float]:
    """Traces that clients got whole, and the seconds after which the server was killed."""
    load.start(job)
    moment = random.uniform(*MOMENT)
    time.sleep(moment)
    os.killpg(server.pid, signal.SIGKILL)
    server.reap()
    load.result()
    return set(Path(job.traces).read_text().split()), moment


def run(kills: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(mock(folder / "mock"))
        server = Athanor(folder / "home", SETTINGS % upstream.base)
        stack.callback(server.stop)
        server.start()
        headers = server.new_key("bench")
        load = Load()
        stack.callback(load.close)
        job = Job(url="", headers=headers, asks=asks(), connections=CLIENTS, seconds=30, traces=str(folder / "traces"))
        acknowledged: set[str] = set()
        missing: set[str] = set()
        lost: dict[str, float] = {}
        restarts: list[float] = []
        for number in range(kills):
            job.url, job.begin = server.url, number * 1_000_000
            whole, moment = kill_under_load(server, load, job)
            acknowledged |= whole
            restarts.append(server.start())
            kept = {trace for (trace,) in server.rows("SELECT trace FROM requests")}
            missing |= acknowledged - kept
            books, told = ledger(server, midnight()), spending(server)
            for who, usd in books.items():
                if abs(usd - told.get(who, 0.0)) > CENT:
                    lost[f"{number}:{who}"] = usd - told.get(who, 0.0)
            print(
                f"  {number + 1:3}: killed after {moment:.2f} s, {len(whole)} acknowledged, up again in "
                f"{restarts[-1]:.1f} s, {1e6 * books['system:']:.0f} millionths of a dollar on the books",
                file=sys.stderr,
            )
        [(check,)] = server.rows("PRAGMA quick_check")
        [(rows,)] = server.rows("SELECT count(*) FROM requests")
        return {
            "kills": kills, "acknowledged": len(acknowledged), "missing": sorted(missing), "rows": rows, "lost": lost,
            "restarts": restarts, "check": check, "usd": ledger(server, midnight())["system:"],
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 kills: under a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--kills", type=int, help="default: 50")
    args = parser.parse_args()
    found = run(args.kills or (5 if args.quick else 50))
    passed = {
        "acknowledged answers missing from the ledger": not found["missing"],
        "budgets that differ from the ledger": not found["lost"],
        "restarts without repair": len(found["restarts"]) == found["kills"] and found["check"] == "ok",
    }
    if args.json:
        print(json.dumps({**found, "passed": passed}, indent=2))
    else:
        missing, lost, ups = len(found["missing"]), len(found["lost"]), found["restarts"]
        print(f"{found['kills']} kills, {found['acknowledged']} acknowledged answers, {found['rows']} rows")
        for (what, good), figure in zip(
            passed.items(),
            (
                f"{missing} of {found['acknowledged']}",
                f"{lost} (the books: {found['usd']:.6f} US dollars today)",
                f"{len(ups)} of {found['kills']}, median {statistics.median(ups):.2f} s, at most {max(ups):.2f} s; "
                f"SQLite's check: {found['check']}",
            ),
            strict=True,
        ):
            print(f"  {'PASS' if good else 'FAIL'} {what:46} {figure}")
    raise SystemExit(not all(passed.values()))


if __name__ == "__main__":
    main()
