"""One run of an ingestion: plan, read, embed, commit.

Every document is one transaction, and a document whose bytes are already there is left alone: so the job can be killed
at any moment and run again, and running it twice changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectSendStream

from athanor.data import ParserPool
from athanor.engines import Embedder
from athanor.errors import DocumentError
from athanor.rag._ingest_index import Indexer, Read, embedded_text
from athanor.rag._ingest_plan import Planner, Source
from athanor.rag._ingest_tally import Tally
from athanor.rag.chunk import chunk
from athanor.rag.permissions import access_for
from athanor.store import Store
from athanor.types import (
    Document,
    DocumentStatus,
    Job,
    JobItem,
    JobState,
    KnowledgeBase,
    ParsedDocument,
    SourceState,
    new_id,
)

__all__ = ["IngestionRun", "embedded_text"]


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
    ) -> None:
        self._job = job
        self._base = base
        self._store = store
        self._parsers = parsers
        self._chunk_tokens = chunk_tokens
        self._tally = Tally(job, store)
        self._planner = Planner(base, store, parsers.limits, self._tally, self._reject_name)
        self._indexer = Indexer(base, store, embedder, self._tally)

    async def run(self, workers: int) -> Mapping[str, object]:
        """Do it, with so many documents in the parsers at once; gives the result of the job.

        Raises:
            JobError: the embedder does not come back.
        """
        known = await to_thread.run_sync(self._store.knowledge.sources, self._base.id)
        await self._tally.note("Looking for files")
        sources = await self._planner.plan(known)
        await self._tally.note("Reading")
        send, receive = anyio.create_memory_object_stream[Read](4)
        queue = iter(sources)
        async with anyio.create_task_group() as group, send, receive:
            for _ in range(workers):
                group.start_soon(self._read_all, queue, known, send.clone())
            send.close()
            await self._indexer.index_all(receive)
        return self._tally.result()

    async def _read_all(
        self, queue: Iterator[Source], known: Mapping[str, SourceState], send: MemoryObjectSendStream[Read]
    ) -> None:
        async with send:
            for source in queue:
                blank = self._blank(source.name, source)
                try:
                    parsed = await self._parsers.parse(source.path, source.title)
                except DocumentError as error:
                    if error.reason == "unsupported_type" and source.file is None:
                        await self._skip(source.name, error)
                    else:
                        await self._reject(blank, error)
                    continue
                if parsed.warnings:
                    await self._tally.put_item(source.name, JobState.DONE, " ".join(parsed.warnings))
                state = known.get(source.name)
                identity = state.document if state else blank.id
                cut = partial(chunk, parsed, document_id=identity, target_tokens=self._chunk_tokens)
                chunks = await to_thread.run_sync(cut)
                document = _filled(blank, identity, parsed)
                await send.send(Read(document=document, text=parsed.text, chunks=chunks, pictures=parsed.pictures))

    async def _skip(self, name: str, error: DocumentError) -> None:
        """A folder's pictures and programs are no failures: nobody asked for them to be read."""
        await self._tally.put_item(name, JobState.CANCELLED, error.message)
        self._tally.skipped += 1
        self._tally.total -= 1
        await self._tally.note("Reading")

    def _blank(self, name: str, source: Source | None) -> Document:
        now = time.time()
        return Document(
            id=new_id("doc"),
            knowledge_base=self._base.id,
            source=name,
            origin=self._planner.origin,
            version=0,
            sha256=source.sha256 if source else "",
            text_sha256=None,
            title=source.title if source else name,
            mime="",
            size=source.size if source else 0,
            pages=(),
            status=DocumentStatus.FAILED,
            error=None,
            chunks=0,
            created_at=now,
            updated_at=now,
            file=source.file if source else None,
            stamp=source.stamp if source else "",
            attributes=self._job.arguments.get("attributes", {}).get(source.file, {}) if source else {},
        )

    async def _reject_name(self, name: str, error: DocumentError) -> None:
        await self._reject(self._blank(name, None), error)

    async def _reject(self, blank: Document, error: DocumentError) -> None:
        hint = f" {error.hint}" if error.hint else ""
        message = f"{error.message}{hint}"

        def record() -> None:
            with self._store.write() as conn:
                base = self._store.knowledge.get(self._base.id, conn=conn)
                closed = replace(blank, access=access_for(base, blank.source))
                self._store.knowledge.fail_document(closed, message, conn=conn)
                item = JobItem(job=self._job.id, key=blank.source, state=JobState.FAILED, message=message)
                self._store.jobs.put_items([item], conn=conn)

        await to_thread.run_sync(record)
        self._tally.failed += 1
        await self._tally.note("Reading")


def _filled(blank: Document, identity: str, parsed: ParsedDocument) -> Document:
    title = parsed.title or blank.title
    return replace(blank, id=identity, title=title, mime=parsed.mime, pages=parsed.pages)
