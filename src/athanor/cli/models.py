"""`athanor models`."""

from __future__ import annotations

import click

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, show
from athanor.cli.signing import distrust, sign, signer, signers, trust, verify


@click.group()
def models() -> None:
    """Chat models and embedders."""


@models.command("list")
@as_json
@click.pass_obj
def list_models(workspace: Workspace, *, as_json: bool) -> None:
    """List models with their state."""
    with workspace.client() as client:
        data = client.get("/api/models")["data"]
    rows = ((m["name"], m["kind"], m["status"], m["backend"], m["licence"], m["note"] or m["detail"]) for m in data)
    show(data, json_=as_json, columns=("NAME", "KIND", "STATE", "BACKEND", "LICENCE", "NOTE"), rows=rows, empty="None.")


for _command in (sign, verify, trust, distrust, signer, signers):
    models.add_command(_command)
