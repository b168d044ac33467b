"""Does anything stay behind? Requests by the ten thousand, many of which end badly.

    python bench/soak.py [--quick] [--json] [--requests N]

Of every twenty requests four are streams that the client leaves after the first piece, one is answered by the upstream
with an error, six are streams read to the end and nine come in one piece; 32 clients, one mock upstream, everything of
ours on. Checked at the end: memory does not grow, every request has its ledger row with the right status, nothing is
still open, and no connection is left, neither to clients nor to the upstream.

Memory: the resident size of the server's process is taken after every fiftieth of the requests. The slope is Theil and
Sen's (the median over all pairs), on the samples after the first third; it is within noise when its 95 % interval holds
zero, or when the growth it means over these samples is below 1 MiB, the step in which allocators grow. `--quick` sends
3,000 and prints the slope without judging it: a third of so few is no warm-up.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from _athanor import SETTINGS, Athanor, Mock, mock
from _load import Ask, Job, Load
from _target import MODEL

CLIENTS = 32
SAMPLES = 50
SETTLE = 10.0
"""Seconds for the last cancelled requests to be written down."""
KEPT = 130.0
"""Seconds after which an idle connection to the upstream must be closed: twice the 60 for which it is kept."""


def asks() -> list[Ask]:
    def body(content: str, **more: Any) -> dict[str, Any]:
        return {"model": MODEL, "messages": [{"role": "user", "content": content}], **more}

    return [
        Ask(share=9, body=body("Say hello. #")),
        Ask(share=6, body=body("Say hello. #", stream=True)),
        Ask(share=4, body=body("[slow] #", stream=True), cancel=True),
        Ask(share=1, body=body("[fail] #"), status=502),
    ]


def theil_sen(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float, float]:
    """Median slope over all pairs, and its 95 % interval by Kendall's statistic."""
    slopes = sorted(
        (ys[j] - ys[i]) / (xs[j] - xs[i]) for i in range(len(xs)) for j in range(i + 1, len(xs)) if xs[j] != xs[i]
    )
    n, count = len(xs), len(slopes)
    reach = 1.96 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, int((count - reach) / 2))
    high = min(count - 1, int((count + reach) / 2) + 1)
    return statistics.median(slopes), slopes[low], slopes[high]


def established(pid: int, port: int) -> int:
    """Connections of clients that the server still holds."""
    found = 0
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        # 01 is ESTABLISHED, 08 CLOSE_WAIT: the client has gone and the server has not closed.
        found += int(fields[1].rpartition(":")[2], 16) == port and fields[3] in {"01", "08"}
    return found


def files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def counted(server: Athanor) -> dict[str, int]:
    """Ledger rows by status."""
    return dict(server.rows("SELECT status, count(*) FROM requests GROUP BY status"))  # type: ignore[arg-type]


def settled(server: Athanor, rows: int) -> float:
    """Wait until there are `rows` and nothing is open; the number that is open at last."""
    until = time.monotonic() + SETTLE
    while True:
        left = server.metrics()["athanor_open_requests"]
        if (left == 0 and sum(counted(server).values()) >= rows) or time.monotonic() > until:
            return left
        time.sleep(0.1)


def upstream_left(upstream: Mock, *, wait: float) -> int:
    """Connections that the upstream still sees."""
    until = time.monotonic() + wait
    while (left := upstream.seen()["open"]) and time.monotonic() < until:
        time.sleep(0.5)
    return left


def soak(requests: int, *, quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(mock(folder / "mock"))
        server = Athanor(folder / "home", SETTINGS % upstream.base)
        stack.callback(server.stop)
        server.start()
        headers = server.new_key("soak")
        load = Load()
        stack.callback(load.close)
        job = Job(url=server.url, headers=headers, asks=asks(), connections=CLIENTS, seconds=3600)
        before = counted(server)
        opened = files(server.pid)
        sent, outcomes, samples = 0, dict[str, int](), []
        began, before_it = time.perf_counter(), server.processor()
        for number in range(SAMPLES):
            job.begin, job.requests = sent, requests * (number + 1) // SAMPLES - sent
            found = load.run(job)
            sent += found["sent"]
            for what, count in found["outcomes"].items():
                outcomes[what] = outcomes.get(what, 0) + count
            samples.append((sent, server.server_resident()))
            if not quick and number % 10 == 9:
                print(f"  {sent} sent, {samples[-1][1]:.1f} MiB", file=sys.stderr)
        took, spent = time.perf_counter() - began, server.processor() - before_it
        still_open = settled(server, sent + sum(before.values()))
        rows = {what: count - before.get(what, 0) for what, count in counted(server).items()}
        [billed] = server.rows("SELECT count(*) FROM requests WHERE status = 'cancelled' AND completion_tokens > 0")
        port = urlsplit(server.base).port or 0
        seen = upstream.seen()
        return {
            "requests": sent, "seconds": took, "processor": spent,
            "outcomes": outcomes, "rows": rows, "samples": samples,
            "open": still_open, "cancelled and billed": billed[0],
            "lost": server.metrics()["athanor_records_lost_total"],
            "client connections": established(server.pid, port),
            "upstream connections at once": seen["most"],
            "upstream connections left": upstream_left(upstream, wait=0 if quick else KEPT),
            "files": (opened, files(server.pid)), "upstream": seen,
        }  # fmt: skip


def judge(found: dict[str, Any], *, quick: bool) -> list[tuple[str, bool | None, str]]:
    """What was checked, whether it holds (None: not judged), and the figures."""
    sent, rows, outcomes = found["requests"], found["rows"], found["outcomes"]
    cancelled, failed = outcomes.get("cancelled", 0), outcomes.get("502", 0)
    other = {k: v for k, v in outcomes.items() if k not in {"200", "502", "cancelled"}}
    kept = found["samples"][len(found["samples"]) // 3 :]
    slope, low, high = theil_sen([x for x, _ in kept], [y for _, y in kept])
    growth = slope * (kept[-1][0] - kept[0][0])
    interval = f"{1e5 * slope:+.2f} MiB per 100,000 requests (95 %: {1e5 * low:+.2f} to {1e5 * high:+.2f})"
    total = sum(rows.values())
    bad = total - rows.get("ok", 0) - rows.get("cancelled", 0)
    early, billed = rows.get("cancelled", 0), found["cancelled and billed"]
    left, most = found["upstream connections left"], found["upstream connections at once"]
    before, after = found["files"]
    return [
        ("requests ended as planned", not other, f"{sum(outcomes.values())} of {sent}; {other or 'none'} else"),
        ("ledger rows == requests", total == sent and not found["lost"], f"{total} == {sent}"),
        # On a machine that is out of breath, two seconds of stream may be over before the server notices.
        ("cancelled rows", 0.99 * cancelled <= early <= cancelled, f"{early} of {cancelled} that clients left"),
        ("cancelled rows billed", billed == early, f"{billed} of {early}"),
        ("failed rows", bad == failed, f"{bad} == {failed}"),
        ("open requests and spans", found["open"] == 0, f"{found['open']:.0f}"),
        ("client connections left", found["client connections"] == 0, f"{found['client connections']}"),
        (
            "upstream connections left",
            left <= CLIENTS if quick else left == 0,
            f"{left} now, {most} at once at most, for {CLIENTS} clients",
        ),
        ("open files", after <= before + CLIENTS, f"{before} before, {after} after"),
        (
            "memory",
            None if quick else low <= 0 <= high or growth < 1,
            f"{found['samples'][0][1]:.1f} → {found['samples'][-1][1]:.1f} MiB; {interval}",
        ),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3,000 requests: under a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--requests", type=int, help="default: 100,000")
    args = parser.parse_args()
    found = soak(args.requests or (3_000 if args.quick else 100_000), quick=args.quick)
    verdicts = judge(found, quick=args.quick)
    if args.json:
        checks = {what: {"passed": passed, "figures": figures} for what, passed, figures in verdicts}
        print(json.dumps({**found, "checks": checks}, indent=2))
    else:
        print(
            f"{found['requests']} requests in {found['seconds']:.0f} s ({found['requests'] / found['seconds']:.0f}/s)"
        )
        for what, passed, figures in verdicts:
            print(f"  {'not judged' if passed is None else 'PASS' if passed else 'FAIL':10} {what:28} {figures}")
    raise SystemExit(any(passed is False for _, passed, _ in verdicts))


if __name__ == "__main__":
    main()
