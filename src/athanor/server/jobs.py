"""How jobs are told over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from athanor.types import Job, JobItem


def job_body(job: Job, items: Sequence[JobItem] = ()) -> dict[str, Any]:
    """A job as JSON; of `items` those that there is something to say about."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "message": job.message,
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "attempts": job.attempts,
        "result": dict(job.result),
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "items": [{"key": i.key, "state": i.state, "message": i.message} for i in items if i.message],
    }
