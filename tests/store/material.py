"""Documents to store: texts cut into chunks, with vectors that can be told apart."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy import Connection

from athanor.store import Store
from athanor.types import Chunk, Document, DocumentStatus, KnowledgeBase, new_id

EMBEDDER = "toy@1"
DIMENSION = 4


def base(store: Store, name: str = "notes") -> KnowledgeBase:
    return store.knowledge.create(name, embedder=EMBEDDER, dimension=DIMENSION)


def vector(*values: float) -> bytes:
    return struct.pack(f"<{DIMENSION}f", *(values or (1.0, 0.0, 0.0, 0.0)))


def document(store: Store, kb: KnowledgeBase, source: str, text: str) -> Document:
    sha256 = store.blobs.put(text.encode())
    return Document(
        id=new_id("doc"),
        knowledge_base=kb.id,
        source=source,
        version=0,
        sha256=hashlib.sha256(b"source of " + text.encode()).hexdigest(),
        text_sha256=sha256,
        title=source.title(),
        mime="text/plain",
        size=len(text),
        pages=(0,),
        status=DocumentStatus.READY,
        error=None,
        chunks=0,
        created_at=0.0,
        updated_at=0.0,
    )


def cut(doc: Document, passages: Sequence[str], *, heading: str = "") -> list[Chunk]:
    chunks, start = [], 0
    for ordinal, text in enumerate(passages):
        chunks.append(
            Chunk(
                id=f"{doc.id}-{ordinal}",
                document=doc.id,
                ordinal=ordinal,
                start=start,
                end=start + len(text),
                page=1,
                heading=heading,
                text=text,
            )
        )
        start += len(text)
    return chunks


def put(store: Store, kb: KnowledgeBase, source: str, passages: Sequence[str], *, heading: str = "") -> Document:
    """Store `passages` as the current version of `source`, chunk by chunk."""
    old = store.knowledge.document_by_source(kb.id, source)
    doc = document(store, kb, source, "".join(passages)) if old is None else old
    if old is not None:
        doc = Document(
            **{
                **{n: getattr(old, n) for n in old.__slots__},
                "text_sha256": store.blobs.put("".join(passages).encode()),
            }
        )
    chunks = cut(doc, passages, heading=heading)
    vectors = [vector(float(i), 1.0, 2.0, 3.0) for i in range(len(chunks))]
    return store.knowledge.replace_document(doc, chunks, vectors, embedder=EMBEDDER)


@contextmanager
def rolled_back(store: Store) -> Iterator[Connection]:
    """A write transaction whose end is an error."""
    with suppress(ZeroDivisionError), store.write() as conn:
        yield conn
        raise ZeroDivisionError
