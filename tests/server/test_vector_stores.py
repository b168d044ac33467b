"""Vector stores through the vendor's SDK, over a server in this process."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import openai
import pytest
from openai import AsyncOpenAI

from athanor.types import Access, RetrievalSettings, RoleName
from tests.server.inside import Inside, inside, working

pytestmark = pytest.mark.anyio
BIRDS = {"heron.txt": "The heron nests in tall alders.", "swift.txt": "The swift sleeps while it flies."}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Inside]:
    async with inside(tmp_path) as made, working(made.app):
        yield made


class Speak(Protocol):
    def __call__(self, role: RoleName = RoleName.DEVELOPER, name: str = "builder") -> AsyncOpenAI: ...


@pytest.fixture
async def speak(server: Inside) -> AsyncIterator[Speak]:
    """Makes clients, and closes them in the loop that they were used in."""
    async with AsyncExitStack() as stack:

        def one(role: RoleName = RoleName.DEVELOPER, name: str = "builder") -> AsyncOpenAI:
            _, headers = server.key(name, role)
            key = headers["authorization"].removeprefix("Bearer ")
            client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)
            stack.push_async_callback(client.close)
            return client

        yield one


async def filled(client: AsyncOpenAI) -> tuple[str, dict[str, str]]:
    """A base with both birds; the ids of their files."""
    store = await client.vector_stores.create(name="birds")
    ids = {}
    for year, (name, text) in enumerate(BIRDS.items(), 2020):
        file = await client.files.create(file=(name, text.encode()), purpose="user_data")
        ids[name] = file.id
        done = await client.vector_stores.files.create_and_poll(
            file.id, vector_store_id=store.id, attributes={"year": year, "wet": year == 2020}, poll_interval_ms=50
        )
        assert done.status == "completed", done.last_error
    return store.id, ids


async def test_search_filters_by_attributes(speak: Speak) -> None:
    client = speak()
    store, ids = await filled(client)

    async def found(filters: dict[str, object], **more: object) -> set[str]:
        page = await client.vector_stores.search(store, query="heron swift", filters=filters, **more)  # type: ignore[arg-type]
        assert all(0 <= hit.score <= 1 for hit in page.data)
        return {hit.file_id for hit in page.data}

    heron, swift = ids["heron.txt"], ids["swift.txt"]
    assert await found({"type": "eq", "key": "wet", "value": True}) == {heron}
    assert await found({"type": "gte", "key": "year", "value": 2021}) == {swift}
    assert await found({"type": "in", "key": "year", "value": [2020, 2021]}) == {heron, swift}
    either = [{"type": "eq", "key": "year", "value": 2021}, {"type": "eq", "key": "wet", "value": True}]
    assert await found({"type": "and", "filters": either}) == set()
    assert await found({"type": "or", "filters": either}) == {heron, swift}
    await client.vector_stores.files.update(heron, vector_store_id=store, attributes={"wet": False})
    assert await found({"type": "eq", "key": "wet", "value": True}) == set()
    for wrong in ({"type": "like", "key": "a", "value": 1}, {"type": "in", "key": "a", "value": 1}):
        with pytest.raises(openai.BadRequestError):
            await found(wrong)


async def test_scores_keep_the_order_and_obey_the_threshold(speak: Speak) -> None:
    client = speak()
    store, _ = await filled(client)
    scores = [hit.score for hit in (await client.vector_stores.search(store, query=["heron", "alders"])).data]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 2
    options = {"score_threshold": (scores[0] + scores[1]) / 2}
    kept = await client.vector_stores.search(store, query=["heron", "alders"], ranking_options=options)  # type: ignore[arg-type]
    assert [hit.score for hit in kept.data] == scores[:1]


async def test_files_are_listed_by_pages_and_read(speak: Speak) -> None:
    client = speak()
    store, ids = await filled(client)
    for order in ("asc", "desc"):
        listed = [file.id async for file in client.vector_stores.files.list(store, limit=1, order=order)]  # type: ignore[arg-type]
        assert sorted(listed) == sorted(ids.values())
    assert [file async for file in client.vector_stores.files.list(store, filter="failed")] == []
    (part,) = (await client.vector_stores.files.content(ids["swift.txt"], vector_store_id=store)).data
    assert part.text == BIRDS["swift.txt"]


async def test_a_batch_is_uploaded_and_polled(speak: Speak) -> None:
    client = speak()
    store = await client.vector_stores.create(name="birds")
    files = []
    for name, text in BIRDS.items():
        stream = io.BytesIO(text.encode())
        stream.name = name
        files.append(stream)
    batch = await client.vector_stores.file_batches.upload_and_poll(store.id, files=files, poll_interval_ms=50)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 2, 2)
    listed = [f async for f in client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)]
    assert {file.status for file in listed} == {"completed"}
    stranger = speak(name="other")
    with pytest.raises(openai.NotFoundError):
        await stranger.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id)


async def test_a_store_keeps_what_is_said_of_it_and_expires(server: Inside, speak: Speak) -> None:
    client = speak()
    ends = {"anchor": "last_active_at", "days": 2}
    made = await client.vector_stores.create(name="birds", metadata={"a": "b"}, expires_after=ends)  # type: ignore[arg-type]
    assert made.metadata == {"a": "b"}
    assert made.expires_at == made.created_at + 2 * 86_400
    server.app.store.knowledge.touch(made.id, at=time.time() - 3 * 86_400)
    assert (await client.vector_stores.retrieve(made.id)).status == "expired"
    changed = await client.vector_stores.update(made.id, expires_after=None, name="fowl")
    assert (changed.name, changed.expires_at, changed.metadata) == ("fowl", None, {"a": "b"})
    for number in range(3):
        await client.vector_stores.create(name=f"more{number}")
    assert len([store async for store in client.vector_stores.list(limit=2)]) == 4


async def test_the_end_of_a_store_does_not_tell_when_others_used_it(server: Inside, speak: Speak) -> None:
    client, root = speak(), speak(RoleName.ADMIN, "root")
    ends = {"anchor": "last_active_at", "days": 2}
    made = await client.vector_stores.create(name="birds", expires_after=ends)  # type: ignore[arg-type]
    before = await client.vector_stores.retrieve(made.id)
    server.app.store.knowledge.touch(made.id, at=made.created_at + 86_400)
    assert await client.vector_stores.retrieve(made.id) == before
    assert (await root.vector_stores.retrieve(made.id)).expires_at == made.created_at + 3 * 86_400


async def test_only_who_may_delete_a_store_may_give_it_an_end(server: Inside, speak: Speak) -> None:
    client = speak()
    store, ids = await filled(client)
    hidden = next(d for d in server.app.store.knowledge.documents(store) if d.file == ids["heron.txt"])
    server.app.store.knowledge.set_access(hidden.id, Access(readers=frozenset({"principal:nobody"})))
    ends = {"anchor": "last_active_at", "days": 2}
    with pytest.raises(openai.PermissionDeniedError, match="administrator"):
        await client.vector_stores.update(store, expires_after=ends)  # type: ignore[arg-type]
    assert (await client.vector_stores.update(store, metadata={"a": "b"})).metadata == {"a": "b"}


async def test_changes_of_attributes_are_audited_without_their_values(server: Inside, speak: Speak) -> None:
    client = speak()
    store, ids = await filled(client)
    await client.vector_stores.files.update(ids["heron.txt"], vector_store_id=store, attributes={"secret": "nest 7"})
    (entry,) = server.app.store.audit.entries(action="attributes.changed")
    assert entry.details == {"before": ["wet", "year"], "after": ["secret"]}


async def test_files_say_how_they_were_cut(server: Inside, speak: Speak) -> None:
    client = speak()
    text = " ".join(f"Sentence number {n} tells of a bird." for n in range(200)).encode()
    store = await client.vector_stores.create(name="birds")
    counts, cut = {}, {}
    for size in (100, 400, None):
        file = await client.files.create(file=("long.txt", text), purpose="user_data")
        sizes = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": 0}
        strategy = {"type": "static", "static": sizes} if size else {"type": "auto"}
        done = await client.vector_stores.files.create_and_poll(
            file.id,
            vector_store_id=store.id,
            chunking_strategy=strategy,  # type: ignore[arg-type]
            poll_interval_ms=50,
        )
        assert done.status == "completed"
        (document,) = [d for d in server.app.store.knowledge.documents(store.id) if d.file == file.id]
        counts[size] = len(server.app.store.chunks.of_document(document.id))
        strategy_told = done.chunking_strategy
        assert strategy_told is not None
        assert strategy_told.type == "static"
        cut[size] = strategy_told.static.max_chunk_size_tokens
        assert strategy_told.static.chunk_overlap_tokens == 0
    assert counts[100] > 2 * counts[400]
    assert (cut[100], cut[400]) == (100 * 5 // 8 * 8 // 5, 400)
    assert cut[None] == server.app.settings.knowledge.chunk_tokens * 8 // 5


async def test_no_ranker_is_no_reranking(server: Inside, speak: Speak) -> None:
    client = speak()
    store, _ = await filled(client)
    knowledge = server.app.store.knowledge
    asked = 0

    class Counting:
        async def score(self, query: str, passages: list[str]) -> list[float]:
            nonlocal asked
            asked += 1
            return [0.0] * len(passages)

    retriever = server.app.knowledge._retriever
    retriever._reranker = Counting()  # type: ignore[assignment]
    version = server.app.store.versions.add(store, RetrievalSettings(rerank=0.5), note="test")
    server.app.store.versions.use(store, version.version)
    assert knowledge.get(store).settings.rerank == 0.5
    await client.vector_stores.search(store, query="heron")
    assert asked == 1
    await client.vector_stores.search(store, query="heron", ranking_options={"ranker": "none"})  # type: ignore[typeddict-item]
    assert asked == 1


async def test_hidden_documents_are_nowhere(server: Inside, speak: Speak) -> None:
    client = speak()
    store, ids = await filled(client)
    hidden = next(d for d in server.app.store.knowledge.documents(store) if d.file == ids["heron.txt"])
    server.app.store.knowledge.set_access(hidden.id, Access(readers=frozenset({"principal:nobody"})))
    assert (await client.vector_stores.retrieve(store)).file_counts.total == 1
    assert [f.id async for f in client.vector_stores.files.list(store)] == [ids["swift.txt"]]
    for call in (client.vector_stores.files.content, client.vector_stores.files.delete):
        with pytest.raises(openai.NotFoundError):
            await call(ids["heron.txt"], vector_store_id=store)
    with pytest.raises(openai.NotFoundError):
        await client.vector_stores.files.update(ids["heron.txt"], vector_store_id=store, attributes={})
    page = await client.vector_stores.search(store, query="heron")
    assert ids["heron.txt"] not in {hit.file_id for hit in page.data}


async def test_what_cannot_be_done_is_refused(speak: Speak) -> None:
    client = speak()
    store, ids = await filled(client)
    sizes = {"max_chunk_size_tokens": 400, "chunk_overlap_tokens": 100}
    with pytest.raises(openai.BadRequestError, match="overlap"):
        await client.vector_stores.files.create(
            file_id=ids["heron.txt"],
            vector_store_id=store,
            chunking_strategy={"type": "static", "static": sizes},  # type: ignore[arg-type]
        )
    many = {f"k{n}": 1.0 for n in range(17)}
    with pytest.raises(openai.BadRequestError, match="16"):
        await client.vector_stores.files.update(ids["heron.txt"], vector_store_id=store, attributes=many)  # type: ignore[arg-type]
