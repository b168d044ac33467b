from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from athanor.errors import ConflictError, NotFoundError
from athanor.rag.indexes import Indexes
from athanor.rag.knowledge import Knowledge
from athanor.rag.retrieve import Retriever
from athanor.store import Store
from athanor.types import (
    Access,
    Chunk,
    Document,
    DocumentStatus,
    KnowledgeBase,
    Reader,
    RetrievalSettings,
    new_id,
)
from tests.rag.fakes import DIMENSION, WordEmbedder, WordReranker

pytestmark = pytest.mark.anyio

TEXTS = {
    "bridge": "The Avonmouth bridge was opened in 1974.",
    "tulips": "Tulips flower in spring.",
    "roses": "Roses flower in summer, and tulips before them.",
    "tolls": "Tolls on the bridge were abolished in 1992.",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'test.db'}", blobs=tmp_path / "blobs")
    yield store
    store.close()


async def put(store: Store, base: KnowledgeBase, name: str, text: str) -> Document:
    raw = text.encode()
    identity = new_id("doc")
    document = Document(
        id=identity,
        knowledge_base=base.id,
        source=name,
        origin="upload",
        version=0,
        sha256=sha256(raw).hexdigest(),
        text_sha256=store.blobs.put(raw),
        title=name,
        mime="text/plain",
        size=len(raw),
        pages=(),
        status=DocumentStatus.READY,
        error=None,
        chunks=1,
        created_at=0.0,
        updated_at=0.0,
    )
    old = store.knowledge.sources(base.id).get(name)
    owner = old.document if old else identity
    chunk = Chunk(
        id=f"{base.name}-{name}-{new_id('chunk')}",
        document=owner,
        ordinal=0,
        start=0,
        end=len(text),
        page=None,
        heading="",
        text=text,
    )
    vectors = (await WordEmbedder().embed([text], kind="document")).rows()
    return store.knowledge.replace_document(document, [chunk], vectors, embedder="words")


@pytest.fixture
async def base(store: Store) -> KnowledgeBase:
    base = store.knowledge.create("docs", embedder="words", dimension=DIMENSION)
    for name, text in TEXTS.items():
        await put(store, base, name, text)
    return base


async def test_the_best_passage_comes_first_with_its_scores(store: Store, base: KnowledgeBase) -> None:
    hits = await Retriever(store, WordEmbedder()).search(base, "When was the Avonmouth bridge opened?")
    assert [hit.source for hit in hits[:2]] == ["bridge", "tolls"]
    assert hits[0].lexical is not None
    assert hits[0].dense is not None
    assert hits[0].reranker is None
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


async def test_limit_and_rerank(store: Store, base: KnowledgeBase) -> None:
    reranker = WordReranker()
    retriever = Retriever(store, WordEmbedder(), reranker)
    assert len(await retriever.search(base, "tulips flower", limit=1)) == 1
    assert reranker.pairs == 0, "reranking is asked for or not done"
    hits = await retriever.search(base, "tulips flower", limit=2, rerank=True)
    assert len(hits) == 2
    assert all(hit.reranker is not None for hit in hits)


async def test_a_deleted_document_is_gone_and_a_new_version_replaces_the_old(store: Store, base: KnowledgeBase) -> None:
    retriever = Retriever(store, WordEmbedder())
    query = "Avonmouth bridge opened"
    first = (await retriever.search(base, query))[0]
    await put(store, base, "tulips", "The Avonmouth bridge was opened again in 2001.")
    texts = [hit.chunk.text for hit in await retriever.search(base, query)]
    assert "The Avonmouth bridge was opened again in 2001." in texts
    assert TEXTS["tulips"] not in texts
    store.knowledge.delete_document(first.chunk.document)
    assert first.chunk.id not in [hit.chunk.id for hit in await retriever.search(base, query)]


async def test_empty_base_and_wordless_query(store: Store, base: KnowledgeBase) -> None:
    empty = store.knowledge.create("empty", embedder="words", dimension=DIMENSION)
    retriever = Retriever(store, WordEmbedder(), WordReranker())
    assert await retriever.search(empty, "anything", rerank=True) == []
    await retriever.search(base, "?! \0")


async def test_vectors_of_another_embedder_are_refused(store: Store, base: KnowledgeBase) -> None:
    with pytest.raises(ConflictError, match="holds vectors of"):
        await Retriever(store, WordEmbedder()).search(replace(base, embedder="other"), "tulips")


async def test_a_base_that_is_gone(store: Store, base: KnowledgeBase) -> None:
    retriever = Retriever(store, WordEmbedder())
    await retriever.search(base, "tulips")
    store.knowledge.delete(base.id)
    with pytest.raises(NotFoundError):
        await retriever.search(base, "tulips")


async def test_the_index_follows_the_revision(store: Store, base: KnowledgeBase) -> None:
    indexes = Indexes(store)
    index = indexes.current(base)
    assert len(index) == len(TEXTS)
    await put(store, base, "new", "Something new.")
    assert len(indexes.current(base)) == len(TEXTS) + 1
    assert indexes.current(base) is index
    assert index.revision == store.knowledge.get(base.id).revision


HR = Access(readers=("group:hr",))
EVERYTHING = RetrievalSettings(feedback=0.4, rerank=0.1, diversity=0.3, per_document=1, hops=2)
LIBRARY = {
    "avonmouth": "Avonmouth is known for the Severn Way Bridge, a bridge of steel.",
    "designer": "Severn Way Bridge: drawn by Omega Partners of Leeds in long winters.",
    "steel": "Steel is tested for bridges at works in Sheffield.",
    "tulips": "Tulips flower in spring; bees come.",
    "tolls": "Tolls on the crossing were abolished in 1992.",
}
QUESTION = "Who designed the bridge that Avonmouth is known for?"


async def library(store: Store, name: str, texts: dict[str, str]) -> KnowledgeBase:
    made = store.knowledge.create(name, embedder="words", dimension=DIMENSION)
    for source, text in texts.items():
        await put(store, made, source, text)
    return store.knowledge.get(made.id)


@pytest.mark.parametrize(
    "settings",
    [
        RetrievalSettings(),
        RetrievalSettings(feedback=0.4),
        RetrievalSettings(hops=2),
        RetrievalSettings(rerank=0.1),
        RetrievalSettings(diversity=0.5),
        RetrievalSettings(per_document=1),
        RetrievalSettings(whole_tokens=10_000),
        EVERYTHING,
    ],
)
async def test_search_gives_what_explain_explains(
    store: Store, base: KnowledgeBase, settings: RetrievalSettings
) -> None:
    base = replace(base, settings=settings)
    retriever = Retriever(store, WordEmbedder(), WordReranker())
    for whole in (False, True):
        told = await retriever.explain(base, "tulips flower before roses", limit=3, whole=whole)
        assert list(told.hits) == await retriever.search(base, "tulips flower before roses", limit=3, whole=whole)
        assert [s.name for s in told.stages[:3]] == ["lexical", "dense", "fused"]
        assert told.stages[-1].name == "final"
        assert told.stages[-1].ranked == tuple((hit.chunk.id, hit.score) for hit in told.hits)
        assert {hit.chunk.id for hit in told.hits} <= {key for s in told.stages[2:-1] for key, _ in s.ranked}
        assert told.whole == (whole and settings.whole_tokens > 0)


async def test_every_stage_sees_through_the_view_alone(store: Store) -> None:
    hidden = {
        "secret": "Avonmouth is known for the bridge that Zeta Builders designed.",
        "other": "Omega Partners designed the Severn Way Bridge at Avonmouth, which Severn Way Bridge is known.",
    }
    mixed = replace(await library(store, "mixed", hidden | LIBRARY), settings=EVERYTHING)
    alone = replace(await library(store, "alone", LIBRARY), settings=EVERYTHING)
    for source in hidden:
        store.knowledge.set_access(store.knowledge.sources(mixed.id)[source].document, HR)
    retriever = Retriever(store, WordEmbedder(), WordReranker())
    for reader, seen in ((Reader(), False), (Reader(identities=frozenset({"group:hr"})), True)):
        view = store.knowledge.view(mixed.id, reader)
        told = await retriever.explain(mixed, QUESTION, view=view)
        assert ("Zeta Builders" in (told.further or "")) == seen
        assert bool({hit.source for hit in told.hits} & hidden.keys()) == seen
    view, whole = store.knowledge.view(mixed.id, Reader()), store.knowledge.view(alone.id, Reader())
    found = await retriever.explain(mixed, QUESTION, view=view)
    expected = await retriever.explain(alone, QUESTION, view=whole)
    assert [s.name for s in found.stages] == [
        "lexical", "dense", "fused", "feedback", "second search", "merged", "reranked", "final",
    ]  # fmt: skip
    assert found.further == expected.further
    for stage, same in zip(found.stages, expected.stages, strict=True):
        assert [(k.split("-")[1], v) for k, v in stage.ranked] == [(k.split("-")[1], v) for k, v in same.ranked]
    assert [(h.source, h.score, h.lexical, h.dense, h.reranker) for h in found.hits] == [
        (h.source, h.score, h.lexical, h.dense, h.reranker) for h in expected.hits
    ]


async def test_a_second_search_finds_what_the_first_names(store: Store) -> None:
    texts = {f"bridge {i}": f"A bridge was designed for town {i}." for i in range(12)} | LIBRARY
    base = await library(store, "towns", texts)
    retriever = Retriever(store, WordEmbedder())
    once = [hit.source for hit in await retriever.search(base, QUESTION, limit=4)]
    twice = await retriever.search(replace(base, settings=RetrievalSettings(hops=2)), QUESTION, limit=4)
    assert "designer" not in once
    assert "designer" in [hit.source for hit in twice]
    first = {hit.source: hit.dense for hit in await retriever.search(base, QUESTION, limit=50)}
    assert all(hit.dense == pytest.approx(first[hit.source]) for hit in twice), "cosines are the question's own"


async def test_feedback_takes_place_only_where_the_legs_disagree(store: Store, base: KnowledgeBase) -> None:
    same = replace(base, settings=RetrievalSettings(feedback=0.4))
    retriever = Retriever(store, WordEmbedder())
    told = await retriever.explain(same, "Avonmouth bridge")
    assert "feedback" in [stage.name for stage in told.stages]
    many = await library(store, "many", {f"t{i}": " ".join(["tulip"] * (i + 1) + ["soil"] * 9) for i in range(10)})
    told = await retriever.explain(replace(many, settings=same.settings), "tulip")
    assert "feedback" not in [stage.name for stage in told.stages]


async def test_a_cap_leaves_room_for_other_documents(store: Store) -> None:
    base = store.knowledge.create("parts", embedder="words", dimension=DIMENSION)
    long = await put(store, base, "long", "Tulip one.")
    texts = [f"Tulip {i}." for i in range(30)]
    chunks = [
        Chunk(id=f"part-{i}", document=long.id, ordinal=i, start=0, end=len(t), page=None, heading="", text=t)
        for i, t in enumerate(texts)
    ]
    rows = (await WordEmbedder().embed(texts, kind="document")).rows()
    store.knowledge.replace_document(long, chunks, rows, embedder="words")
    await put(store, base, "short", "A tulip among much else that is of the garden, the bees and the weather.")
    retriever = Retriever(store, WordEmbedder())
    capped = replace(base, settings=RetrievalSettings(per_document=2))
    assert {hit.source for hit in await retriever.search(base, "tulip", limit=5)} == {"long"}
    assert [hit.source for hit in await retriever.search(capped, "tulip", limit=5)] == ["long", "long", "short"]


async def test_the_files_of_the_index_go_with_the_base(store: Store, base: KnowledgeBase, tmp_path: Path) -> None:
    indexes = Indexes(store, tmp_path / "vectors", sizes={"few": 2, "later": 1})
    retriever = Retriever(store, WordEmbedder(), indexes=indexes)
    assert retriever.indexes is indexes
    before = [hit.source for hit in await retriever.search(base, "tulips flower")]
    indexes.settle()
    assert [path for path in (tmp_path / "vectors").rglob("*") if path.is_file()]
    assert [hit.source for hit in await retriever.search(base, "tulips flower")] == before
    await Knowledge(store, WordEmbedder(), retriever).delete(base)
    assert not [path for path in (tmp_path / "vectors").rglob("*") if path.is_file()]
    indexes.close()
