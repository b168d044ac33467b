"""`athanor guards`: what guards there are, what they find in a text, what they found, and the policies."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from athanor.cli.client import Workspace
from athanor.cli.guards_train import train_guards
from athanor.cli.jobs import finished
from athanor.cli.moments import MOMENT
from athanor.cli.output import Screen, as_json, print_json, show, talk, told, when
from athanor.errors import InputError
from athanor.guards.figures import summary

_ORIGINS = ("user", "document", "tool", "model", "system")
_DECISIONS = ("allow", "flag", "redact", "block")
_COLOURS = {"allow": "green", "flag": "yellow", "redact": "magenta", "block": "red"}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True)


@click.group()
def guards() -> None:
    """Guards: what is looked for in requests, documents and answers, and what is done about it."""


guards.add_command(train_guards)


@guards.command("list")
@as_json
@click.pass_obj
def list_guards(workspace: Workspace, *, as_json: bool) -> None:
    """List guards with how well they were measured to do, and those that are missing."""
    with workspace.client() as client:
        data = client.get("/api/guards")
    rows = [(g["name"], ", ".join(g["categories"]), summary(g["figures"])) for g in data["data"]]
    rows += [(gone["name"], f"missing: {gone['why']}", "") for gone in data["missing"]]
    show(data, json_=as_json, columns=("NAME", "FINDS", "MEASURED"), rows=rows, empty="No guards.")
    if not as_json:
        talk().print(f"Mode {data['mode']}, policies {data['policy']}.")


@guards.command()
@click.argument("text")
@click.option("--origin", type=click.Choice(_ORIGINS), default="user", show_default=True, help="Where it comes from.")
@click.option("--model", default="", help="By the policy of requests to this model.")
@click.option("--base", help="By the policy of requests to this knowledge base.")
@click.option("--key", help="By the policy of this key: a name or an id.")
@click.option("--policies", type=_FILE, help="By these policies, in place of those in force.")
@as_json
@click.pass_obj
def check(workspace: Workspace, /, text: str, policies: Path | None, as_json: bool, **by: Any) -> None:
    """Show what guards find in TEXT (- reads standard input), and what would be done. Nothing is kept.

    Leaves with 1 where the text would be blocked.
    """
    body = {"text": sys.stdin.read() if text == "-" else text, **{k: v for k, v in by.items() if v is not None}}
    if policies is not None:
        body["policies"] = _read(policies)
    with workspace.client() as client:
        why = client.post("/api/guards/check", body)
    if as_json:
        print_json(why)
    else:
        _draw(why, body["text"])
    if why["decision"] == "block":
        sys.exit(1)


@guards.command()
@click.option("--category", help="pii.email, or pii.* for a family.")
@click.option("--decision", type=click.Choice(_DECISIONS), help="What the policy decided.")
@click.option("--action", type=click.Choice(_DECISIONS), help="What was done.")
@click.option("--origin", type=click.Choice(_ORIGINS))
@click.option("--guard")
@click.option("--principal", help="Name or id of a principal.")
@click.option("--key", help="Name or id of a key.")
@click.option("--trace", help="Id of a trace.")
@click.option("--since", type=MOMENT, help="Not older: 30d, 12h, 90m, or a date.")
@click.option("--before", type=MOMENT, help="Older.")
@click.option("--after", help="Id of the last event of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_json
@click.pass_obj
def events(workspace: Workspace, /, as_json: bool, **search: Any) -> None:
    """List what was found, newest first. No event holds any of the text."""
    with workspace.client() as client:
        data = client.get("/api/guards/events", **search)
    rows = (
        (
            when(row["at"]),
            _coloured(row["action"], row["decision"]),
            row["category"],
            f"{row['score']:.2f}",
            row["origin"],
            row["place"],
            row["principal_name"],
            row["trace"],
            row["id"],
        )
        for row in data["data"]
    )
    columns = ("WHEN", "DONE", "CATEGORY", "SCORE", "ORIGIN", "WHERE", "BY", "TRACE", "ID")
    show(data, json_=as_json, columns=columns, rows=rows, empty="No events.", right=("SCORE",))


@guards.group()
def policy() -> None:
    """Policies: what is done about what guards find."""


@policy.command("show")
@click.option("--version", help="As they were at this version.")
@as_json
@click.pass_obj
def show_policy(workspace: Workspace, version: str | None, *, as_json: bool) -> None:
    """Print the policies in force, as TOML."""
    with workspace.client() as client:
        data = client.get("/api/guards/policy" if version is None else f"/api/guards/policy/{version}")
    if as_json:
        print_json(data)
        return
    click.echo(data["text"], nl=not data["text"].endswith("\n"))
    talk().print(f"Version {data['version']}{', from ' + data['source'] if 'source' in data else ''}.", markup=False)
    _warn(data)


@policy.command("check")
@click.argument("file", type=_FILE)
@as_json
@click.pass_obj
def check_policy(workspace: Workspace, file: Path, *, as_json: bool) -> None:
    """Say whether FILE is good as policies. Nothing is changed."""
    with workspace.client() as client:
        data = client.post("/api/guards/policy/check", {"text": _read(file)})
    told(data, f"Good: {len(data['policies'])} policies, version {data['version']}.", json_=as_json)
    if not as_json:
        _warn(data)


@policy.command("set")
@click.argument("file", type=_FILE)
@as_json
@click.pass_obj
def set_policy(workspace: Workspace, file: Path, *, as_json: bool) -> None:
    """Put FILE in force at once. What was in force is kept: 'policy versions' lists it."""
    with workspace.client() as client:
        data = client.put("/api/guards/policy", {"text": _read(file)})
    told(data, f"Version {data['version']} is in force.", json_=as_json)
    if not as_json:
        _warn(data)


@policy.command()
@as_json
@click.pass_obj
def versions(workspace: Workspace, *, as_json: bool) -> None:
    """List every version that was in force, the latest first."""
    with workspace.client() as client:
        data = client.get("/api/guards/policy")
    rows = (
        (kept["version"], when(kept["at"]), "*" * (kept["version"] == data["version"])) for kept in data["versions"]
    )
    show(data["versions"], json_=as_json, columns=("ID", "SINCE", "IN FORCE"), rows=rows, empty="None.")


@policy.command("dry-run")
@click.argument("file", type=_FILE, required=False)
@click.option("--days", type=click.FloatRange(0, min_open=True), default=7, show_default=True, help="How far back.")
@click.option("--limit", type=click.IntRange(1), help="Requests, the newest first.")
@as_json
@click.pass_obj
def dry_run(workspace: Workspace, file: Path | None, days: float, limit: int | None, *, as_json: bool) -> None:
    """Show what the policies of FILE would have done with recorded requests; without FILE, those in force."""
    body: dict[str, Any] = {"days": days} | ({"limit": limit} if limit else {})
    if file is not None:
        body["text"] = _read(file)
    with workspace.client() as client:
        job = finished(client, client.post("/api/guards/policy/dry-run", body), json_=as_json)
    result = job["result"]
    rows = (
        (_coloured(row["decision"]), row["category"], row["origin"], row["count"], ", ".join(row["traces"][:3]))
        for row in result["findings"]
    )
    columns = ("WOULD", "CATEGORY", "ORIGIN", "FINDINGS", "FOR EXAMPLE")
    show(result, json_=as_json, columns=columns, rows=rows, empty="Nothing would have been found.", right=("FINDINGS",))
    if not as_json:
        done = ", ".join(f"{count} {name}" for name, count in result["decisions"].items())
        talk().print(
            f"{result['requests']} requests, {result['unrecorded']} of them without recorded text: {done}.",
            markup=False,
        )


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError("The file is not UTF-8.", where=str(file)) from error


def _warn(data: Mapping[str, Any]) -> None:
    out = talk()
    if data.get("problem"):
        out.print(f"The file was changed by hand and cannot be used: {data['problem']}", style="red", markup=False)
    for line in data.get("unheard", ()):
        out.print(f"warning: {line}", style="yellow", markup=False)


def _coloured(action: str, decision: str | None = None) -> Text:
    text = action if decision in {None, action} else f"{action} ({decision})"
    return Text(text, style=_COLOURS[action])


def _draw(why: Mapping[str, Any], text: str) -> None:
    out = Screen(highlight=False, width=None if sys.stdout.isatty() else 200)
    policy_ = why["policy"]
    out.print(_coloured(why["decision"]), Text(f" by {policy_['name']} ({policy_['version']})"), sep="")
    if why["plain"] != text:
        out.print("read as   ", Text(why["plain"]), sep="")
    for part in why["decoded"]:
        out.print(f"decoded   {part['start']}–{part['end']} {part['how']}: ", Text(part["text"]), sep="")
    if why["odd"]:
        out.print(f"odd       {', '.join(why['odd'])}")
    for stage in why["stages"]:
        note = f" failed: {stage['error']}" if stage["error"] else "" if stage["needed"] else " (no rule asks for it)"
        out.print(Text(f"{stage['guard']:<10}{stage['ms']:.2f} ms{note}"))
        for found in stage["findings"]:
            rule = found["rule"]
            by = "no rule" if rule is None else f"{rule['policy']}.{rule['direction']} {rule['pattern']}"
            line = Text(f"  {found['category']} {found['score']:.2f} at {found['start']}–{found['end']}: ")
            line.append_text(_coloured(found["decision"]))
            out.print(line.append(f" ({by}). {found['reason']}"))
    if why["redacted"] not in {"", text}:
        out.print("goes on as ", Text(why["redacted"]), sep="")
    for gone in why["missing"]:
        talk().print(f"missing: {gone['name']}: {gone['why']}", markup=False)
