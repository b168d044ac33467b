"""What deletes knowledge bases and uploads when their time is over.

Whatever is found to be over is looked at again under the lock of the transaction that deletes it: a base that was used,
or given more days, a moment ago stays. What a job still works on stays until it has ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass

import anyio
from anyio import to_thread
from sqlalchemy import Connection

from athanor.errors import AthanorError, NotFoundError
from athanor.observe import Action, AuditLog
from athanor.rag.indexes import Indexes
from athanor.rag.permissions import ALL
from athanor.store import Store
from athanor.types import File, JobState, KnowledgeBase

log = logging.getLogger(__name__)

SECONDS = 60.0
"""Between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Names of the bases and ids of the files that one look deleted."""

    bases: tuple[str, ...]
    files: tuple[str, ...]


class Expiry:
    """Deletes what is over, and writes down that the system did."""

    def __init__(self, store: Store, indexes: Indexes) -> None:
        self._store = store
        self._indexes = indexes
        self._audit = AuditLog(store)

    async def run_forever(self) -> None:
        """Look every minute. What fails is logged, and tried again."""
        while True:
            try:
                await to_thread.run_sync(self.sweep)
            except AthanorError as error:
                log.error("what is over could not be deleted, and is tried again: %s", error)
            await anyio.sleep(SECONDS)

    def sweep(self, *, at: float | None = None) -> Gone:
        """Delete what is over `at` (Unix seconds, now). Blocks."""
        now = time.time() if at is None else at
        bases = [base.name for base in self._store.knowledge.expired(at=now) if self._delete_base(base, now)]
        files = [file.id for file in self._store.files.expired(at=now) if self._delete_file(file, now)]
        return Gone(bases=tuple(bases), files=tuple(files))

    def _delete_base(self, base: KnowledgeBase, now: float) -> bool:
        with self._store.write() as conn:
            try:
                fresh = self._store.knowledge.update(base.id, conn=conn)  # changes nothing: it locks
            except NotFoundError:
                return False
            ends = fresh.expires_at
            if ends is None or ends > now or base.id in self._at_work(conn)[0]:
                return False
            self._store.knowledge.delete(base.id, conn=conn)
            details = {"name": fresh.name, "expired_at": ends}
            self._audit.record(Action.KNOWLEDGE_DELETED, by=None, subject=base.id, details=details, conn=conn)
        self._indexes.drop(base.id)
        return True

    def _delete_file(self, file: File, now: float) -> bool:
        with self._store.write() as conn:
            if file.id in self._at_work(conn)[1]:
                return False
            try:
                self._store.files.delete(file.id, conn=conn)
            except NotFoundError:
                return False
            details = {"expired_at": file.expires_at}
            self._audit.record(Action.FILE_DELETED, by=None, subject=file.id, details=details, conn=conn)
        return True

    def _at_work(self, conn: Connection) -> tuple[Collection[str], Collection[str]]:
        """The bases and the files that jobs wait for or work on, by id."""
        jobs = self._store.jobs.list(states=(JobState.QUEUED, JobState.RUNNING), limit=ALL, conn=conn)
        bases = {str(job.arguments.get("knowledge_base")) for job in jobs}
        return bases, {str(file) for job in jobs for file in dict(job.arguments.get("files", {})).values()}
