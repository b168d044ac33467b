"""The figures of one run of an ingestion, and how they get into its job."""

from __future__ import annotations

import time
from collections.abc import Mapping

import anyio
from anyio import to_thread

from athanor.errors import DocumentError
from athanor.rag._ingest_gate import Gate
from athanor.rag._ingest_source import Source
from athanor.store import Store
from athanor.types import Job, JobItem, JobState

TICK_SECONDS = 0.5


class Tally:
    """Counts the documents of one run and shows them in its job."""

    def __init__(self, job: Job, store: Store, gate: Gate) -> None:
        self.job = job
        self._store = store
        self._gate = gate
        self.total = self.unchanged = self.removed = self.done = self.failed = self.skipped = self.chunks = 0
        self.withdrawn = 0
        """Documents that were deleted while they were read."""
        self.where = ""
        """How far the container is that is looked through now."""
        self._ticked = 0.0
        self._read: dict[str, float] = {}

    def result(self) -> Mapping[str, object]:
        """What the job gives when it is done."""
        return {
            "documents": self.done - self.unchanged,
            "chunks": self.chunks,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "failed": self.failed,
            "skipped": self.skipped,
            **({"withdrawn": self.withdrawn} if self.withdrawn else {}),
        }

    async def note(self, message: str) -> None:
        """Show the figures, and what is done now."""

        def note() -> None:
            with self._store.database.write(durable=False) as conn:
                self._store.jobs.progress(
                    self.job.id,
                    self.job.lease_owner or "",
                    total=self.total,
                    done=self.done,
                    failed=self.failed,
                    message=f"{message}{self.where or self._pages()}",
                    conn=conn,
                )

        self._ticked = time.monotonic()
        await to_thread.run_sync(note)

    async def tick(self, message: str) -> None:
        """As `note`, where that is not a moment ago."""
        if time.monotonic() - self._ticked >= TICK_SECONDS:
            await self.note(message)

    def heard(self, source: Source, share: float | None) -> None:
        """So much of a long document is read, from 0 to 1; `None` is that it is not read any more."""
        if share is None:
            self._read.pop(source.called, None)
        else:
            self._read[source.called] = share

    async def beat(self) -> None:
        """Show how far long documents are, until cancelled."""
        shown = ""
        while True:
            await anyio.sleep(TICK_SECONDS)
            if (now := self._pages()) != shown:
                shown = now
                await self.tick("Reading")

    def _pages(self) -> str:
        """How far the long document is that is read first."""
        name, share = next(iter(self._read.items()), ("", 0.0))
        return f" {name}: {share:.0%}" if name else ""

    async def withdraw(self, count: int = 1) -> None:
        """So many documents are not wanted any more."""
        self.withdrawn += count
        self.total -= count
        await self.tick("Reading")

    async def put_item(self, source: Source, state: JobState, message: str, name: str = "") -> bool:
        """Say something of `source`, or of a part of it by its own `name`; False if it was deleted meanwhile."""
        item = JobItem(job=self.job.id, key=name or source.name, state=state, message=message)

        def put() -> bool:
            # What is durable later makes it durable too: a mailbox has thousands of these.
            with self._store.database.write(durable=False) as conn:
                if self._gate.gone([source], conn):
                    return False
                self._store.jobs.put_items([item], conn=conn)
            return True

        return await to_thread.run_sync(put)

    async def skip(self, source: Source, error: DocumentError) -> None:
        """`source` was not read, and nobody asked for that: a picture or a program in a folder."""
        if await self.put_item(source, JobState.CANCELLED, error.message):
            self.skipped += 1
        self.total -= 1
        await self.tick("Reading")

    async def miss(self, source: Source, name: str, error: DocumentError) -> None:
        """A part of `source` that is no document of its own could not be read."""
        if await self.put_item(source, JobState.FAILED, told(error), name):
            self.total += 1
            self.failed += 1
            await self.tick("Reading")


def told(error: DocumentError) -> str:
    """An error in a line, with what can be done."""
    return f"{error.message} {error.hint}" if error.hint else error.message
