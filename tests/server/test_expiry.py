"""What ends by itself: knowledge bases without use, and uploads; and batches that somebody stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI

from athanor.rag import Ingestion
from athanor.types import RoleName
from tests.server.inside import Inside, inside, working

pytestmark = pytest.mark.anyio
DAY = 86_400.0


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside(tmp_path) as made:
        yield made


@pytest.fixture
async def client(server: Inside) -> AsyncIterator[AsyncOpenAI]:
    _, headers = server.key("builder", RoleName.ADMIN)
    key = headers["authorization"].removeprefix("Bearer ")
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as made:
        yield made


async def test_a_file_is_deleted_when_its_time_is_over(server: Inside, client: AsyncOpenAI) -> None:
    ends = {"anchor": "created_at", "seconds": 3600}
    short = await client.files.create(file=("a.txt", b"x"), purpose="user_data", expires_after=ends)  # type: ignore[arg-type]
    lasting = await client.files.create(file=("b.txt", b"y"), purpose="user_data")
    assert short.expires_at is not None
    assert 3599 <= short.expires_at - short.created_at <= 3600
    assert lasting.expires_at is None
    assert server.app.expiry.sweep().files == ()
    assert server.app.expiry.sweep(at=time.time() + 3601).files == (short.id,)
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(short.id)
    assert (await client.files.retrieve(lasting.id)).id == lasting.id
    entry = server.app.store.audit.entries(limit=1)[0]
    assert (entry.action, entry.principal, entry.subject) == ("file.deleted", "system", short.id)
    for wrong in ({"anchor": "created_at", "seconds": 60}, {"anchor": "created_at"}, {"seconds": 3600}):
        with pytest.raises(openai.BadRequestError):
            await client.files.create(file=("a.txt", b"x"), purpose="user_data", expires_after=wrong)  # type: ignore[arg-type]


async def test_a_base_is_deleted_days_after_its_last_use(server: Inside, client: AsyncOpenAI) -> None:
    ends = {"anchor": "last_active_at", "days": 1}
    unused = await client.vector_stores.create(name="unused", expires_after=ends)  # type: ignore[arg-type]
    used = await client.vector_stores.create(name="used", expires_after=ends)  # type: ignore[arg-type]
    server.app.store.knowledge.touch(used.id, at=time.time() + DAY / 2)
    later = time.time() + DAY + 1
    assert server.app.expiry.sweep().bases == ()
    assert server.app.expiry.sweep(at=later).bases == ("unused",)
    assert server.app.expiry.sweep(at=later).bases == ()
    with pytest.raises(openai.NotFoundError):
        await client.vector_stores.retrieve(unused.id)
    entry = server.app.store.audit.entries(limit=1)[0]
    assert (entry.action, entry.principal, entry.details["name"]) == ("knowledge.deleted", "system", "unused")


async def test_what_was_used_or_given_time_meanwhile_stays(
    server: Inside, client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {"anchor": "last_active_at", "days": 1}
    made = [await client.vector_stores.create(name=name, expires_after=ends) for name in ("used", "kept", "gone")]  # type: ignore[arg-type]
    knowledge = server.app.store.knowledge
    later = time.time() + DAY + 1
    stale = knowledge.expired(at=later)
    # Between the look and the deletion, one is used and one has no end any more.
    knowledge.touch(made[0].id, at=later)
    knowledge.update(made[1].id, expires_after=None)
    monkeypatch.setattr(type(knowledge), "expired", lambda *_, **__: stale)
    assert server.app.expiry.sweep(at=later).bases == ("gone",)


async def test_what_a_job_works_on_stays(server: Inside, client: AsyncOpenAI) -> None:
    file = await client.files.create(
        file=("a.txt", b"The heron nests."),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    store = await client.vector_stores.create(
        name="birds", file_ids=[file.id], expires_after={"anchor": "last_active_at", "days": 1}
    )
    later = time.time() + 2 * DAY
    gone = server.app.expiry.sweep(at=later)
    assert (gone.bases, gone.files) == ((), ())
    async with working(server.app):
        while (await client.vector_stores.retrieve(store.id)).file_counts.completed < 1:
            await asyncio.sleep(0.02)
        while server.app.store.jobs.list(kind=Ingestion.KIND)[0].state.value != "done":
            await asyncio.sleep(0.02)
    gone = server.app.expiry.sweep(at=later)
    assert (gone.bases, gone.files) == (("birds",), (file.id,))


async def test_every_way_of_asking_is_a_use(server: Inside, client: AsyncOpenAI) -> None:
    file = await client.files.create(file=("a.txt", b"The heron nests in tall alders."), purpose="user_data")
    knowledge = server.app.store.knowledge
    _, headers = server.key("ada")

    async def chat(base: str) -> None:
        await server.chat(headers, "Where does the heron nest?", model=base)

    async def look(base: str) -> None:
        await server.call("GET", f"/api/knowledge/{base}/search?query=heron", headers)

    async def find(base: str) -> None:
        await client.vector_stores.search(base, query="heron")

    async with working(server.app):
        for name, use in (("chat", chat), ("look", look), ("find", find)):
            store = await client.vector_stores.create(name=f"birds-{name}", file_ids=[file.id])
            while (await client.vector_stores.retrieve(store.id)).file_counts.completed < 1:
                await asyncio.sleep(0.02)
            assert knowledge.get(store.id).last_active_at is None
            await use(store.name)
            first = knowledge.get(store.id).last_active_at
            assert first is not None
            # Not written down again and again.
            await use(store.name)
            assert knowledge.get(store.id).last_active_at == first


async def test_a_batch_is_stopped(server: Inside, client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="birds")
    files = [await client.files.create(file=(f"{n}.txt", b"The heron."), purpose="user_data") for n in range(2)]
    ids = [file.id for file in files]
    batch = await client.vector_stores.file_batches.create(store.id, file_ids=ids)
    assert (batch.status, batch.file_counts.in_progress) == ("in_progress", 2)
    stopped = await client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert (stopped.status, stopped.file_counts.cancelled) == ("cancelled", 2)
    again = await client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert again.status == "cancelled"
    rows = [row async for row in client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)]
    assert {row.status for row in rows} == {"cancelled"}
    async with working(server.app):
        await asyncio.sleep(0.2)
    assert server.app.store.knowledge.documents(store.id) == []
