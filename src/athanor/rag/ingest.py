"""Ingestion: a job that brings a knowledge base in step with a folder or with uploaded files.

Every document is one transaction, and a document whose bytes are already there is left alone: so the job can be killed
at any moment and run again, and running it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from athanor.data import ParserPool, SourceFile, scan_folder
from athanor.engines import Embedder
from athanor.errors import DocumentError, EngineError, JobError, NotFoundError
from athanor.rag.chunk import chunk
from athanor.store import NewDocument, Store
from athanor.types import Chunk, Job, JobState, KnowledgeBase, ParsedDocument, new_id

GROUP_CHUNKS = 64
"""Documents are embedded and committed together until they hold this many chunks: small files then cost no
transaction and no half-empty batch each."""

EMBED_ATTEMPTS = 5


@dataclass(slots=True)
class _Progress:
    """Counts of one run, written to the job's row as it goes."""

    total: int = 0
    done: int = 0
    failed: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0


@dataclass(slots=True, kw_only=True)
class _Parsed:
    """A document between its parser and its embedding."""

    file: SourceFile
    document_id: str
    parsed: ParsedDocument
    chunks: list[Chunk] = field(default_factory=list)


class Ingestion:
    """Runs jobs of the kind `ingest`."""

    KIND = "ingest"

    def __init__(
        self, store: Store, parsers: ParserPool, embedder: Embedder, *, chunk_tokens: int, max_bytes: int, workers: int
    ) -> None:
        self._store = store
        self._parsers = parsers
        self._embedder = embedder
        self._chunk_tokens = chunk_tokens
        self._max_bytes = max_bytes
        self._workers = workers

    async def enqueue_folder(self, base: KnowledgeBase, folder: Path) -> Job:
        """Queue a job that brings `base` in step with `folder`: new, changed and deleted files.

        Raises:
            NotFoundError: there is no such folder.
        """
        folder = folder.expanduser().resolve()
        if not folder.is_dir():
            raise NotFoundError("There is no such folder.", where=str(folder))
        return await to_thread.run_sync(
            lambda: self._store.jobs.enqueue(self.KIND, {"knowledge_base": base.id, "folder": str(folder)})
        )

    async def enqueue_files(self, base: KnowledgeBase, files: Mapping[str, str]) -> Job:
        """Queue a job that adds uploaded files: source name → file id."""
        return await to_thread.run_sync(
            lambda: self._store.jobs.enqueue(self.KIND, {"knowledge_base": base.id, "files": dict(files)})
        )

    async def run(self, job: Job) -> Mapping[str, object]:
        """Do the job. Problems of single files are its items; it fails only when it cannot go on."""
        base = await to_thread.run_sync(self._store.knowledge.get, job.arguments["knowledge_base"])
        progress = _Progress()
        files = await self._plan(job, base, progress)
        send, receive = anyio.create_memory_object_stream[_Parsed](2)
        queue = iter(files)
        async with anyio.create_task_group() as group:
            async with send:
                for _ in range(self._workers):
                    group.start_soon(self._parse, job, base, queue, send.clone(), progress)
            group.start_soon(self._index, job, base, receive, progress)
        return {
            "documents": progress.done - progress.unchanged,
            "unchanged": progress.unchanged,
            "removed": progress.removed,
            "failed": progress.failed,
            "chunks": progress.chunks,
        }

    async def _plan(self, job: Job, base: KnowledgeBase, progress: _Progress) -> list[SourceFile]:
        """What has to be read: everything whose bytes the base does not hold yet."""
        await self._note(job, progress, "Looking for files")
        known = await to_thread.run_sync(self._store.knowledge.sources, base.id)
        if "folder" in job.arguments:
            origin = f"folder:{job.arguments['folder']}"
            listing = await to_thread.run_sync(
                lambda: scan_folder(Path(job.arguments["folder"]), max_bytes=self._max_bytes)
            )
            for source, problem in listing.problems:
                await self._reject(job, base, SourceFile.missing(source), problem, progress)
            found = listing.files
            present = {file.source for file in found} | {source for source, _ in listing.problems}
            gone = [name for name, state in known.items() if state.origin == origin and name not in present]
            for name in gone:
                await to_thread.run_sync(self._store.knowledge.delete_source, base.id, name)
            progress.removed = len(gone)
        else:
            found = await to_thread.run_sync(self._uploads, job.arguments["files"])
        progress.total = len(found) + progress.failed
        changed = [file for file in found if not (state := known.get(file.source)) or not state.holds(file.sha256)]
        progress.unchanged = progress.done = len(found) - len(changed)
        await self._note(job, progress, "Reading")
        return changed
