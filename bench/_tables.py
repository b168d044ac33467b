"""What `gateway.py` makes of its observations, and how it prints them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from _mock import PACED as PIECES
from _peers import ABSENT, PEERS

MOCK, BARE, OURS, HIT = "mock alone", "bare proxy", "Athanor", "Athanor, cache hit"


@dataclass(kw_only=True)
class Options:
    rounds: int
    closed: float
    """Seconds of each closed loop."""
    open: float
    """Seconds of each open loop."""
    rates: tuple[int, ...]
    starts: int


def summed(found: dict[str, Any], name: str, what: str, less: str | None = None) -> dict[str, float] | None:
    """Median, smallest and largest over the rounds; `less` is subtracted round by round."""
    values = []
    for number, one in enumerate(found[name]["rounds"]):
        value = one.get(what)
        base = found[less]["rounds"][number].get(what) if less else 0.0
        if value is not None and base is not None:
            values.append(value - base)
    if not values:
        return None
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(found: dict[str, Any], options: Options) -> dict[str, Any]:
    """For each gateway, the figures of the tables."""
    result: dict[str, Any] = {}
    for name, one in found.items():
        ratios = [
            their["cpu"] / our["cpu"]
            for their, our in zip(one["rounds"], found[OURS]["rounds"], strict=True)
            if their["cpu"] and our["cpu"]
        ]
        row: dict[str, Any] = {
            "cpu": summed(found, name, "cpu"),
            "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)} if ratios else None,
            "cpu of a stream": summed(found, name, "cpu of a stream"),
            "requests/s": summed(found, name, "requests/s"),
        }
        less = None if name == MOCK else MOCK
        for rate in options.rates:
            row[f"cpu at {rate}/s"] = summed(found, name, f"cpu at {rate}/s")
            for what in ("p50", "p99"):
                row[f"{what} at {rate}/s"] = summed(found, name, f"{what} at {rate}/s", less)
        row["first token"] = summed(found, name, "first token", less)
        result[name] = {**row, "facts": one["facts"], "answered": one["answered"]}
    return result


def cell(value: dict[str, float] | float | None, digits: int, missing: str = "–") -> str:
    if value is None:
        return missing
    if isinstance(value, float | int):
        return f"{value:.{digits}f}"
    if value["min"] == value["max"]:
        return f"{value['median']:.{digits}f}"
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f}–{value['max']:.{digits}f})"


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(column), *(len(row[i]) for row in rows)) for i, column in enumerate(columns)]
    print(f"\n{title}")
    for row in [columns, *rows]:
        print(
            "  "
            + "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        )


def show(result: dict[str, Any], options: Options) -> None:
    figures: dict[str, Any] = result["figures"]

    def lines(*cells: Callable[[dict[str, Any]], str]) -> list[list[str]]:
        return [[name, *(make(row) for make in cells)] for name, row in figures.items()]

    machine = result["machine"]
    print(
        f"{machine['processors']} processors shared with whatever else runs; load average {machine['load']:.1f} before "
        f"and {machine['load after']:.1f} after, our own included. {options.rounds} rounds, medians (smallest–largest)."
    )
    table(
        f"Processor time in ms (64 connections; streams of {PIECES} pieces; the mock's own in its row)",
        ["", "a request", "times ours", *(f"at {r}/s" for r in options.rates), "a stream", "requests/s"],
        lines(
            lambda r: cell(r["cpu"], 3),
            lambda r: cell(r["ratio"], 2),
            *(lambda r, rate=rate: cell(r[f"cpu at {rate}/s"], 3, "cannot keep it") for rate in options.rates),  # type: ignore[misc]
            lambda r: cell(r["cpu of a stream"], 2),
            lambda r: cell(r["requests/s"], 0),
        ),
    )  # fmt: skip
    latencies = [f"{what} at {rate}/s" for rate in options.rates for what in ("p50", "p99")]
    table(
        "Latency added in ms (the first row: the mock's own)",
        ["", *latencies, "first token of a stream"],
        lines(
            *(lambda r, what=what: cell(r[what], 2, "cannot keep it") for what in latencies),  # type: ignore[misc]
            lambda r: cell(r["first token"], 2),
        ),
    )
    table(
        "Memory of the process tree in MiB, time to the first answer in s, size installed in MB",
        ["", "before", "after", "requests between", "first answer", "installed"],
        lines(
            lambda r: cell(r["facts"].get("before"), 0),
            lambda r: cell(r["facts"].get("after"), 0),
            lambda r: str(r["answered"]),
            lambda r: cell(r["facts"].get("start"), 2),
            lambda r: cell(r["facts"].get("installed"), 0),
        ),
    )
    aims(figures)
    print(
        "\nOurs: keys, limits, budgets, trace and ledger on, console off. The cache hit is the same process on a route"
    )
    print("with the exact cache on; it also leaves a ledger row and a trace.")
    for peer in PEERS:
        print(f"{peer.name}: {peer.note if peer.name in figures else 'not measured (see --peers)'}.")
    print(f"{ABSENT}.")


def aims(figures: dict[str, Any]) -> None:
    facts = figures[OURS]["facts"]
    hit, cpu = figures[HIT]["cpu"], figures[OURS]["cpu"]
    print("\nAims")
    for what, value, aim, unit in (
        ("processor time of a request, everything on", cpu and cpu["median"], 0.5, "ms"),
        ("processor time of an exact cache hit", hit and hit["median"], 0.3, "ms"),
        ("ready (/health answers)", facts["ready"], 2.0, "s"),
        ("idle memory of the server's process", facts["idle, server"], 120.0, "MiB"),
    ):
        verdict = "no figure" if value is None else f"{value:.3g} {unit}: {'met' if value <= aim else 'NOT met'}"
        print(f"  {what:45} ≤ {aim:g} {unit:4} {verdict}")
    print(f"  (with the processes of local models: {facts['idle']:.0f} MiB)")
