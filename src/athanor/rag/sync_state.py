"""How a source does, and when it is due: pure functions of its row and its last job."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from athanor.errors import InputError
from athanor.types import Job, JobState, SyncSource

RETRY_SECONDS = 300.0
"""After the first failure, or sooner where it is synchronised more often; doubles with each."""
LONGEST_RETRY = 3600.0
"""Pause between retries, at most, unless it is synchronised more rarely anyway."""
JITTER = 0.1
"""Share of a pause that is added by chance, so that sources of one beginning do not come at once for ever."""
MAX_PREFIX = 200
OPEN = (JobState.QUEUED, JobState.RUNNING)
"""States of a job that has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """A source as it is now, its last job counted in."""

    source: SyncSource
    job: Job | None
    due_at: float | None
    """Unix seconds; `None` while a job of it is open, where it is synchronised only when asked, and where it rests."""
    documents: int
    failed: int
    """Of its documents, those that could not be read."""
    registered_by: str
    """Name."""
    rests: str = ""
    """Why the schedule does not make jobs of it."""

    @property
    def running(self) -> bool:
        """Is a job of it waiting or at work."""
        return self.job is not None and self.job.state in OPEN


def settled(source: SyncSource, job: Job | None) -> SyncSource:
    """`source` with how its last job ended."""
    if job is None or job.id != source.job:
        return source
    if job.state is JobState.DONE:
        # What was read under other names says nothing of these.
        state = str(job.result.get("state", "")) if job.arguments.get("prefix", "") == source.prefix else ""
        return replace(source, synced_at=job.updated_at, state=state, failures=0, error="")
    if job.state is JobState.FAILED:
        return replace(source, failures=source.failures + 1, error=job.message)
    return source


def due(source: SyncSource, job: Job | None) -> float | None:
    """When a settled source is to be synchronised again (Unix seconds); `None` if never, or if a job of it is open."""
    if source.every is None or (job is not None and job.state in OPEN):
        return None
    if job is None:
        return source.created_at
    pause = source.every
    if job.state is JobState.FAILED:
        first = min(pause, RETRY_SECONDS)
        pause = min(first * 2.0 ** min(source.failures - 1, 20), max(pause, LONGEST_RETRY))
    chance = int.from_bytes(hashlib.sha256(job.id.encode()).digest()[:4]) / 2**32  # the same in every process
    return job.updated_at + pause * (1 + JITTER * chance)


def arguments(source: SyncSource, *, full: bool) -> Mapping[str, Any]:
    """Of a job that brings a base in step with a settled source."""
    kind, _, place = source.origin.partition(":")
    return {
        "knowledge_base": source.base,
        **({"folder": place} if kind == "folder" else {"origin": source.origin}),
        **({"prefix": source.prefix} if source.prefix else {}),
        **({"state": source.state} if source.state else {}),
        **({"full": True} if full else {}),
    }


def clean_prefix(text: str) -> str:
    """`text` as the beginning of a source name. Raises InputError where it is none."""
    parts = [part for part in text.strip().split("/") if part]
    if len(text) > MAX_PREFIX or not text.isprintable() or {".", ".."}.intersection(parts):
        raise InputError("The prefix is no path of folders, such as 'handbook/'.", where="prefix")
    return "".join(f"{part}/" for part in parts)
