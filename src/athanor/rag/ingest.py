"""One run of an ingestion: plan, read, embed, commit.

Every document is one transaction, and a document whose bytes are already there is left alone: so the job can be killed
at any moment and run again, and running it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from athanor.data import FileKind, ParserPool
from athanor.engines import Embedder
from athanor.errors import DocumentError
from athanor.rag._ingest_gate import Gate
from athanor.rag._ingest_index import Indexer, Read, embedded_text
from athanor.rag._ingest_open import Opened, Opener, Task
from athanor.rag._ingest_plan import Planner
from athanor.rag._ingest_source import Source
from athanor.rag._ingest_tally import Tally, told
from athanor.rag.chunk import chunk
from athanor.rag.listing import LISTING
from athanor.rag.origins import Find
from athanor.store import Store
from athanor.types import Job, JobItem, JobState, KnowledgeBase, ParsedDocument

__all__ = ["IngestionRun", "embedded_text"]

AHEAD = 32
"""Sources that may wait for a parser. A container is looked through no faster than it is read."""


class IngestionRun:
    """One run of one job of the kind `ingest`."""

    def __init__(
        self,
        job: Job,
        base: KnowledgeBase,
        store: Store,
        parsers: ParserPool,
        embedder: Embedder,
        chunk_tokens: int,
        find: Find | None = None,
    ) -> None:
        self._job = job
        self._store = store
        self._parsers = parsers
        self._chunk_tokens = chunk_tokens
        self._gate = Gate(base, store, job)
        self._tally = Tally(job, store, self._gate)
        self._planner = Planner(store, self._gate, self._tally, self._reject, find)
        self._opener = Opener(store, parsers, self._gate, self._tally, self._reject, self._tally.skip)
        self._indexer = Indexer(base, store, embedder, self._tally, self._gate)

    async def run(self, workers: int) -> Mapping[str, object]:
        """Do it, with so many documents in the parsers at once; gives the result of the job.

        Raises:
            JobError: the embedder does not come back.
        """
        await self._tally.note("Looking for files")
        sources = await self._planner.plan()
        await self._tally.note("Reading")
        queue, tasks = anyio.create_memory_object_stream[Task](AHEAD)
        send, receive = anyio.create_memory_object_stream[Read](4)
        try:
            async with anyio.create_task_group() as beats:
                beats.start_soon(self._tally.beat)
                async with anyio.create_task_group() as group, send, receive, tasks:
                    group.start_soon(self._feed, sources, queue, send.clone(), group)
                    for _ in range(workers):
                        group.start_soon(self._read_all, tasks.clone(), send.clone())
                    send.close()
                    await self._indexer.index_all(receive)
                beats.cancel_scope.cancel()
        except BaseException:  # cancelled too, by a person or by the end of the process
            with anyio.CancelScope(shield=True):
                await self._opener.abandon()
            raise
        await self._tally.note("Indexing")
        return self._tally.result()

    async def _feed(
        self,
        sources: Sequence[Source],
        queue: MemoryObjectSendStream[Task],
        send: MemoryObjectSendStream[Read],
        group: TaskGroup,
    ) -> None:
        """Give the workers what there is to read, members included."""
        async with queue, send:
            for source in sources:
                if not source.opens:
                    await queue.send((source, None))
                    continue
                opened = await self._opener.open(source, queue, self._planner.since)
                if opened is not None:
                    # The next may begin while the last members of this one are on their way.
                    group.start_soon(self._close, opened, send.clone())

    async def _read_all(self, tasks: MemoryObjectReceiveStream[Task], send: MemoryObjectSendStream[Read]) -> None:
        async with tasks, send:
            async for source, opened in tasks:
                try:
                    read = await self._read(source)
                except DocumentError as error:
                    if opened is None:
                        await self._refuse(source, error)
                    else:
                        await self._opener.refuse(opened, source, error)
                        opened.settle()
                    continue
                await send.send(read if opened is None else replace(read, settle=opened.settle))

    async def _read(self, source: Source) -> Read:
        """Parse and cut one source. Raises DocumentError."""
        heard = partial(self._tally.heard, source)
        try:
            parsed = await self._parsers.parse(source.path, source.called, member=source.member, progress=heard)
        finally:
            heard(None)
        if parsed.warnings:
            await self._tally.put_item(source, JobState.DONE, " ".join(parsed.warnings))
        return await self._cut(source, parsed)

    async def _cut(self, source: Source, parsed: ParsedDocument) -> Read:
        blank = self._gate.blank(source)
        cut = partial(chunk, parsed, document_id=blank.id, target_tokens=self._chunk_tokens)
        chunks = await to_thread.run_sync(cut)
        document = replace(blank, title=parsed.title or blank.title, mime=parsed.mime, pages=parsed.pages)
        return Read(source=source, document=document, text=parsed.text, chunks=chunks, pictures=parsed.pictures)

    async def _close(self, opened: Opened, send: MemoryObjectSendStream[Read]) -> None:
        """Commit a container, once its members are in."""
        async with send:
            await opened.settled()
            source = opened.source
            if source.kind is FileKind.CONTAINER:
                await self._opener.tidy(opened)
                await send.send(self._listed(opened))
                return
            try:
                read = await self._read(source)
            except DocumentError as error:
                if source.kind is FileKind.BOTH:
                    await self._opener.tidy(opened)
                if source.kind is FileKind.BOTH and error.reason == "no_text" and opened.listing.members:
                    await send.send(self._listed(opened))
                else:
                    await self._refuse(source, error)
                return
            await self._opener.tidy(opened)
            await send.send(read)

    def _listed(self, opened: Opened) -> Read:
        """A container whose text is what it holds."""
        document = replace(self._gate.blank(opened.source), mime=LISTING)
        return Read(source=opened.source, document=document, text="", chunks=[], pictures=(), listing=opened.listing)

    async def _refuse(self, source: Source, error: DocumentError) -> None:
        """A folder's pictures and programs are no failures: nobody asked for them to be read."""
        if error.reason == "unsupported_type" and source.file is None and source.document is None:
            await self._tally.skip(source, error)
        else:
            await self._reject(source, error)

    async def _reject(self, source: Source, error: DocumentError) -> None:
        message = told(error)

        def record() -> bool:
            with self._store.write() as conn:
                if self._gate.gone([source], conn):
                    return False
                self._gate.hold(source, conn)
                closed = replace(self._gate.blank(source), access=self._gate.access(source, conn))
                self._store.knowledge.fail_document(closed, message, conn=conn)
                item = JobItem(job=self._job.id, key=source.name, state=JobState.FAILED, message=message)
                self._store.jobs.put_items([item], conn=conn)
            return True

        if await to_thread.run_sync(record):
            self._tally.failed += 1
            await self._tally.note("Reading")
        else:
            await self._tally.withdraw()
