"""Ingestion: jobs that bring a knowledge base in step with a folder or with uploaded files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread
from sqlalchemy import Connection

from athanor.data import ParserPool
from athanor.engines import Embedder
from athanor.errors import NotFoundError
from athanor.observe import Action, AuditLog
from athanor.rag.ingest import IngestionRun
from athanor.rag.origins import Find, Origins, origin_of
from athanor.store import Store
from athanor.types import Attributes, Job, KnowledgeBase, Principal


class Ingestion:
    """Runs jobs of the kind `ingest`."""

    KIND = "ingest"

    def __init__(
        self,
        store: Store,
        parsers: ParserPool,
        embedder: Embedder,
        *,
        chunk_tokens: int,
        workers: int,
        origins: Origins | None = None,
    ) -> None:
        self._store = store
        self._parsers = parsers
        self._embedder = embedder
        self._chunk_tokens = chunk_tokens
        self._workers = workers
        self._origins = origins or Origins(home=Path(tempfile.gettempdir()) / "athanor-git", limits=parsers.limits)
        self._audit = AuditLog(store)

    async def enqueue_folder(
        self, base: KnowledgeBase, folder: Path, *, full: bool = False, by: Principal | None = None
    ) -> Job:
        """Queue a job that brings `base` in step with `folder`: new, changed and deleted files.

        `full` reads, parses and cuts every file again, as after a change of the parsers or of the size of a passage;
        otherwise a file is left alone whose size, times and inode, or else its bytes, say that it did not change.

        Raises:
            NotFoundError: there is no such folder.
        """
        folder = await to_thread.run_sync(existing_folder, folder)
        arguments = {"knowledge_base": base.id, "folder": str(folder), **({"full": True} if full else {})}
        return await to_thread.run_sync(partial(self.enqueue, arguments, by=by))

    async def enqueue_files(
        self,
        base: KnowledgeBase,
        files: Mapping[str, str],
        *,
        attributes: Mapping[str, Attributes] | None = None,
        chunk_tokens: int | None = None,
        by: Principal | None = None,
    ) -> Job:
        """Queue a job that adds uploaded files: source name → file id. A name that is there already is replaced.

        `attributes` are those of each document, by file id; `chunk_tokens` is the size of a passage in place of the
        server's.
        """
        arguments: dict[str, Any] = {"knowledge_base": base.id, "files": dict(files)}
        if attributes:
            arguments["attributes"] = {file: dict(values) for file, values in attributes.items() if values}
        if chunk_tokens is not None:
            arguments["chunk_tokens"] = chunk_tokens
        return await to_thread.run_sync(partial(self.enqueue, arguments, total=len(files), by=by))

    def enqueue(
        self, arguments: Mapping[str, Any], *, total: int = 0, by: Principal | None, conn: Connection | None = None
    ) -> Job:
        """Queue a job with these arguments, in the transaction of `conn` where there is one. Blocks."""
        asked: dict[str, Any] = {} if by is None else {"principal": by.id}
        with self._store.database.writing(conn) as c:
            # What is deleted from now on was not asked for.
            asked["revision"] = self._store.knowledge.get(arguments["knowledge_base"], conn=c).revision
            job = self._store.jobs.enqueue(self.KIND, {**arguments, **asked}, total=total, conn=c)
            base: str = arguments["knowledge_base"]
            self._audit.record(Action.INGESTION_STARTED, by=by, subject=base, details={"job": job.id}, conn=c)
        return job

    async def run(self, job: Job) -> Mapping[str, object]:
        """Do the job. Problems of single files are its items; it fails only when it cannot go on.

        Raises:
            NotFoundError: the folder, or the base, is gone.
            JobError: the embedder does not come back, the repository cannot be read, or the folder is empty now.
        """
        base = await to_thread.run_sync(self._store.knowledge.get, job.arguments["knowledge_base"])
        if "files" in job.arguments:
            return await self._run(job, base, None)

        async def note(message: str) -> None:
            tell = partial(self._store.jobs.progress, job.id, job.lease_owner or "", message=message)
            await to_thread.run_sync(tell)

        async with self._origins.opened(job.arguments, note) as found:
            if found is None:
                return await to_thread.run_sync(self._nothing, job, base)
            result = await self._run(job, base, found.find)
            return {**result, **({"state": found.state} if found.state else {})}

    async def _run(self, job: Job, base: KnowledgeBase, find: Find | None) -> Mapping[str, object]:
        tokens = int(job.arguments.get("chunk_tokens", self._chunk_tokens))
        run = IngestionRun(job, base, self._store, self._parsers, self._embedder, tokens, find)
        return await run.run(self._workers)

    def _nothing(self, job: Job, base: KnowledgeBase) -> Mapping[str, object]:
        """The result where the source is at what it was at."""
        there, _ = self._store.knowledge.origins(base.id).get(origin_of(job.arguments), (0, 0))
        none = dict.fromkeys(("documents", "chunks", "removed", "failed", "skipped"), 0)
        return {**none, "unchanged": there, "state": job.arguments["state"]}


def existing_folder(folder: Path) -> Path:
    """The absolute path of a folder. Raises NotFoundError where there is none."""
    try:
        found = folder.expanduser().absolute()
        if found.is_dir():
            return found
    except (OSError, RuntimeError, ValueError):  # no path at all: too long, a NUL in it, the home of nobody
        pass
    raise NotFoundError("There is no such folder.", where=str(folder))
