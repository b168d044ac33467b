"""Jobs, waited for."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from athanor.cli.client import Client
from athanor.cli.output import print_json, talk

POLL_SECONDS = 0.2


def finished(client: Client, job: dict[str, Any], *, json_: bool) -> dict[str, Any]:
    """The job at its end, with a bar meanwhile. Leaves with 1 where it failed."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=talk(), transient=True) as progress:
        task = progress.add_task("Waiting", total=None)
        while job["state"] in {"queued", "running"}:
            time.sleep(POLL_SECONDS)
            job = client.get(f"/api/jobs/{job['id']}")
            shown = escape(job["message"] or "Waiting")
            progress.update(task, description=shown, total=job["total"] or None, completed=job["done"])
    if job["state"] != "done":
        if json_:
            print_json(job)
        talk().print(f"[red]{job['kind']} {job['state']}: {escape(job['message'])}[/]")
        sys.exit(1)
    return job
