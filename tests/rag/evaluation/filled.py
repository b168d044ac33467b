"""A base of many short documents, made in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from athanor.store import Store
from athanor.types import Chunk, Document, DocumentStatus, KnowledgeBase, new_id
from tests.rag.fakes import DIMENSION, WordEmbedder


async def filled(store: Store, name: str, texts: Mapping[str, str]) -> KnowledgeBase:
    """A new base with a document of one passage for each of `texts`, by source name."""
    base = store.knowledge.create(name, embedder="words", dimension=DIMENSION)
    vectors = (await WordEmbedder().embed(list(texts.values()), kind="document")).rows()
    blobs = [store.blobs.put(text.encode()) for text in texts.values()]
    with store.write() as conn:
        for (source, text), vector, blob in zip(texts.items(), vectors, blobs, strict=True):
            document = Document(
                id=new_id("doc"),
                knowledge_base=base.id,
                source=source,
                version=0,
                sha256=sha256(text.encode()).hexdigest(),
                text_sha256=blob,
                title=source,
                mime="text/plain",
                size=len(text),
                pages=(),
                status=DocumentStatus.READY,
                error=None,
                chunks=1,
                created_at=0.0,
                updated_at=0.0,
            )
            chunk = Chunk(
                # The same in every run, so that a seed draws the same.
                id=f"{name}-{source}",
                document=document.id,
                ordinal=0,
                start=0,
                end=len(text),
                page=None,
                heading="",
                text=text,
            )
            store.knowledge.replace_document(document, [chunk], [vector], embedder="words", conn=conn)
    return store.knowledge.get(base.id)
