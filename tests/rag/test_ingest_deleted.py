"""A document that is deleted while an ingestion reads it stays deleted until somebody asks for it again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

import athanor.data.folder
from athanor.data import ParserPool
from athanor.rag.erase import Eraser
from athanor.rag.indexes import Indexes
from athanor.rag.ingestion import Ingestion
from athanor.types import Embeddings, Job
from athanor.worker import Runner
from tests.rag.fakes import WordEmbedder
from tests.rag.ingest_world import World, anyio_backend, documents, mail, pack, parsers, sound, upload

__all__ = ["anyio_backend", "parsers"]

pytestmark = pytest.mark.anyio

Act = Callable[[], object]


class Halting(WordEmbedder):
    """Does something once, in the middle of its work: what it embeds was read, and is not committed yet."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Act | None = None

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        then, self.then = self.then, None
        if then is not None:
            done = then()
            if isinstance(done, Awaitable):
                await done
        return await super().embed(texts, kind=kind)


class Meanwhile(World):
    def __init__(self, home: Path, parsers: ParserPool) -> None:
        super().__init__(home, parsers)
        self.halting = Halting()
        self.ingestion = Ingestion(self.store, parsers, self.halting, chunk_tokens=64, workers=1)

    async def meanwhile(self, act: Act) -> dict[str, Any]:
        self.halting.then = act
        return await self.sync()

    def delete(self, source: str) -> None:
        self.store.knowledge.delete_document(documents(self)[source].id)

    async def run(self, job: Job) -> dict[str, Any]:
        assert await Runner(self.store, {Ingestion.KIND: self.ingestion.run}).run_once()
        done = self.store.jobs.get(job.id)
        assert done.state == "done", done.message
        return dict(done.result or {})


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsers: ParserPool) -> AsyncIterator[Meanwhile]:
    monkeypatch.setattr(athanor.data.folder, "RACY_SECONDS", 0.0)
    made = Meanwhile(tmp_path, parsers)
    yield made
    made.store.close()


async def test_a_deletion_holds_against_what_was_read_before_it(world: Meanwhile) -> None:
    world.write("a.md", "The lamp.")
    await world.sync()
    world.write("a.md", "The lamp burns bright.")
    world.write("b.md", "The ship.")
    result = await world.meanwhile(lambda: world.delete("a.md"))
    assert [*documents(world)] == ["b.md"]
    assert (result["documents"], result["withdrawn"]) == (1, 1)
    assert world.store.chunks.search_text(world.base.id, ["lamp"]) == []
    sound(world)
    # The folder still holds it, and this is asked for anew.
    await world.sync()
    assert sorted(documents(world)) == ["a.md", "b.md"]


async def test_a_deletion_holds_against_a_document_that_another_run_made(world: Meanwhile) -> None:
    world.write("a.md", "The lamp.")

    async def other() -> None:
        await world.sync()
        world.delete("a.md")

    await world.meanwhile(other)
    assert documents(world) == {}
    sound(world)


async def test_a_job_that_goes_on_after_a_crash_does_not_bring_it_back(world: Meanwhile) -> None:
    world.write("a.md", "The lamp.")
    await world.sync()
    world.write("a.md", "The lamp burns.")
    job = await world.ingestion.enqueue_folder(world.base, world.folder)
    taken = world.store.jobs.lease("a process that died", seconds=60)
    assert taken is not None
    world.delete("a.md")
    world.store.jobs.release()
    assert (await world.run(job))["withdrawn"] == 1
    assert documents(world) == {}
    await world.sync()
    assert [*documents(world)] == ["a.md"]


async def test_a_failure_of_what_was_deleted_leaves_no_name(world: Meanwhile) -> None:
    world.write("a.md", "The lamp.")
    world.write("z.md", "The ship.")
    await world.sync()
    world.write("a.md", "")
    world.write("z.md", "The ship sails.")
    job = await world.ingestion.enqueue_folder(world.base, world.folder)
    world.delete("a.md")
    await world.run(job)
    assert [*documents(world)] == ["z.md"]
    assert world.store.jobs.items(job.id) == []


async def test_an_erasure_holds_and_no_text_is_left(world: Meanwhile, tmp_path: Path) -> None:
    world.write("a.md", "The secret lamp burns in the northern tower.")
    world.write("b.md", "The ship.")
    await world.sync()
    world.write("a.md", "The secret lamp burns in the northern tower until the morning.")
    eraser = Eraser(world.store, Indexes(world.store, tmp_path / "vectors"), lambda _: 0)
    await world.meanwhile(lambda: anyio.to_thread.run_sync(eraser.erase, world.base, "a.md"))
    assert [*documents(world)] == ["b.md"]
    kept = [world.store.blobs.read(sha256) for sha256 in world.store.blobs]
    assert not any(b"secret lamp" in data for data in kept)
    sound(world)


async def test_an_erasure_takes_the_name_out_of_a_job_that_was_cut_off(world: Meanwhile, tmp_path: Path) -> None:
    world.write("a.md", "The lamp.")
    await world.sync()
    job = await world.ingestion.enqueue_folder(world.base, world.folder)
    held = world.store.jobs.lease("cut off", seconds=60, kinds=[Ingestion.KIND])
    assert held is not None
    assert world.store.jobs.progress(job.id, "cut off", message="Reading a.md: 40%")
    eraser = Eraser(world.store, Indexes(world.store, tmp_path / "vectors"), lambda _: 0)
    await anyio.to_thread.run_sync(eraser.erase, world.base, "a.md")
    assert world.store.jobs.get(job.id).message == ""


async def test_what_a_deleted_container_held_does_not_come_back(world: Meanwhile) -> None:
    pack(world.folder / "box.zip", {"a.md": "The lamp.", "m.eml": mail("Hi", "The mail.", {"x.txt": "The x."})})
    await world.sync()
    pack(world.folder / "box.zip", {"a.md": "The lamp burns.", "m.eml": mail("Hi", "Mail.", {"x.txt": "The xs."})})
    await world.meanwhile(lambda: world.delete("box.zip"))
    assert documents(world) == {}
    sound(world)
    await world.sync()
    assert len(documents(world)) == 4


async def test_what_a_deleted_mail_held_does_not_come_back_nor_is_it_listed(world: Meanwhile) -> None:
    eml = mail("Hi", "The mail.", {"x.txt": "The x."})
    pack(world.folder / "box.zip", {"a.md": "The lamp.", "m.eml": eml})
    await world.sync()
    pack(world.folder / "box.zip", {"a.md": "The lamp burns.", "m.eml": eml})
    await world.meanwhile(lambda: world.delete("box.zip/m.eml"))
    found = documents(world)
    assert sorted(found) == ["box.zip", "box.zip/a.md"]
    listing = world.store.blobs.read(found["box.zip"].text_sha256 or "").decode()
    assert "a.md" in listing
    assert "m.eml" not in listing
    assert "x.txt" not in listing
    sound(world)


async def test_an_upload_that_is_gone_fails_alone(world: Meanwhile) -> None:
    ids = {name: upload(world, name, b"The lamp.") for name in ("a.md", "b.md")}
    job = await world.ingestion.enqueue_files(world.base, ids)
    world.store.files.delete(ids["a.md"])
    result = await world.run(job)
    assert (result["documents"], result["failed"]) == (1, 1)
    assert documents(world)["b.md"].status == "ready"
