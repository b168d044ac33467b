"""A folder and its base stay in step: what is read again, what is not, and what is stored with each passage."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

import athanor.data.folder
import athanor.rag._ingest_index
from athanor.rag.ingest import embedded_text
from athanor.rag.ingestion import Ingestion
from athanor.rag.knowledge import Knowledge
from athanor.rag.retrieve import Retriever
from athanor.types import SYSTEM_READER, Access, Embeddings, Reader
from athanor.worker import Runner
from tests.rag.fakes import WordEmbedder
from tests.rag.ingest_world import World, anyio_backend, parsers, world

__all__ = ["anyio_backend", "parsers", "world"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read for their hash."""
    names: list[str] = []
    real = athanor.data.folder.file_sha256

    def noted(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(athanor.data.folder, "file_sha256", noted)
    return names


async def test_an_unchanged_folder_is_not_read_and_nothing_is_committed(world: World, reads: list[str]) -> None:
    world.write("a.md", "# Alpha\n\nThe lamp burns.")
    world.write("b.md", "# Beta\n\nThe ship sails.")
    assert (await world.sync())["documents"] == 2
    assert sorted(reads) == ["a.md", "b.md"]
    reads.clear()
    revision = world.base.revision
    assert (await world.sync())["unchanged"] == 2
    assert reads == []
    assert world.base.revision == revision
    assert (await world.sync(full=True))["documents"] == 2
    assert sorted(reads) == ["a.md", "b.md"]


async def test_a_change_that_keeps_size_and_time_is_seen(world: World) -> None:
    path = world.write("a.md", "The lamp burns.")
    before = path.stat()
    await world.sync()
    path.write_text("The lamp burnt.")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert (await world.sync())["documents"] == 1


async def test_a_touched_file_is_read_once_more_and_keeps_its_version(world: World, reads: list[str]) -> None:
    path = world.write("a.md", "The lamp burns.")
    await world.sync()
    world.age(path, 30)
    reads.clear()
    assert (await world.sync())["unchanged"] == 1
    assert (await world.sync())["unchanged"] == 1
    assert reads == ["a.md"]
    (document,) = world.store.knowledge.documents(world.base.id)
    assert document.version == 1


async def test_a_file_that_is_too_young_is_read_again(
    world: World, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(athanor.data.folder, "RACY_SECONDS", 3600.0)
    world.write("a.md", "The lamp burns.")
    await world.sync()
    (document,) = world.store.knowledge.documents(world.base.id)
    assert document.stamp == ""
    await world.sync()
    assert reads == ["a.md", "a.md"]


async def test_passages_know_their_lines(world: World) -> None:
    text = "# Keeper\n\n" + "\n\n".join(f"On day {n} the keeper wrote of wind and of {n} ships." for n in range(40))
    world.write("log.md", text)
    await world.sync()
    (document,) = world.store.knowledge.documents(world.base.id)
    chunks = world.store.chunks.of_document(document.id)
    assert len(chunks) > 2
    for chunk in chunks:
        first = text.count("\n", 0, chunk.start) + 1
        last = text.count("\n", 0, chunk.end - 1) + 1
        assert chunk.line == first
        assert chunk.place == f"lines {first}–{last}"


async def test_a_document_that_repeats_an_older_one_says_so(world: World) -> None:
    text = "The keeper lit the lamp of the lighthouse at dusk, and every ship found its way home in the storm. " * 3
    world.write("a.md", f"# Log\n\n{text}")
    await world.sync()
    world.write("b.md", f"# Log\n\n{text}\n\nPrinted twice.")
    world.write("c.md", "# Other\n\nThe price of a contract rises by three per cent in the year that follows.")
    await world.sync()
    found = {d.source: d for d in world.store.knowledge.documents(world.base.id)}
    assert [found[name].near for name in ("a.md", "b.md", "c.md")] == [None, found["a.md"].id, None]


async def test_a_hidden_near_duplicate_is_not_told_of(world: World) -> None:
    text = "The keeper lit the lamp of the lighthouse at dusk, and every ship found its way home in the storm. " * 3
    for name in ("a.md", "b.md", "c.md"):
        world.write(name, f"# Log {name}\n\n{text}")
        await world.sync()
    found = {d.source: d for d in world.store.knowledge.documents(world.base.id)}
    assert found["b.md"].near == found["c.md"].near == found["a.md"].id
    world.store.knowledge.set_access(found["a.md"].id, Access(readers=("group:hr",)))
    service = Knowledge(world.store, world.embedder, Retriever(world.store, world.embedder))
    limited = Reader(identities=frozenset({"group:staff"}))
    seen = {d.source: d.near for d in await service.documents(world.base, reader=limited)}
    assert seen == {"b.md": None, "c.md": found["b.md"].id}
    assert (await service.document(found["b.md"].id, reader=limited)).near is None
    assert (await service.document(found["c.md"].id, reader=limited)).near == found["b.md"].id
    whole = {d.source: d.near for d in await service.documents(world.base, reader=SYSTEM_READER)}
    assert whole["b.md"] == whole["c.md"] == found["a.md"].id


class Slow(WordEmbedder):
    """Answers nobody before two have asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.two = anyio.Event()

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        self.calls += 1
        if self.calls == 2:
            self.two.set()
        with anyio.fail_after(60):
            await self.two.wait()
        return await super().embed(texts, kind=kind)


async def test_two_groups_are_embedded_at_once_and_each_vector_goes_to_its_passage(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(athanor.rag._ingest_index, "GROUP_CHUNKS", 2)
    embedder = Slow()
    world.ingestion._embedder = embedder
    for number in range(12):
        world.write(f"{number}.md", f"# T{number}\n\nWord{number} burns brightly in lamp{number}.")
    assert (await world.sync())["documents"] == 12
    base = world.base
    changes = world.store.chunks.changes(base.id, 0)
    width = len(changes.matrix) // len(changes.added)
    vectors = {one: changes.matrix[at * width : (at + 1) * width] for at, one in enumerate(changes.added)}
    for document in world.store.knowledge.documents(base.id):
        for passage in world.store.chunks.of_document(document.id):
            expected = await embedder.embed([embedded_text(document.title, passage)], kind="document")
            assert vectors[passage.id] == expected.rows()[0]


async def test_a_long_document_tells_how_far_it_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("long.md", "The lamp burns bright.")
    job = await world.ingestion.enqueue_folder(world.base, world.folder)
    parse = world.ingestion._parsers.parse

    async def slowly(path: Path, name: str, *, member: str | None = None, progress: Callable[[float], None]) -> Any:
        progress(0.4)
        with anyio.fail_after(60):
            while "long.md: 40%" not in world.store.jobs.get(job.id).message:
                await anyio.sleep(0.05)
        return await parse(path, name, member=member)

    monkeypatch.setattr(world.ingestion._parsers, "parse", slowly)
    assert await Runner(world.store, {Ingestion.KIND: world.ingestion.run}).run_once()
    done = world.store.jobs.get(job.id)
    assert done.state == "done", done.message
    assert "long.md" not in done.message
