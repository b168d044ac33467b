"""The second half of an ingestion: what was read is embedded and committed, in groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from athanor.engines import Embedder
from athanor.errors import EngineCrashedError, EngineUnavailableError, JobError
from athanor.rag._ingest_gate import Gate
from athanor.rag._ingest_source import Source
from athanor.rag._ingest_tally import Tally
from athanor.rag._ingest_window import Window
from athanor.rag.listing import Listing
from athanor.rag.near import signature
from athanor.store import Store
from athanor.types import Chunk, Document, KnowledgeBase, Picture, StoredPicture

GROUP_CHUNKS = 64
"""Documents are embedded and committed together until they hold this many chunks: small files then cost no transaction
and no half-empty batch each."""
WINDOW_CHUNKS = 256
"""Chunks that may wait for the embedder, so that it need not wait for a parser."""
EMBEDDING = 2
"""Groups that the embedder is given at once: it begins the second while the first is on its way back. A third, embedded
already, may be in its commit."""
CHUNK_BYTES = 4096
"""Text and pictures of a document weigh as a chunk for so many bytes, where that is more than it has."""

EMBED_ATTEMPTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A file between its parser and its embedding."""

    source: Source
    document: Document
    text: str
    chunks: list[Chunk]
    pictures: tuple[Picture, ...]
    listing: Listing | None = None
    """In place of the text, which is made of it in the commit."""
    settle: Callable[[], None] | None = None
    """Called after its commit, or when it is dropped."""

    @property
    def weight(self) -> int:
        """What it counts in a group and in memory, in chunks."""
        size = len(self.text) + sum(len(picture.data) for picture in self.pictures)
        return max(len(self.chunks), size // CHUNK_BYTES, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Embedded:
    """A group between its embedding and its commit."""

    group: list[Read]
    vectors: list[bytes]


class Indexer:
    """Embeds and commits what comes out of the parsers: the three go on at the same time, commits one after another."""

    def __init__(self, base: KnowledgeBase, store: Store, embedder: Embedder, tally: Tally, gate: Gate) -> None:
        self._base = base
        self._gate = gate
        self._store = store
        self._embedder = embedder
        self._tally = tally

    async def index_all(self, receive: MemoryObjectReceiveStream[Read]) -> None:
        """Index documents until there are no more.

        Raises:
            JobError: the embedder does not come back.
        """
        window = Window[Read](group=GROUP_CHUNKS, most=WINDOW_CHUNKS)
        send, embedded = anyio.create_memory_object_stream[_Embedded](0)
        async with anyio.create_task_group() as tasks, send, embedded:
            for _ in range(EMBEDDING):
                tasks.start_soon(self._embed_all, window, send.clone())
            tasks.start_soon(self._commit_all, embedded.clone())
            send.close()
            async for read in receive:
                await window.put(read)
            await window.close()

    async def _embed_all(self, window: Window[Read], send: MemoryObjectSendStream[_Embedded]) -> None:
        async with send:
            while group := await window.take():
                texts = [embedded_text(read.document.title, passage) for read in group for passage in read.chunks]
                vectors = await self._embed(texts)
                await send.send(_Embedded(group=group, vectors=vectors))
                await window.done()  # where commits are what takes long, groups are to grow

    async def _commit_all(self, receive: MemoryObjectReceiveStream[_Embedded]) -> None:
        async with receive:
            async for embedded in receive:
                await self._commit(embedded.group, embedded.vectors)

    async def _commit(self, group: list[Read], vectors: list[bytes]) -> None:
        def commit() -> set[str]:
            # Blobs first: a row must never refer to bytes that are not there.
            stored = ["" if read.listing else self._store.blobs.put(read.text.encode("utf-8")) for read in group]
            pictures = [[self._picture(picture) for picture in read.pictures] for read in group]
            # No listing: it names members that a reader of their container may not know of.
            signatures = [None if read.listing else signature(read.text) for read in group]
            position = 0
            with self._store.write() as conn:
                gone = self._gate.gone([read.source for read in group], conn)
                for read, sha256, shown, signed in zip(group, stored, pictures, signatures, strict=True):
                    rows = vectors[position : position + len(read.chunks)]
                    position += len(read.chunks)
                    if read.source.name in gone:
                        blobs = {sha256, *(picture.sha256 for picture in shown)} - {""}
                        self._store.knowledge.release(blobs, conn=conn)
                        continue
                    self._gate.hold(read.source, conn)
                    document = self._store.knowledge.replace_document(
                        replace(
                            read.document,
                            text_sha256=self._gate.put_listing(read.source, read.listing, conn) or sha256,
                            access=self._gate.access(read.source, conn),
                        ),
                        read.chunks,
                        rows,
                        embedder=self._embedder.profile.id,
                        pictures=shown,
                        conn=conn,
                    )
                    self._store.knowledge.sign(document.id, signed, conn=conn)
            return gone

        gone = await to_thread.run_sync(commit)
        kept = [read for read in group if read.source.name not in gone]
        self._tally.done += len(kept)
        self._tally.chunks += sum(len(read.chunks) for read in kept)
        for read in group:
            if read.settle is not None:
                read.settle()
        if gone:
            await self._tally.withdraw(len(group) - len(kept))
        await self._tally.tick("Indexing")

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
                await self._tally.note("Waiting for the embedder")
                await anyio.sleep(2**attempt / 2)
        raise JobError("The embedder does not come back.", hint="'athanor doctor' says why; then run the job again.")


def embedded_text(title: str, passage: Chunk) -> str:
    """What is embedded for a passage: its heading path, which says what it is about, then its text."""
    return f"{passage.heading or title}\n{passage.text}"
