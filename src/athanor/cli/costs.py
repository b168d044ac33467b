"""`athanor costs`."""

from __future__ import annotations

import csv
import sys
from typing import Any

import click
from rich.text import Text

from athanor.cli.client import Workspace
from athanor.cli.moments import MOMENT
from athanor.cli.output import as_json, print_json, show
from athanor.cli.waterfall import bar
from athanor.observe.figures import count, dollars, seconds

_BAR = 24
_SUMS = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens", "cost", "saved")
_NAMED = {"principal", "key", "team"}
_GROUPS = "day, model (asked for), target (answered), key, team, principal, door, status, cache"


@click.command()
@click.option("--by", default="target", show_default=True, help=f"One or more, with commas: {_GROUPS}.")
@click.option("--since", type=MOMENT, default="30d", show_default=True, help="30d, 12h, or a date.")
@click.option("--until", type=MOMENT, help="Not from then on.")
@click.option("--latency", is_flag=True, help="Print how long answers took, too: percentiles by the first of --by.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@as_json
@click.pass_obj
def costs(workspace: Workspace, /, as_json: bool, as_csv: bool, latency: bool, **given: Any) -> None:
    """What was spent and used: a table with bars. Everybody sees their own; operators see everything. Days are UTC."""
    groups = [name.strip() for name in given["by"].split(",") if name.strip()]
    if not groups:
        raise click.UsageError(f"--by takes one or more of: {_GROUPS}.")
    with workspace.client() as client:
        reply = client.get("/api/costs", **given, latency=groups[0] if latency else None)
    if as_json:
        print_json(reply)
    elif as_csv:
        _write_csv(groups, reply["data"])
    else:
        _draw(groups, reply["data"])
        if latency:
            _draw_latency(groups[0], reply["latency"])


def _write_csv(groups: list[str], rows: list[dict[str, Any]]) -> None:
    names = [column for group in groups for column in ([group, f"{group}_name"] if group in _NAMED else [group])]
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow([*names, *_SUMS])
    for row in rows:
        out.writerow([_cell(row[name]) for name in (*names, *_SUMS)])


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.12f}".rstrip("0").rstrip(".")
    # A spreadsheet takes text that begins so for a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@"} else value


def _draw(groups: list[str], rows: list[dict[str, Any]]) -> None:
    if "day" in groups:
        rows = sorted(rows, key=lambda row: (row["day"], -row["cost"]))
    # Where nothing has a price, the bars are of requests: an empty column would say nothing.
    measure = "cost" if any(row["cost"] for row in rows) else "requests"
    most = max((row[measure] for row in rows), default=0) or 1
    cells = []
    total = dict.fromkeys(_SUMS, 0.0)
    for row in rows:
        for name in _SUMS:
            total[name] += row[name]
        cells.append([*(_group(row, group) for group in groups), *_sums(row), _bar(row[measure] / most)])
    if len(rows) > 1:
        cells.append([Text(text, style="bold") for text in (*_titles(groups), *_sums(total), "")])
    figures = ["REQUESTS", "IN", "CACHED", "OUT", "COST", "SAVED"]
    columns = [*(group.upper() for group in groups), *figures, f"BY {measure.upper()}"]
    show(rows, json_=False, columns=columns, rows=cells, empty="Nothing was asked in that time.", right=figures)


def _titles(groups: list[str]) -> list[str]:
    return ["all", *[""] * (len(groups) - 1)]


def _sums(row: dict[str, Any]) -> list[str]:
    return [
        count(row["requests"]),
        count(row["prompt_tokens"]),
        count(row["cached_tokens"]),
        count(row["completion_tokens"]),
        dollars(row["cost"]),
        dollars(row["saved"]) if row["saved"] else "",
    ]


def _bar(share: float) -> Text:
    return Text(bar(0.0, share, _BAR) if share else "", style="cyan")


def _group(row: dict[str, Any], group: str) -> str:
    return str(row.get(f"{group}_name") or row[group] or "-")


def _draw_latency(group: str, rows: list[dict[str, Any]]) -> None:
    click.echo()
    marks = [f"{what}_p{share}" for what in ("first_token", "duration") for share in (50, 95, 99)]
    cells = ([_group(row, group), count(row["answers"]), *(seconds(row.get(mark)) for mark in marks)] for row in rows)
    columns = (group.upper(), "ANSWERS", "FIRST p50", "FIRST p95", "FIRST p99", "WHOLE p50", "WHOLE p95", "WHOLE p99")
    show(rows, json_=False, columns=columns, rows=cells, empty="No model answered in that time.", right=columns[1:])
