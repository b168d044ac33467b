"""The figures of one run of an ingestion, and how they get into its job."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from anyio import to_thread

from athanor.store import Store
from athanor.types import Job, JobItem, JobState


class Tally:
    """Counts the documents of one run and shows them in its job."""

    def __init__(self, job: Job, store: Store) -> None:
        self.job = job
        self._store = store
        self.total = self.unchanged = self.removed = self.done = self.failed = self.skipped = self.chunks = 0

    def result(self) -> Mapping[str, object]:
        """What the job gives when it is done."""
        return {
            "documents": self.done - self.unchanged,
            "chunks": self.chunks,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "failed": self.failed,
            "skipped": self.skipped,
        }

    async def note(self, message: str) -> None:
        """Show the figures, and what is done now."""
        note = partial(
            self._store.jobs.progress,
            self.job.id,
            self.job.lease_owner or "",
            total=self.total,
            done=self.done,
            failed=self.failed,
            message=message,
        )
        await to_thread.run_sync(note)

    async def put_item(self, name: str, state: JobState, message: str) -> None:
        """Say something of one document (by source)."""
        item = JobItem(job=self.job.id, key=name, state=state, message=message)
        await to_thread.run_sync(self._store.jobs.put_items, [item])
