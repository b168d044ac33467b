"""`athanor keys`."""

from __future__ import annotations

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, show, talk, when
from athanor.types import RoleName


@click.group()
def keys() -> None:
    """API keys."""


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in RoleName]), default="user", show_default=True)
@click.option("--days", type=click.IntRange(min=1), help="Expire after this many days (default: never).")
@click.pass_obj
def create(workspace: Workspace, name: str, role: str, days: int | None) -> None:
    """Make a key for NAME. It is printed once, on stdout, and cannot be shown again."""
    with workspace.client() as client:
        reply = client.post("/api/keys", {"name": name, "role": role, "days": days})
    click.echo(reply["secret"])
    talk().print("[dim]Keep it now: only its hash is stored.[/]")


@keys.command("list")
@as_json
@click.pass_obj
def list_keys(workspace: Workspace, *, as_json: bool) -> None:
    """List keys; never their secrets."""
    with workspace.client() as client:
        data = client.get("/api/keys")["data"]
    rows = ((k["name"], k["role"], k["hint"] + "…", k["state"], when(k["expires_at"]), k["id"]) for k in data)
    show(data, json_=as_json, columns=("NAME", "ROLE", "KEY", "STATE", "EXPIRES", "ID"), rows=rows, empty="No keys.")


@keys.command()
@click.argument("key")
@click.pass_obj
def revoke(workspace: Workspace, key: str) -> None:
    """Refuse KEY (its id) from now on."""
    with workspace.client() as client:
        client.delete(f"/api/keys/{key}")
    talk().print(f"Revoked {key}.")
