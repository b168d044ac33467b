from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from athanor.errors import EngineError, InputError, JobError, PermissionDeniedError
from athanor.rag.context import BATCH, Contexts
from athanor.rag.retrieve import Retriever
from athanor.rag.situate import LONGEST, cleaned
from athanor.rag.tokens import estimate
from athanor.store import Store
from athanor.types import Access, Chunk, Job, KnowledgeBase, Reader, Request, Role, RoleName
from tests.rag.fakes import WordEmbedder
from tests.rag.test_chunk import make, sentences
from tests.rag.test_expand import a_base, put

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'test.db'}", blobs=tmp_path / "blobs")
    yield store
    store.close()


TEXT = make(*[("paragraph", sentences(3, seed=i)) for i in range(5)], title="Log")


class Model:
    """Answers by a function of the passage's number, and keeps what it was asked."""

    def __init__(self, answer: Callable[[int], str] = lambda i: f"Zanzibar {i} is spoken of.") -> None:
        self.answer = answer
        self.requests: list[Request] = []

    async def __call__(self, job: Job, request: Request) -> str:
        self.requests.append(request)
        return self.answer(len(self.requests) - 1)


async def run(store: Store, base: KnowledgeBase, model: Model | None, *, limit: int | None = None) -> dict[str, object]:
    contexts = Contexts(store, WordEmbedder())
    if model is not None:
        contexts.speak(model)
    job = await contexts.enqueue(base, model=None if model is None else "m", limit=limit)
    return {**await contexts.run(leased(store, job))}


def leased(store: Store, job: Job) -> Job:
    found = store.jobs.lease("me", seconds=60.0, kinds=("context",))
    assert found is not None
    assert found.id == job.id
    return found


def passages(store: Store, document: str) -> list[Chunk]:
    return store.chunks.of_document(document)


async def test_both_legs_find_a_passage_by_its_context(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, TEXT, target=40)
    retriever = Retriever(store, WordEmbedder())
    assert store.chunks.search_text(base.id, ["zanzibar"]) == []
    before = store.knowledge.get(base.id)
    model = Model(lambda i: "Zanzibar is spoken of." if i == 2 else "Nothing special.")
    done = await run(store, base, model)
    chunks = passages(store, document)
    assert done == {"written": len(chunks), "failed": 0, "changed": 0}
    (context,) = [c for c in chunks if "Zanzibar" in c.context]
    assert [chunk for chunk, _ in store.chunks.search_text(base.id, ["zanzibar"])] == [context.id]
    hits = await retriever.search(store.knowledge.get(base.id), "Zanzibar")
    assert hits[0].chunk.id == context.id
    assert max(hits, key=lambda hit: hit.dense or 0.0).chunk.id == context.id
    assert hits[0].chunk.text == TEXT.text[context.start : context.end], "it is not in what is read and cited"
    after = store.knowledge.get(base.id)
    assert (after.documents, after.chunks) == (before.documents, before.chunks)
    assert after.revision > before.revision
    assert store.chunks.verify(base.id) == []
    assert retriever.indexes.verify(after) == []


async def test_the_prompt_begins_with_the_document_for_every_passage(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, TEXT, target=40)
    model = Model()
    await run(store, base, model)
    assert len({request.messages[0] for request in model.requests}) == 1
    first = model.requests[0].messages
    assert [message.role for message in first] == [Role.SYSTEM, Role.USER]
    assert TEXT.text not in first[0].content
    shared, _, _ = first[1].content.partition(" its passage>>")
    shared = shared.rpartition("<<")[0]
    assert TEXT.text in shared
    assert all(r.messages[1].content.startswith(shared) for r in model.requests)
    for passage in passages(store, document):
        assert any(passage.text in r.messages[1].content.removeprefix(shared) for r in model.requests)
    assert all(not r.cache.read and not r.cache.write for r in model.requests)


async def test_it_goes_on_where_it_was_and_stops_at_its_limit(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, TEXT, target=40)
    count = len(passages(store, document))
    assert (await run(store, base, Model(), limit=2))["written"] == 2
    assert sum(bool(c.context) for c in passages(store, document)) == 2
    rest = Model()
    assert (await run(store, base, rest))["written"] == count - 2 == len(rest.requests)
    assert (await run(store, base, Model()))["written"] == 0


async def test_a_killed_job_goes_on(store: Store) -> None:
    base = a_base(store)
    long = make(*[("paragraph", sentences(3, seed=i)) for i in range(BATCH + 4)], title="Log")
    document = put(store, base, long, target=32)
    count = len(passages(store, document))
    assert count > BATCH

    def dies(number: int) -> str:
        if number >= BATCH + 1:
            raise JobError("killed")
        return "Zanzibar."

    contexts = Contexts(store, WordEmbedder())
    contexts.speak(Model(dies))
    job = leased(store, await contexts.enqueue(base, model="m", limit=count - 1))
    with pytest.raises(JobError):
        await contexts.run(job)
    assert sum(bool(c.context) for c in passages(store, document)) == BATCH
    again = Model()
    contexts.speak(again)
    assert (await contexts.run(store.jobs.get(job.id)))["written"] == count - 1
    assert len(again.requests) == count - 1 - BATCH, "the limit is the job's, not that of each taking up"


async def test_passages_that_a_model_fails_at_are_told_and_left(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, TEXT, target=40)

    def fails(number: int) -> str:
        if number == 1:
            raise EngineError("It broke.")
        return "" if number == 2 else "Zanzibar."

    done = await run(store, base, Model(fails))
    assert done["failed"] == 2
    (job,) = store.jobs.list(kind="context")
    assert {item.message for item in store.jobs.items(job.id)} == {"It broke.", "The model wrote nothing."}
    assert sum(not c.context for c in passages(store, document)) == 2

    def broken(number: int) -> str:
        raise EngineError("It broke.")

    other = put(store, base, make(*[("paragraph", sentences(3, seed=i)) for i in range(9)]), source="b.txt", target=32)
    with pytest.raises(JobError, match="passages in a row: It broke"):
        await run(store, base, Model(broken))
    assert not any(c.context for c in passages(store, other))


async def test_contexts_go_with_their_version(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, TEXT, target=40)
    model = Model()
    contexts = Contexts(store, WordEmbedder())

    async def replaces(job: Job, request: Request) -> str:
        if not model.requests:
            put(store, base, TEXT, target=40)  # its next version, while the model reads this one
        return await model(job, request)

    contexts.speak(replaces)
    done = await contexts.run(leased(store, await contexts.enqueue(base, model="m")))
    assert (done["written"], done["changed"]) == (0, 1)
    assert not any(c.context for c in passages(store, document))
    assert (await run(store, base, Model()))["written"] == len(passages(store, document))
    put(store, base, TEXT, target=40)
    assert store.chunks.search_text(base.id, ["zanzibar"]) == []


async def test_taking_contexts_away_gives_the_vectors_back(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, TEXT, target=40)
    ids = [c.id for c in passages(store, document)]
    await run(store, base, Model())
    with_contexts = store.chunks.vectors_of(base.id, ids)
    assert (await run(store, base, None))["removed"] == len(ids)
    without = store.chunks.vectors_of(base.id, ids)
    plain = (
        await WordEmbedder().embed([f"{c.heading}\n{c.text}" for c in passages(store, document)], kind="document")
    ).rows()
    assert [without[i] for i in ids] == plain
    assert all(with_contexts[i] != without[i] for i in ids)
    assert store.chunks.search_text(base.id, ["zanzibar"]) == []
    assert store.chunks.verify(base.id) == []


async def test_a_closed_documents_context_is_as_closed(store: Store) -> None:
    base = a_base(store)
    document = put(store, base, TEXT, target=40)
    await run(store, base, Model())
    store.knowledge.set_access(document, Access(readers=("group:hr",)))
    view = store.knowledge.view(base.id, Reader())
    assert store.chunks.search_text(base.id, ["zanzibar"], view=view) == []
    assert store.chunks.term_frequencies(base.id, ["zanzibar"], view=view)[1] == {"zanzibar": 0}


async def test_who_asks_must_be_allowed_and_heard(store: Store) -> None:
    base = a_base(store)
    user = store.principals.create("Ada", role=RoleName.USER)
    contexts = Contexts(store, WordEmbedder())
    job = leased(store, await contexts.enqueue(base, model="m", by=user))
    with pytest.raises(PermissionDeniedError):
        await contexts.run(job)
    store.jobs.cancel(job.id)
    job = leased(store, await contexts.enqueue(base, model="m"))
    with pytest.raises(JobError, match="no doors"):
        await contexts.run(job)
    with pytest.raises(InputError):
        await contexts.enqueue(base, model="m", limit=0)


def test_what_is_kept_of_what_a_model_writes() -> None:
    assert cleaned("  One thing.\n\nAnother. A third. ") == "One thing. Another."
    assert cleaned("a\0b\u202ec") == "a b c"
    assert cleaned("") == ""
    long = cleaned("word " * 500)
    assert 0 < estimate(long) <= LONGEST
    assert long.startswith("word word")
    assert estimate(cleaned(f"It is about the harbour. Words {'word ' * 500}.")) < 10, "whole sentences"
