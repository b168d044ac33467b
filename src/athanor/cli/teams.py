"""`athanor teams`."""

from __future__ import annotations

from typing import Any

import click

from athanor.cli.client import Client, Workspace
from athanor.cli.keys import limit_options, limits_of, limits_text, usd
from athanor.cli.output import as_json, print_json, show, talk, told
from athanor.errors import NotFoundError


@click.group()
def teams() -> None:
    """Teams: principals that share limits and a budget."""


@teams.command()
@click.argument("name")
@limit_options
@as_json
@click.pass_obj
def create(workspace: Workspace, /, name: str, as_json: bool, **given: Any) -> None:
    """Make a team."""
    with workspace.client() as client:
        reply = client.post("/api/teams", {"name": name, "limits": limits_of(given)})
    if as_json:
        print_json(reply)
    else:
        click.echo(reply["id"])


@teams.command("list")
@as_json
@click.pass_obj
def list_teams(workspace: Workspace, *, as_json: bool) -> None:
    """List teams and what they spent."""
    with workspace.client() as client:
        data = client.get("/api/teams")["data"]
    rows = (
        (
            t["name"],
            len(t["members"]),
            limits_text(t["limits"]),
            usd(t["spent"]["usd_today"]),
            usd(t["spent"]["usd_this_month"]),
            t["id"],
        )
        for t in data
    )
    columns = ("NAME", "MEMBERS", "LIMITS", "TODAY", "MONTH", "ID")
    show(data, json_=as_json, columns=columns, rows=rows, empty="No teams.")


@teams.command()
@click.argument("team")
@limit_options
@as_json
@click.pass_obj
def limit(workspace: Workspace, /, team: str, as_json: bool, **given: Any) -> None:
    """Change the limits of TEAM. They hold from the next request on; what is not named stays."""
    changes = limits_of(given)
    if not changes:
        raise click.UsageError("Name a limit: --rpm, --tpm, --concurrency, --usd-per-day or --usd-per-month.")
    with workspace.client() as client:
        reply = client.patch(f"/api/teams/{team}", {"limits": changes})
    told(reply, f"Changed {team}: {limits_text(reply['limits']) or 'no limits'}.", json_=as_json)


@teams.command()
@click.argument("team")
@as_json
@click.pass_obj
def members(workspace: Workspace, team: str, *, as_json: bool) -> None:
    """List who is in TEAM."""
    with workspace.client() as client:
        data = _find(client, team)["members"]
    rows = ((m["name"], m["role"], m["id"]) for m in data)
    show(data, json_=as_json, columns=("NAME", "ROLE", "ID"), rows=rows, empty="Nobody is in it.")


@teams.command()
@click.argument("principal")
@click.argument("team", required=False)
@click.option("--out", is_flag=True, help="Into no team.")
@as_json
@click.pass_obj
def move(workspace: Workspace, principal: str, team: str | None, *, out: bool, as_json: bool) -> None:
    """Put PRINCIPAL into TEAM, or with --out into none."""
    if out == (team is not None):
        raise click.UsageError("Name a team, or say --out.")
    with workspace.client() as client:
        reply = client.patch(f"/api/principals/{principal}", {"team": team})
    told(reply, f"{reply['name']} is in {reply['team'] or 'no team'}.", json_=as_json)


@teams.command()
@click.argument("team")
@click.pass_obj
def delete(workspace: Workspace, team: str) -> None:
    """Delete TEAM, which must have no members."""
    with workspace.client() as client:
        client.delete(f"/api/teams/{team}")
    talk().print(f"Deleted {team}.", markup=False)


def _find(client: Client, team: str) -> dict[str, Any]:
    for found in client.get("/api/teams")["data"]:
        if team in (found["id"], found["name"]):
            return dict(found)
    raise NotFoundError(f"There is no team {team!r}.", hint="'athanor teams list' shows them.")
