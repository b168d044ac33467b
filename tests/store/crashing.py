"""What the killed processes run: `python crashing.py TASK URL BLOBS`. What is committed is said on a line."""

from __future__ import annotations

import sys
import time
from itertools import count
from pathlib import Path

from material import put

from athanor.store import Store
from athanor.types import JobItem, JobState, RequestRecord

CHUNKS = 60


def replace(store: Store) -> None:
    """Replace one document for ever. Its chunks say which version they are of."""
    kb = store.knowledge.get("notes")
    for turn in count():
        size = CHUNKS + turn % 7
        doc = put(store, kb, "a.md", [f"Turn {turn} of {size}, passage {n}. " for n in range(size)])
        print(doc.version, flush=True)


def record(store: Store) -> None:
    """Submit request rows for ever."""
    for turn in count():
        rows = [
            RequestRecord(trace=f"{time.time_ns()}-{turn}-{n}", at=0.0, door="d", principal="p", model="m")
            for n in range(5)
        ]
        futures = [store.writer.append(lambda rows_, row=row: store.requests.insert([row], into=rows_)) for row in rows]
        for row, future in zip(rows, futures, strict=True):
            future.result()
            print(row.trace, flush=True)


def work(store: Store) -> None:
    """Lease jobs, note each, and write to the audit log, until there is none."""
    while job := store.jobs.lease(f"process {time.time_ns()}", seconds=60):
        with store.write() as conn:
            store.jobs.put_items([JobItem(job=job.id, key="x", state=JobState.DONE)], conn=conn)
            store.audit.append(principal="p", action="job", subject=job.id, conn=conn)
            assert job.lease_owner is not None
            assert store.jobs.finish(job.id, job.lease_owner, conn=conn)
        print(job.id, flush=True)


def opened(_: Store) -> None:
    """Nothing: opening was the task."""
    print("open", flush=True)


if __name__ == "__main__":
    task, url, blobs = sys.argv[1:]
    globals()[task](Store.open(url, blobs=Path(blobs)))
