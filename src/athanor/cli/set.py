"""`athanor kb set`: how a knowledge base is searched, by hand."""

from __future__ import annotations

import json
from typing import Any

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, told


@click.command("set")
@click.argument("name")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE…")
@click.option("--note", default="", help="Why, for 'athanor kb versions'.")
@as_json
@click.pass_obj
def set_settings(workspace: Workspace, name: str, changes: tuple[str, ...], *, note: str, as_json: bool) -> None:
    """Search knowledge base NAME by other settings, such as expand=400 or per_document=2.

    They become a new version of its settings, in use at once; 'athanor kb versions' lists what there is, 'athanor kb
    eval' says whether it is better, and 'athanor kb rollback' brings the old one back.
    """
    body: dict[str, Any] = {"note": note} if note else {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise click.UsageError(f"{change!r} is not KEY=VALUE.")
        try:
            body[key] = json.loads(value.replace("none", "null"))
        except ValueError:
            raise click.UsageError(f"{value!r} is no number.") from None
    with workspace.client() as client:
        made = client.patch(f"/api/knowledge/{name}/settings", body)
    text = f"{name} is searched by version {made['version']} of its settings."
    if made["version"] == made["before"]:
        text = f"{name} has these settings already."
    told(made, text, json_=as_json)
