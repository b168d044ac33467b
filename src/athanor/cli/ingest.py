"""`athanor ingest`: a folder into a knowledge base, with a progress bar."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from athanor.cli.client import Client, Workspace
from athanor.cli.jobs import watched
from athanor.cli.output import as_json, print_json, talk


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--kb", "base", default="docs", show_default=True, help="The knowledge base; made if it is not there.")
@click.option("--full", is_flag=True, help="Read and cut every file again, also where nothing of it changed.")
@as_json
@click.pass_obj
def ingest(workspace: Workspace, folder: Path, base: str, *, full: bool, as_json: bool) -> None:
    """Bring a knowledge base in step with FOLDER: new, changed and deleted files.

    Stop it at any moment and run it again: it goes on where it was. Files that cannot be read are listed, one line
    each, and the rest is ingested.
    """
    with workspace.client() as client:
        job = run(client, base, folder, full=full)
    if as_json:
        print_json(job)
    if job["state"] != "done":
        sys.exit(1)


def run(client: Client, base: str, folder: Path, *, full: bool = False) -> dict[str, Any]:
    """Start the job, and follow it."""
    return follow(client, client.post(f"/api/knowledge/{base}/sync", {"folder": str(folder.resolve()), "full": full}))


def follow(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    """Show a job until it ends, and print what went wrong file by file; the job at its end."""
    job = watched(client, job, waiting="Ingesting")
    report(job)
    return job


def report(job: dict[str, Any]) -> None:
    """One line per file that failed or was read with a reservation, then the sum."""
    out = talk()
    for item in (item for item in job["items"] if item["state"] != "cancelled"):
        mark = "[red]✗[/]" if item["state"] == "failed" else "[yellow]•[/]"
        out.print(f"{mark} {escape(item['key'])}: {escape(item['message'])}", soft_wrap=True)
    if job["state"] != "done":
        out.print(f"[red]The ingestion stopped: {escape(job['message'])}[/] Run it again to go on where it was.")
        return
    result = job["result"]
    skipped = Counter(Path(item["key"]).suffix or "no suffix" for item in job["items"] if item["state"] == "cancelled")
    parts = [
        f"{result['documents']} documents",
        f"{result['chunks']} passages",
        *([f"{result['unchanged']} unchanged"] if result["unchanged"] else []),
        *([f"{result['removed']} removed"] if result["removed"] else []),
        *([f"{result['failed']} not readable"] if result["failed"] else []),
        *([f"{result['skipped']} of other types skipped ({', '.join(sorted(skipped))})"] if skipped else []),
    ]
    out.print(f"[green]✓[/] {', '.join(parts)}")
