"""`athanor kb`: knowledge bases and their documents."""

from __future__ import annotations

import sys

import click

from athanor.cli.access import erase, permit, rules, who
from athanor.cli.check import check
from athanor.cli.client import Workspace
from athanor.cli.context import context
from athanor.cli.evaluate import evaluate, rollback, versions
from athanor.cli.output import as_json, print_json, show, shown, size, talk, when
from athanor.cli.set import set_settings
from athanor.cli.sources import sources, sync
from athanor.cli.tune import questions, tune


@click.group()
def kb() -> None:
    """Knowledge bases and their documents."""


@kb.command("list")
@as_json
@click.pass_obj
def list_bases(workspace: Workspace, *, as_json: bool) -> None:
    """List knowledge bases."""
    with workspace.client() as client:
        bases = client.get("/api/knowledge")["data"]
    rows = ((b["name"], b["documents"], b["chunks"], when(b["created_at"]), b["id"]) for b in bases)
    columns = ("NAME", "DOCUMENTS", "PASSAGES", "CREATED", "ID")
    show(
        bases, json_=as_json, columns=columns, rows=rows, empty="There is none yet. 'athanor ingest FOLDER' makes one."
    )


@kb.command()
@click.argument("name")
@click.pass_obj
def create(workspace: Workspace, name: str) -> None:
    """Make an empty knowledge base."""
    with workspace.client() as client:
        click.echo(client.post("/v1/vector_stores", {"name": name})["id"])


@kb.command()
@click.argument("name")
@click.confirmation_option(prompt="This deletes all its documents. Go on?")
@click.pass_obj
def delete(workspace: Workspace, name: str) -> None:
    """Delete a knowledge base with all its documents."""
    with workspace.client() as client:
        client.delete(f"/v1/vector_stores/{name}")
    talk().print(f"Deleted {name}.")


@kb.command()
@click.argument("name", default="docs")
@as_json
@click.pass_obj
def documents(workspace: Workspace, name: str, *, as_json: bool) -> None:
    """List the documents of a knowledge base."""
    with workspace.client() as client:
        data = client.get(f"/api/knowledge/{name}/documents")["data"]
    names = {d["id"]: d["source"] for d in data}
    rows = (
        (
            *(d["source"], d["version"], d["status"], d["chunks"], size(d["size"])),
            *(names.get(d["near"], ""), d["error"] or "", d["id"]),
        )
        for d in data
    )
    columns = ("SOURCE", "VERSION", "STATUS", "PASSAGES", "SIZE", "NEARLY THE SAME AS", "PROBLEM", "ID")
    show(data, json_=as_json, columns=columns, rows=rows, empty=f"{name} holds no documents.")


@kb.command()
@click.argument("document")
@click.option("--version", type=int, help="An earlier version (default: the current one).")
@click.pass_obj
def text(workspace: Workspace, document: str, version: int | None) -> None:
    """Print a document's source text: what citations count their characters in."""
    with workspace.client() as client:
        text = client.get(f"/api/documents/{document}/text", version=version)["text"]
        # Into a file or a pipe it goes as it is.
        click.echo(shown(text) if sys.stdout.isatty() else text, nl=False)


@kb.command()
@click.argument("document")
@click.pass_obj
def remove(workspace: Workspace, document: str) -> None:
    """Delete one document, all its versions."""
    with workspace.client() as client:
        client.delete(f"/api/documents/{document}")
    talk().print(f"Deleted {document}.")


@kb.command()
@click.argument("query")
@click.option("--kb", "base", default="docs", show_default=True)
@click.option("--limit", default=5, show_default=True, type=click.IntRange(1, 50))
@as_json
@click.pass_obj
def search(workspace: Workspace, query: str, base: str, limit: int, *, as_json: bool) -> None:
    """Find passages, with the score of each leg."""
    with workspace.client() as client:
        hits = client.get(f"/api/knowledge/{base}/search", query=query, limit=limit)["data"]
    if as_json:
        print_json(hits)
        return
    for hit in hits:
        page = f", page {hit['page']}" if hit["page"] else ""
        click.secho(shown(f"{hit['score']:.3f}  {hit['source']}{page}  {hit['heading']}"), bold=True)
        click.echo(shown(f"       {' '.join(hit['text'].split())[:300]}"))


for _command in (
    permit,
    who,
    rules,
    erase,
    questions,
    tune,
    context,
    set_settings,
    check,
    sync,
    sources,
    evaluate,
    versions,
    rollback,
):
    kb.add_command(_command)
