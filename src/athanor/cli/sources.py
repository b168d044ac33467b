"""`athanor kb sync` and `kb sources`: folders and repositories that a knowledge base is kept in step with."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from athanor.cli.client import Workspace
from athanor.cli.ingest import follow
from athanor.cli.output import as_json, print_json, show, talk, told, when

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_ENDED = {"done": "in step", "failed": "failed", "cancelled": "stopped", "queued": "waiting", "running": "running"}


def _pause(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Seconds: `30s`, `10m`, `2h`, `1d`; `off` is 0."""
    if value is None or value == "off":
        return None if value is None else 0.0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no pause: 30s, 10m, 2h, 1d or off.")
    return float(found[1]) * _UNITS[found[2]]


@click.command()
@click.argument("name")
@click.argument("place", metavar="[FOLDER|GIT-URL]", required=False)
@click.option("--every", callback=_pause, help="Go on by itself: 30s, 10m, 2h, 1d; off is only when asked.")
@click.option("--prefix", default="", help="What the names of its documents begin with, such as handbook/.")
@click.option("--once", is_flag=True, help="Synchronise now, and do not remember the source.")
@click.option("--full", is_flag=True, help="Read every file, also where it says that it is the same.")
@as_json
@click.pass_obj
def sync(
    workspace: Workspace,
    name: str,
    place: str | None,
    *,
    every: float | None,
    prefix: str,
    once: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Keep the knowledge base NAME in step with a folder or a git repository, and synchronise now.

    New, changed and deleted files are followed. A repository is named by its URL, with #BRANCH behind it where it is
    not the one that the repository calls its HEAD. Without a source, all that are known are synchronised.
    """
    if place is None and (every is not None or prefix or once):
        raise click.UsageError("--every, --prefix and --once need a FOLDER or a GIT-URL.")
    with workspace.client() as client:
        if place is None:
            jobs = client.post(f"/api/knowledge/{name}/sources/sync", {"full": full})["data"]
        else:
            body = {"place": _absolute(place), "every": every or None, "prefix": prefix, "once": once, "full": full}
            jobs = [client.post(f"/api/knowledge/{name}/sources", body)["job"]]
        if not jobs:
            talk().print(f"{name} is kept in step with nothing yet: athanor kb sync {name} FOLDER", markup=False)
        jobs = [follow(client, job) for job in jobs]
    if as_json:
        print_json(jobs)
    elif every and workspace.running() is None:
        talk().print("It is synchronised again while a server runs: athanor up")
    if any(job["state"] != "done" for job in jobs):
        sys.exit(1)


@click.command()
@click.argument("name", default="docs")
@click.option("--remove", "origin", help="Keep NAME in step with this source no longer, and delete its documents.")
@click.option("--keep-documents", is_flag=True, help="With --remove: leave its documents there.")
@as_json
@click.pass_obj
def sources(workspace: Workspace, name: str, *, origin: str | None, keep_documents: bool, as_json: bool) -> None:
    """List what a knowledge base is kept in step with: last time, what changed, next time, last error."""
    if keep_documents and origin is None:
        raise click.UsageError("--keep-documents goes with --remove.")
    with workspace.client() as client:
        if origin is not None:
            kept = str(keep_documents).lower()
            reply = client.delete(
                f"/api/knowledge/{name}/sources?origin={quote(_absolute(origin), safe='')}&keep_documents={kept}"
            )
            count = reply["documents_deleted"]
            told(reply, f"{name} is not kept in step with it any more; {count} documents were deleted.", json_=as_json)
            return
        data = client.get(f"/api/knowledge/{name}/sources")["data"]
    columns = ("ORIGIN", "STATE", "LAST", "CHANGED", "NEXT", "DOCUMENTS", "PROBLEM")
    empty = f"{name} is kept in step with nothing yet: athanor kb sync {name} FOLDER"
    show(data, json_=as_json, columns=columns, rows=[_row(one) for one in data], empty=empty, right={"DOCUMENTS"})


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    job = one["job"]
    state = "new" if job is None else _ENDED[job["state"]]
    return (
        f"{one['origin']} → {one['prefix']}" if one["prefix"] else one["origin"],
        f"{state} {one['state'][:10]}".strip(),
        when(one["synced_at"]),
        _changed(job),
        _then(one),
        f"{one['documents']} ({one['failed']} unread)" if one["failed"] else one["documents"],
        one["rests"] or one["error"],
    )


def _then(one: dict[str, Any]) -> str:
    """When it is synchronised again."""
    if one["every"] is None:
        return "when asked"
    if one["due_at"] is None:
        return ""
    return "now" if one["due_at"] <= time.time() else when(one["due_at"])


def _changed(job: dict[str, Any] | None) -> str:
    """What the last job did."""
    if job is None or job["state"] != "done":
        return ""
    result = job["result"]
    parts = [
        f"{result[key]} {words}" for key, words in (("documents", "read"), ("removed", "removed")) if result.get(key)
    ]
    return ", ".join(parts) or "nothing"


def _absolute(place: str) -> str:
    """A folder by its whole path: the server need not run where the command does. URLs and origins stay."""
    path = Path(place.removeprefix("folder:")).expanduser()
    if path.exists() and not place.startswith("git:"):
        return str(path.resolve())
    return place
