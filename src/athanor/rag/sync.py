"""Sources that a base is kept in step with: registering them, their state, and the jobs that are made of them.

A synchronisation is a job of the kind `ingest` and no other thing. How a source does follows from its row and from its
last job: a process that is killed has nothing to put right, and several processes see the same.
"""

from __future__ import annotations

import builtins
import logging
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from sqlalchemy import Connection

from athanor.data.git import git_address, is_git
from athanor.errors import AthanorError, InputError, NotFoundError, PermissionDeniedError
from athanor.governance import Right, may, require
from athanor.observe import Action, AuditLog
from athanor.rag.ingestion import Ingestion, existing_folder
from athanor.rag.origins import Origins
from athanor.rag.permissions import Permissions
from athanor.rag.sync_state import OPEN, SourceStatus, arguments, clean_prefix, due, settled
from athanor.store import Store
from athanor.types import Job, KnowledgeBase, Principal, Reader, SyncSource

log = logging.getLogger(__name__)

SHORTEST = 10.0
"""Seconds between synchronisations, at least."""
LONGEST = 366 * 86_400.0
POLL_SECONDS = 5.0
"""How often the sources are looked at. The first time is so long after the start that a short command makes no job."""
_FOLDER = "folder:"
_BATCH = 50
"""Documents deleted in one transaction."""


class _LostError(Exception):
    """Another process, or another thread, was faster."""


class Sources:
    """Registers sources, and makes their jobs when they are due or asked for. What is not `async` blocks."""

    def __init__(self, store: Store, ingestion: Ingestion, origins: Origins) -> None:
        self._store = store
        self._ingestion = ingestion
        self._origins = origins
        self._permissions = Permissions(store)
        self._audit = AuditLog(store)

    def allow(self, place: str, by: Principal) -> str:
        """The origin that `place` names: a folder of this machine, the URL of a repository, or an origin itself.

        Raises:
            PermissionDeniedError: see `check`. It comes first, so that nobody learns which folders there are.
            NotFoundError: there is no such folder.
            InputError: it is no address of a repository that is read.
        """
        if is_git(place):
            origin = git_address(place).origin
            self.check(by, origin)
            return origin
        self.check(by, _FOLDER)
        return f"{_FOLDER}{existing_folder(Path(place.removeprefix(_FOLDER)))}"

    def known(self, place: str, by: Principal) -> str:
        """As `allow`, but a folder need not be there any more.

        Raises:
            PermissionDeniedError, InputError: as `allow`.
        """
        origin = git_address(place).origin if is_git(place) else f"{_FOLDER}{place.removeprefix(_FOLDER)}"
        self.check(by, origin)
        return origin

    def check(self, who: Principal, origin: str) -> None:
        """Let `who` pass if they may bring what is at `origin` into a base.

        Folders and repositories of this machine, and what the server's own credentials open, are the administrators';
        the settings name the hosts that are for whoever may build.

        Raises:
            PermissionDeniedError: they may not.
        """
        require(who, Right.BUILD)
        if may(who, Right.ADMINISTER):
            return
        host = git_address(origin).host if origin.startswith("git:") else ""
        if host not in {name.lower() for name in self._origins.settings.hosts}:
            raise PermissionDeniedError(
                "Only administrators may read from there." if host else "Only administrators may read this machine.",
                where=host or None,
                hint="An administrator can allow the host: git.hosts." if host else "Add the files themselves.",
            )

    def tells(self, base: KnowledgeBase, reader: Reader) -> bool:
        """May `reader` know of the sources of `base`: their paths, states and counts tell of closed documents."""
        if reader.everything:
            return True
        with self._store.read() as conn:
            return not self._permissions.guarded(base, conn)

    def add(
        self,
        base: KnowledgeBase,
        place: str,
        *,
        every: float | None = None,
        prefix: str = "",
        reader: Reader,
        by: Principal,
    ) -> SyncSource:
        """Keep `base` in step with `place` from now on; where it already is, change how.

        Args:
            every: seconds between synchronisations; `None` is only when asked.
            prefix: what the names of its documents begin with, so that two sources may have files of one name.

        Raises:
            PermissionDeniedError, NotFoundError, InputError: see `allow`; or documents of the base are closed, or the
                pause is too short.
        """
        origin = self.allow(place, by)
        self._open(base, reader)
        if every is not None and not SHORTEST <= every <= LONGEST:
            raise InputError(f"Between two synchronisations are at least {SHORTEST:g} seconds.", where="every")
        source = SyncSource(
            base=base.id,
            origin=origin,
            created_at=time.time(),
            every=every,
            principal=by.id,
            prefix=clean_prefix(prefix),
        )
        with self._store.write() as conn:
            if not self._store.sync_sources.change(source, conn=conn):
                self._store.sync_sources.put(source, conn=conn)
            details = {"origin": origin, "every": every, "prefix": source.prefix}
            self._audit.record(Action.SOURCE_ADDED, by=by, subject=base.id, details=details, conn=conn)
            return self._store.sync_sources.get(base.id, origin, conn=conn)

    def _open(self, base: KnowledgeBase, reader: Reader) -> None:
        if not self.tells(base, reader):
            raise PermissionDeniedError(
                "Some documents of this base are closed; its sources are the administrators'.", where=base.name
            )

    def remove(
        self, base: KnowledgeBase, origin: str, *, keep_documents: bool = False, reader: Reader, by: Principal
    ) -> int:
        """Keep `base` in step with `origin` no longer; how many of its documents were deleted with it.

        Raises:
            NotFoundError: it is not.
            PermissionDeniedError: see `check`; or documents of the base are closed.
        """
        origin = self.known(origin, by)
        self._open(base, reader)
        with self._store.write() as conn:
            source = self._store.sync_sources.get(base.id, origin, conn=conn)
            self._store.sync_sources.delete(base.id, origin, conn=conn)
            if source.job is not None:
                self._store.jobs.cancel(source.job, message="Its source was removed.", conn=conn)
            details = {"origin": origin, "documents_kept": keep_documents}
            self._audit.record(Action.SOURCE_REMOVED, by=by, subject=base.id, details=details, conn=conn)
        self._origins.forget(origin)
        if keep_documents:
            return 0
        states = self._store.knowledge.sources(base.id).values()
        mine = [state.document for state in states if state.origin == origin]
        for start in range(0, len(mine), _BATCH):
            with self._store.write() as conn:
                for document in mine[start : start + _BATCH]:
                    self._delete(document, conn)
        return len(mine)

    def _delete(self, document: str, conn: Connection) -> None:
        with suppress(NotFoundError):  # it went with the container that it was in
            self._store.knowledge.delete_document(document, conn=conn)

    def list(self, base: KnowledgeBase, *, reader: Reader) -> list[SourceStatus]:
        """How the sources of `base` do, oldest first; none where the reader may not know of them."""
        if not self.tells(base, reader):
            return []
        with self._store.read() as conn:
            found = self._store.sync_sources.list(base.id, conn=conn)
            counts = self._store.knowledge.origins(base.id, conn=conn)
            return [self._status(source, counts.get(source.origin, (0, 0)), conn) for source in found]

    def _status(self, source: SyncSource, counts: tuple[int, int], conn: Connection) -> SourceStatus:
        job = self._job(source, conn)
        now = settled(source, job)
        owner = None if source.principal is None else self._store.principals.find(source.principal, conn=conn)
        rests = "" if source.every is None else self._rests(source, owner)
        return SourceStatus(
            source=now,
            job=job,
            due_at=None if rests else due(now, job),
            documents=counts[0],
            failed=counts[1],
            registered_by="" if owner is None else owner.name,
            rests=rests,
        )

    def _job(self, source: SyncSource, conn: Connection | None = None) -> Job | None:
        try:
            return None if source.job is None else self._store.jobs.get(source.job, conn=conn)
        except NotFoundError:
            return None

    def _rests(self, source: SyncSource, owner: Principal | None) -> str:
        if owner is None:
            return "Whoever registered it is not there any more; register it again."
        try:
            self.check(owner, source.origin)
        except PermissionDeniedError:
            return f"{owner.name}, who registered it, may not read from there any more."
        return ""

    # -- jobs

    def sync(self, base: KnowledgeBase, origin: str, *, full: bool = False, reader: Reader, by: Principal) -> Job:
        """The job that brings `base` in step with a registered source: the one that is open, else a new one.

        Raises:
            NotFoundError: `base` is not kept in step with it.
            PermissionDeniedError: see `check`; or documents of the base are closed.
        """
        origin = self.known(origin, by)
        self._open(base, reader)
        while True:
            source = self._store.sync_sources.get(base.id, origin)
            job = self._job(source)
            if job is not None and job.state in OPEN:
                return job
            made = self._begin(source, job, full=full, by=by)
            if made is not None:
                return made

    def once(self, base: KnowledgeBase, place: str, *, full: bool = False, reader: Reader, by: Principal) -> Job:
        """A job that brings `base` in step with `place` this time; with a registered source, its own.

        Raises:
            NotFoundError, InputError, PermissionDeniedError: see `allow` and `sync`.
        """
        origin = self.allow(place, by)
        try:
            return self.sync(base, origin, full=full, reader=reader, by=by)
        except NotFoundError:
            source = SyncSource(base=base.id, origin=origin, created_at=time.time())
            return self._ingestion.enqueue(arguments(source, full=full), by=by)

    def _begin(self, source: SyncSource, last: Job | None, *, full: bool, by: Principal) -> Job | None:
        """A new job for a source whose last job has ended; `None` where another was faster."""
        now = settled(source, last)
        try:
            with self._store.write() as conn:
                job = self._ingestion.enqueue(arguments(now, full=full), by=by, conn=conn)
                if not self._store.sync_sources.begin(replace(now, job=job.id), after=source.job, conn=conn):
                    raise _LostError  # and the job was never there
        except _LostError:
            return None
        return job

    def tick(self, now: float) -> builtins.list[Job]:
        """Make the jobs that are due at `now` (Unix seconds); those that were made."""
        made = []
        for source in self._store.sync_sources.list():
            if source.every is None:
                continue
            job = self._job(source)
            when = due(settled(source, job), job)
            if when is None or when > now:
                continue
            owner = None if source.principal is None else self._store.principals.find(source.principal)
            if owner is None or self._rests(source, owner):
                continue
            begun = self._begin(source, job, full=False, by=owner)
            if begun is not None:
                made.append(begun)
        return made

    async def run_forever(self) -> None:
        """Make jobs as they fall due; until cancelled."""
        while True:
            await anyio.sleep(POLL_SECONDS)
            try:
                await to_thread.run_sync(partial(self.tick, time.time()))
            except AthanorError as error:
                log.error("the sources could not be looked at, and will be again: %s", error)
