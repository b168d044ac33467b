"""`athanor kb check`: is what a knowledge base consists of sound."""

from __future__ import annotations

import sys

import click
from rich.markup import escape

from athanor.cli.client import Workspace
from athanor.cli.output import as_json, print_json, talk


@click.command()
@click.argument("name", required=False)
@as_json
@click.pass_obj
def check(workspace: Workspace, name: str | None, *, as_json: bool) -> None:
    """Compare every row, word, file and vector of knowledge base NAME, or of all; exit 1 if something is wrong.

    A damaged vector index is made anew from the store. Damaged rows and files come back from a backup only.
    """
    with workspace.client() as client:
        names = [name] if name else [base["name"] for base in client.get("/api/knowledge")["data"]]
        found = [client.get(f"/api/knowledge/{one}/check") for one in names]
    if as_json:
        print_json(found)
    for base in () if as_json else found:
        mark = "[green]✓[/]" if base["sound"] else "[red]✗[/]"
        talk().print(f"{mark} {escape(base['base'])}: {base['documents']} documents, {base['chunks']} passages")
        for line in [*base["store"], *base["files"]]:
            talk().print(f"  {line} Restore it from a backup.", markup=False, soft_wrap=True)
        for line in base["index"]:
            talk().print(f"  {line} The index is made anew by the next search.", markup=False, soft_wrap=True)
    if not all(base["sound"] for base in found):
        sys.exit(1)
