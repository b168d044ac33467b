"""Jobs, waited for."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.markup import escape

from athanor.cli.client import Client
from athanor.cli.output import print_json, talk
from athanor.cli.progress import bar

POLL_SECONDS = 0.2


def watched(client: Client, job: dict[str, Any], *, waiting: str = "Waiting") -> dict[str, Any]:
    """The job at its end, however it ended, with a bar meanwhile."""
    with bar() as progress:
        task = progress.add_task(waiting, total=None)
        while job["state"] in {"queued", "running"}:
            time.sleep(POLL_SECONDS)
            job = client.get(f"/api/jobs/{job['id']}")
            shown = escape(job["message"] or waiting)
            done = job["done"] + job["failed"]
            progress.update(task, description=shown, total=job["total"] or None, completed=done)
    return job


def finished(client: Client, job: dict[str, Any], *, json_: bool) -> dict[str, Any]:
    """The job at its end, with a bar meanwhile. Leaves with 1 where it failed."""
    job = watched(client, job)
    if job["state"] != "done":
        if json_:
            print_json(job)
        talk().print(f"[red]{job['kind']} {job['state']}: {escape(job['message'])}[/]")
        sys.exit(1)
    return job
