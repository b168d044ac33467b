"""One run of an ingestion: plan, read, embed, commit.

Every document is one transaction, and a document whose bytes are already there is left alone: so the job can be killed
at any moment and run again, and running it twice changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from athanor.data import ParserPool, scan_folder
from athanor.engines import Embedder
from athanor.errors import DocumentError, EngineCrashedError, EngineUnavailableError, JobError
from athanor.rag.chunk import chunk
from athanor.rag.permissions import access_for
from athanor.store import Store
from athanor.types import (
    Chunk,
    Document,
    DocumentStatus,
    Job,
    JobItem,
    JobState,
    KnowledgeBase,
    ParsedDocument,
    Picture,
    SourceState,
    StoredPicture,
    new_id,
)

GROUP_CHUNKS = 64
"""Documents are embedded and committed together until they hold this many chunks: small files then cost no transaction
and no half-empty batch each."""

EMBED_ATTEMPTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One file that has to be read."""

    name: str
    path: Path
    sha256: str
    size: int
    title: str
    stamp: str = ""
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A file between its parser and its embedding."""

    document: Document
    text: str
    chunks: list[Chunk]
    pictures: tuple[Picture, ...]


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
        self._embedder = embedder
        self._chunk_tokens = chunk_tokens
        self._origin = f"folder:{job.arguments['folder']}" if "folder" in job.arguments else "upload"
        self._total = self._unchanged = self._removed = self._done = self._failed = self._skipped = self._chunks = 0

    async def run(self, workers: int) -> Mapping[str, object]:
        known = await to_thread.run_sync(self._store.knowledge.sources, self._base.id)
        await self._note("Looking for files")
        sources = await self._plan(known)
        await self._note("Reading")
        send, receive = anyio.create_memory_object_stream[_Read](4)
        queue = iter(sources)
        async with anyio.create_task_group() as group, send, receive:
            for _ in range(workers):
                group.start_soon(self._read_all, queue, known, send.clone())
            send.close()
            await self._index_all(receive)
        return {
            "documents": self._done - self._unchanged,
            "chunks": self._chunks,
            "unchanged": self._unchanged,
            "removed": self._removed,
            "failed": self._failed,
            "skipped": self._skipped,
        }

    async def _plan(self, known: Mapping[str, SourceState]) -> list[_Source]:
        """Everything whose bytes the base does not hold yet. Documents whose file is gone are deleted."""
        if "folder" in self._job.arguments:
            found = await self._scan(known)
        else:
            found = await to_thread.run_sync(self._uploads)
        changed = [source for source in found if not _held(known.get(source.name), source.sha256)]
        await self._restamp(found, known)
        self._total = len(found) + self._failed
        self._unchanged = self._done = len(found) - len(changed)
        return changed

    async def _scan(self, known: Mapping[str, SourceState]) -> list[_Source]:
        folder = Path(self._job.arguments["folder"])
        held = {} if self._job.arguments.get("full") else self._stamps(known)
        scan = partial(scan_folder, folder, max_bytes=self._parsers.limits.file_bytes, known=held)
        listing = await to_thread.run_sync(scan)
        for name, problem in listing.problems:
            await self._reject(self._blank(name, None), problem)
        present = {file.source for file in listing.files} | {name for name, _ in listing.problems}
        gone = [s.document for name, s in known.items() if s.origin == self._origin and name not in present]
        for document in gone:
            await to_thread.run_sync(self._store.knowledge.delete_document, document)
        self._removed = len(gone)
        return [
            _Source(name=f.source, path=f.path, sha256=f.sha256, size=f.size, title=Path(f.source).name, stamp=f.stamp)
            for f in listing.files
        ]

    def _stamps(self, known: Mapping[str, SourceState]) -> dict[str, tuple[str, str]]:
        """What needs no reading while its stamp stays: files of this folder whose last version was good."""
        return {
            name: (state.stamp, state.sha256)
            for name, state in known.items()
            if state.stamp and state.origin == self._origin and state.status is DocumentStatus.READY
        }

    async def _restamp(self, found: list[_Source], known: Mapping[str, SourceState]) -> None:
        """Keep the new stamps of files that have the same bytes, so that the next run need not read them."""
        stamps = {}
        for source in found:
            state = known.get(source.name)
            if state and state.origin == self._origin and _held(state, source.sha256) and state.stamp != source.stamp:
                stamps[state.document] = source.stamp
        if stamps:
            await to_thread.run_sync(self._store.knowledge.set_stamps, stamps)

    def _uploads(self) -> list[_Source]:
        sources = []
        for name, file_id in self._job.arguments["files"].items():
            file = self._store.files.get(file_id)
            path = self._store.blobs.path(file.sha256)
            sources.append(
                _Source(name=name, path=path, sha256=file.sha256, size=file.size, title=file.name, file=file.id)
            )
        return sources

    # -- reading

    async def _read_all(
        self, queue: Iterator[_Source], known: Mapping[str, SourceState], send: MemoryObjectSendStream[_Read]
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
                    await self._put_item(source.name, JobState.DONE, " ".join(parsed.warnings))
                state = known.get(source.name)
                identity = state.document if state else blank.id
                cut = partial(chunk, parsed, document_id=identity, target_tokens=self._chunk_tokens)
                chunks = await to_thread.run_sync(cut)
                document = _filled(blank, identity, parsed)
                await send.send(_Read(document=document, text=parsed.text, chunks=chunks, pictures=parsed.pictures))

    async def _skip(self, name: str, error: DocumentError) -> None:
        """A folder's pictures and programs are no failures: nobody asked for them to be read."""
        await self._put_item(name, JobState.CANCELLED, error.message)
        self._skipped += 1
        self._total -= 1
        await self._note("Reading")

    async def _put_item(self, name: str, state: JobState, message: str) -> None:
        item = JobItem(job=self._job.id, key=name, state=state, message=message)
        await to_thread.run_sync(self._store.jobs.put_items, [item])

    def _blank(self, name: str, source: _Source | None) -> Document:
        now = time.time()
        return Document(
            id=new_id("doc"),
            knowledge_base=self._base.id,
            source=name,
            origin=self._origin,
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
        self._failed += 1
        await self._note("Reading")

    # -- indexing

    async def _index_all(self, receive: MemoryObjectReceiveStream[_Read]) -> None:
        async for first in receive:
            group = [first]
            while sum(len(read.chunks) for read in group) < GROUP_CHUNKS:
                try:
                    group.append(receive.receive_nowait())
                except (anyio.WouldBlock, anyio.EndOfStream):
                    break
            await self._index(group)

    async def _index(self, group: list[_Read]) -> None:
        texts = [embedded_text(read.document.title, passage) for read in group for passage in read.chunks]
        vectors = await self._embed(texts)

        def commit() -> None:
            # Blobs first: a row must never refer to bytes that are not there.
            stored = [self._store.blobs.put(read.text.encode("utf-8")) for read in group]
            pictures = [[self._picture(picture) for picture in read.pictures] for read in group]
            position = 0
            with self._store.write() as conn:
                # Read here: a rule that was made while the files were read counts already.
                base = self._store.knowledge.get(self._base.id, conn=conn)
                for read, sha256, shown in zip(group, stored, pictures, strict=True):
                    access = access_for(base, read.document.source)
                    rows = vectors[position : position + len(read.chunks)]
                    position += len(read.chunks)
                    self._store.knowledge.replace_document(
                        replace(read.document, text_sha256=sha256, access=access),
                        read.chunks,
                        rows,
                        embedder=self._embedder.profile.id,
                        pictures=shown,
                        conn=conn,
                    )

        await to_thread.run_sync(commit)
        self._done += len(group)
        self._chunks += len(texts)
        await self._note("Indexing")

    def _picture(self, picture: Picture) -> StoredPicture:
        sha256 = self._store.blobs.put(picture.data)
        return StoredPicture(sha256=sha256, mime=picture.mime, start=picture.start, alt=picture.alt)

    async def _embed(self, texts: list[str]) -> list[bytes]:
        if not texts:
            return []
        for attempt in range(EMBED_ATTEMPTS):
            try:
                return (await self._embedder.embed(texts, kind="document")).rows()
            except (EngineCrashedError, EngineUnavailableError):
                await self._note("Waiting for the embedder")
                await anyio.sleep(2**attempt / 2)
        raise JobError("The embedder does not come back.", hint="'athanor doctor' says why; then run the job again.")

    async def _note(self, message: str) -> None:
        note = partial(
            self._store.jobs.progress,
            self._job.id,
            self._job.lease_owner or "",
            total=self._total,
            done=self._done,
            failed=self._failed,
            message=message,
        )
        await to_thread.run_sync(note)


def embedded_text(title: str, passage: Chunk) -> str:
    """What is embedded for a passage: its heading path, which says what it is about, then its text."""
    return f"{passage.heading or title}\n{passage.text}"


def _held(state: SourceState | None, sha256: str) -> bool:
    return state is not None and state.status is DocumentStatus.READY and state.sha256 == sha256


def _filled(blank: Document, identity: str, parsed: ParsedDocument) -> Document:
    title = parsed.title or blank.title
    return replace(blank, id=identity, title=title, mime=parsed.mime, pages=parsed.pages)
