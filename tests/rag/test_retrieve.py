from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from athanor.errors import ConflictError, NotFoundError
from athanor.rag.indexes import Indexes
from athanor.rag.retrieve import Retriever
from athanor.store import Store
from athanor.types import Chunk, Document, DocumentStatus, KnowledgeBase, new_id
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
        id=new_id("chunk"), document=owner, ordinal=0, start=0, end=len(text), page=None, heading="", text=text
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
