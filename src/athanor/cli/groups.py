"""`athanor groups`."""

from __future__ import annotations

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, print_json, show, told


@click.group()
def groups() -> None:
    """Groups: principals that may read the same documents, and the labels that they are cleared for."""


@groups.command()
@click.argument("name")
@click.option("--label", "labels", multiple=True, help="Clear its members for this label; repeatable.")
@as_json
@click.pass_obj
def create(workspace: Workspace, name: str, labels: tuple[str, ...], *, as_json: bool) -> None:
    """Make a group."""
    with workspace.client() as client:
        reply = client.post("/api/groups", {"name": name, "labels": [*labels]})
    if as_json:
        print_json(reply)
    else:
        click.echo(reply["id"])


@groups.command("list")
@as_json
@click.pass_obj
def list_groups(workspace: Workspace, *, as_json: bool) -> None:
    """List groups, their members and their labels."""
    with workspace.client() as client:
        data = client.get("/api/groups")["data"]
    rows = ((g["name"], ", ".join(m["name"] for m in g["members"]), ", ".join(g["labels"]), g["id"]) for g in data)
    show(data, json_=as_json, columns=("NAME", "MEMBERS", "LABELS", "ID"), rows=rows, empty="No groups.")


@groups.command()
@click.argument("group")
@click.argument("principal")
@as_json
@click.pass_obj
def add(workspace: Workspace, group: str, principal: str, *, as_json: bool) -> None:
    """Put PRINCIPAL into GROUP. It holds from the next request on."""
    with workspace.client() as client:
        reply = client.post(f"/api/groups/{group}/members", {"principal": principal})
    told(reply, f"{principal} is in {reply['name']}.", json_=as_json)


@groups.command()
@click.argument("group")
@click.argument("principal")
@as_json
@click.pass_obj
def remove(workspace: Workspace, group: str, principal: str, *, as_json: bool) -> None:
    """Take PRINCIPAL out of GROUP. It holds from the next request on."""
    with workspace.client() as client:
        reply = client.delete(f"/api/groups/{group}/members/{principal}")
    told(reply, f"{principal} is not in {reply['name']} any more.", json_=as_json)


@groups.command()
@click.argument("group")
@click.argument("labels", nargs=-1)
@as_json
@click.pass_obj
def clear(workspace: Workspace, group: str, labels: tuple[str, ...], *, as_json: bool) -> None:
    """Clear the members of GROUP for LABELS and no others; without any, for none."""
    with workspace.client() as client:
        reply = client.patch(f"/api/groups/{group}", {"labels": [*labels]})
    told(reply, f"{reply['name']} is cleared for {', '.join(reply['labels']) or 'no label'}.", json_=as_json)


@groups.command()
@click.argument("group")
@as_json
@click.pass_obj
def delete(workspace: Workspace, group: str, *, as_json: bool) -> None:
    """Delete GROUP. The documents that it opened stay closed to those who were in it."""
    with workspace.client() as client:
        reply = client.delete(f"/api/groups/{group}")
    told(reply, f"Deleted {group}.", json_=as_json)
