"""`athanor traces`."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.text import Text

from athanor.cli.client import Workspace
from athanor.cli.moments import MOMENT
from athanor.cli.output import Screen, as_json, print_json, show, talk, when
from athanor.cli.waterfall import waterfall
from athanor.observe.figures import count, dollars, seconds

_PIPE_WIDTH = 140
"""Columns of a waterfall that goes into a file."""


@click.group()
def traces() -> None:
    """Traces: what was asked, by whom, how long each stage took, and what it cost."""


@traces.command("list")
@click.option("--model", help="As it was asked for, or the model that answered.")
@click.option("--key", help="Name or id of a key.")
@click.option("--principal", help="Name or id of a principal.")
@click.option("--team", help="Name or id of a team.")
@click.option("--status", help="ok, cancelled, failed, or an error's code.")
@click.option("--trace", help="A part of the trace's id.")
@click.option("--since", type=MOMENT, help="Not older: 30d, 12h, 90m, or a date.")
@click.option("--before", type=MOMENT, help="Older.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_json
@click.pass_obj
def list_traces(workspace: Workspace, /, as_json: bool, **search: Any) -> None:
    """List requests, newest first."""
    with workspace.client() as client:
        data = client.get("/api/traces", **search)["data"]
    columns = ("WHEN", "STATUS", "ASKED", "ANSWERED BY", "BY", "IN", "OUT", "FIRST", "TIME", "COST", "ID")
    rows = (
        (
            when(row["at"]),
            status_text(row["status"]),
            row["model"],
            (row["target"] if row["target"] != row["model"] else "") or ("cache" if row["cache"] else ""),
            row["principal_name"],
            count(row["usage"]["prompt_tokens"]),
            count(row["usage"]["completion_tokens"]),
            seconds(row["first_token"]),
            seconds(row["duration"]),
            dollars(row["usage"]["cost"]),
            row["trace"],
        )
        for row in data
    )
    show(data, json_=as_json, columns=columns, rows=rows, empty="No requests.", right=columns[5:10])


@traces.command("show")
@click.argument("trace")
@as_json
@click.pass_obj
def show_trace(workspace: Workspace, trace: str, *, as_json: bool) -> None:
    """Draw one request: its stages as bars, tokens, cost, verdicts, and its texts where they were recorded."""
    with workspace.client() as client:
        data = client.get(f"/api/traces/{trace}")
    if as_json:
        print_json(data)
        return
    console = Screen(highlight=False)
    if not console.is_terminal:
        console = Screen(highlight=False, width=_PIPE_WIDTH)
    _draw_facts(console, data)
    if data["spans"]:
        console.print()
        for line in waterfall(data["spans"], width=console.width):
            console.print(line, no_wrap=True, overflow="crop")
    else:
        talk().print("[dim]Its stages have expired; the row of the ledger is kept longer.[/]")
    _draw_said(console, data["content"])
    for verdict in data["feedback"]:
        mark = "+1" if verdict["rating"] > 0 else "-1"
        console.print()
        console.print(Text(f"{mark} {verdict['principal']}  {when(verdict['created_at'])}", style="bold"))
        if verdict["comment"]:
            console.print(Text(f"   {verdict['comment']}"))


@traces.command()
@click.option("--before", type=MOMENT, required=True, help="Older than this goes: 30d, 12h, or a date.")
@click.option("--ledger", is_flag=True, help="Rows of the ledger too; costs of that time are gone with them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@click.pass_obj
def expire(workspace: Workspace, before: float, *, ledger: bool, yes: bool, as_json: bool) -> None:
    """Delete traces and recorded texts now, instead of when their time is over."""
    what = "traces, recorded texts and ledger rows" if ledger else "traces and recorded texts"
    if not yes:
        click.confirm(f"Delete all {what} from before {when(before)}?", abort=True, err=True)
    with workspace.client() as client:
        gone = client.post("/api/traces/expire", {"before": before, "ledger": ledger})
    if as_json:
        print_json(gone)
    else:
        talk().print(
            f"Deleted {gone['traces']} traces, the texts of {gone['contents']}, {gone['requests']} rows of the ledger."
        )


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(status, style={"ok": "green", "cancelled": "yellow"}.get(status, "red"))


def _draw_facts(console: Console, data: dict[str, Any]) -> None:
    usage = data["usage"]
    console.print(Text.assemble((data["trace"], "bold"), "  ", status_text(data["status"])))
    who = " · ".join(filter(None, (data["principal_name"], data["key_name"] and f"key {data['key_name']}")))
    if data["team_name"]:
        who += f" · team {data['team_name']}"
    target = f" → {data['target']}" if data["target"] not in {"", data["model"]} else ""
    tokens = f"{count(usage['prompt_tokens'])} in, {count(usage['completion_tokens'])} out"
    extra = [
        f"{count(usage[field])} {word}"
        for field, word in (
            ("cached_tokens", "cached"),
            ("written_tokens", "written"),
            ("reasoning_tokens", "reasoning"),
        )
        if usage[field]
    ]
    cost = dollars(usage["cost"])
    if data["cache"]:
        cost += f"  ({data['cache']} cache hit, saved {dollars(data['saved'])})"
    times = seconds(data["duration"])
    if data["first_token"] is not None:
        times += f", first piece after {seconds(data['first_token'])}"
    for name, value in (
        ("when", f"{when(data['at'])}  by {data['door']}"),
        ("who", who),
        ("model", data["model"] + target),
        ("time", times),
        ("tokens", tokens + (f" ({', '.join(extra)})" if extra else "")),
        ("cost", cost),
    ):
        console.print(Text.assemble((f"{name:<8}", "dim"), value))


def _draw_said(console: Console, content: dict[str, Any] | None) -> None:
    if content is None:
        return
    console.print()
    for message in content["request"].get("messages", ()):
        console.print(Text(str(message.get("role", "")), style="bold"))
        console.print(Text(str(message.get("content", ""))))
    answer = content["answer"]
    console.print(Text("answer", style="bold"))
    console.print(Text(str(answer.get("content", ""))))
    for call in answer.get("tool_calls", ()):
        console.print(Text(f"{call['name']}({call['arguments']})", style="cyan"))
