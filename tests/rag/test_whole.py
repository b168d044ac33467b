from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from athanor.engines.adapters.scripted import ScriptedEngine
from athanor.guards.spotlight import Spotlight
from athanor.rag.engine import PASSAGES, AnswerSettings, KnowledgeEngine
from athanor.rag.knowledge import Knowledge
from athanor.rag.retrieve import Retriever
from athanor.rag.tokens import estimate
from athanor.rag.whole import in_order, whole_ids
from athanor.store import Store
from athanor.types import (
    Access,
    AnswerMode,
    Context,
    KnowledgeBase,
    Message,
    Principal,
    Reader,
    Request,
    RetrievalSettings,
    Role,
    RoleName,
)
from tests.rag.fakes import WordEmbedder, WordReranker, hit
from tests.rag.test_retrieve import LIBRARY, library

pytestmark = pytest.mark.anyio

STAFF = Reader()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'test.db'}", blobs=tmp_path / "blobs")
    yield store
    store.close()


async def test_all_of_a_small_base_and_nothing_of_a_larger(store: Store) -> None:
    base = await library(store, "small", LIBRARY)
    tokens = sum(estimate(text) for text in LIBRARY.values())
    assert sorted(whole_ids(store, base, None, tokens) or []) == sorted(store.chunks.ids(base.id))
    assert whole_ids(store, base, None, tokens - 1) is None
    assert whole_ids(store, base, None, 2) is None, "fewer tokens than passages"
    empty = store.knowledge.create("empty", embedder="words", dimension=base.dimension)
    assert whole_ids(store, empty, None, 10) == []


async def test_only_what_is_visible_counts(store: Store) -> None:
    hidden = {"secret": "word " * 500}
    base = await library(store, "mixed", LIBRARY | hidden)
    store.knowledge.set_access(store.knowledge.sources(base.id)["secret"].document, Access(readers=("group:hr",)))
    tokens = sum(estimate(text) for text in LIBRARY.values())
    view = store.knowledge.view(base.id, STAFF)
    found = whole_ids(store, base, view, tokens)
    assert found is not None
    assert {hit.source for hit in store.chunks.hits(base.id, found)} == LIBRARY.keys()
    assert whole_ids(store, base, view, tokens - 1) is None
    assert whole_ids(store, base, None, tokens) is None


@pytest.mark.parametrize("rerank", [0.0, 0.1])
async def test_a_base_that_is_read_whole_is_ranked(store: Store, rerank: float) -> None:
    base = await library(store, "small", LIBRARY)
    retriever = Retriever(store, WordEmbedder(), WordReranker())
    settings = RetrievalSettings(whole_tokens=10_000, rerank=rerank, hops=2, per_document=1)
    hits = await retriever.search(replace(base, settings=settings), "tulips in spring", limit=1, whole=True)
    assert {hit.source for hit in hits} == LIBRARY.keys()
    assert hits[0].source == "tulips"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(hit.dense is not None for hit in hits)
    searched = await retriever.search(replace(base, settings=settings), "tulips in spring", limit=1)
    assert len(searched) == 1, "a search is not what is read whole"
    small = replace(base, settings=replace(settings, whole_tokens=3))
    assert len(await retriever.search(small, "tulips in spring", limit=1, whole=True)) == 1


async def asked(store: Store, base: KnowledgeBase, question: str, mode: AnswerMode) -> str:
    """The system message of the writer, or nothing if it was not asked."""
    embedder, writer = WordEmbedder(), ScriptedEngine()
    settings = AnswerSettings(mode=mode, threshold=0.0, max_sentences=1)
    knowledge = Knowledge(store, embedder, Retriever(store, embedder), spotlight=Spotlight(key=b"k" * 32))
    engine = KnowledgeEngine(base, knowledge, writer, embedder, None, settings, reader=STAFF)
    request = Request(model="docs", messages=(Message(role=Role.USER, content=question),))
    who = Principal(id="p", name="Ada", role=RoleName.USER, created_at=0.0)
    async for _ in engine.run(request, Context(principal=who, trace="tr", door="test")):
        pass
    return writer.requests[0].messages[-1].content.partition("\n\nQuestion: ")[0] if writer.requests else ""


async def test_a_model_reads_a_small_base_in_its_own_order(store: Store) -> None:
    texts = {f"day {i:02d}": f"On day {i} the lamp of tower {i} was lit." for i in range(PASSAGES + 4)}
    base = replace(await library(store, "log", texts), settings=RetrievalSettings(whole_tokens=10_000))
    first = await asked(store, base, "When was the lamp of tower 7 lit?", AnswerMode.GENERATIVE)
    second = await asked(store, base, "Which tower was lit on day 3?", AnswerMode.GENERATIVE)
    assert first == second, "one prefix for every question"
    assert [first.index(text) for text in texts.values()] == sorted(first.index(text) for text in texts.values())
    assert await asked(store, base, "When was the lamp of tower 7 lit?", AnswerMode.EXTRACTIVE) == ""
    searched = await asked(store, replace(base, settings=RetrievalSettings()), "tower 7", AnswerMode.GENERATIVE)
    assert sum(text in searched for text in texts.values()) == PASSAGES


def test_in_the_order_of_reading() -> None:
    hits = [hit("c", document="b", start=5), hit("a", document="a", start=9), hit("b", document="b", start=0)]
    hits = [replace(h, chunk=replace(h.chunk, ordinal=h.chunk.start)) for h in hits]
    assert [h.chunk.text for h in in_order(hits)] == ["a", "b", "c"]
