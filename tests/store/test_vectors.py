from __future__ import annotations

from athanor.store import Store
from athanor.types import KnowledgeBase
from tests.store.material import base, put, vector


class Index:
    """What a derived index does with the changes it is told of."""

    def __init__(self) -> None:
        self.revision = 0
        self.rows: dict[str, bytes] = {}

    def follow(self, store: Store, kb: KnowledgeBase) -> None:
        changes = store.chunks.changes(kb.id, self.revision)
        width = len(vector())
        rows = [changes.matrix[i : i + width] for i in range(0, len(changes.matrix), width)]
        self.rows |= dict(zip(changes.added, rows, strict=True))
        self.rows = {chunk: self.rows[chunk] for chunk in changes.present}
        self.revision = changes.revision


def truth(store: Store, kb: KnowledgeBase) -> dict[str, bytes]:
    rows: dict[str, bytes] = {}
    width = len(vector())
    for ids, data in store.chunks.vectors(kb.id, batch=3):
        assert len(data) == width * len(ids)
        rows |= {chunk: data[width * i : width * (i + 1)] for i, chunk in enumerate(ids)}
    return rows


def test_index_follows_every_change(store: Store) -> None:
    kb, other = base(store), base(store, "other")
    index = Index()
    put(store, other, "a", ["Not ours. "])
    a = put(store, kb, "a", ["One. ", "Two. ", "Three. ", "Four. "])
    index.follow(store, kb)
    assert index.rows == truth(store, kb)
    assert len(index.rows) == 4
    put(store, kb, "b", ["Five. "])
    put(store, kb, "a", ["One. "])
    index.follow(store, kb)
    assert index.rows == truth(store, kb)
    assert len(index.rows) == 2
    store.knowledge.delete_document(a.id)
    index.follow(store, kb)
    assert index.rows == truth(store, kb)
    assert len(index.rows) == 1
    assert index.revision == store.knowledge.get(kb.id).revision


def test_nothing_changed_is_cheap(store: Store) -> None:
    kb = base(store)
    put(store, kb, "a", ["One. "])
    changes = store.chunks.changes(kb.id, store.knowledge.get(kb.id).revision)
    assert (changes.added, changes.matrix) == ((), b"")
    assert len(changes.present) == 1


def test_vectors_after_a_revision(store: Store) -> None:
    kb = base(store)
    put(store, kb, "a", ["One. "])
    revision = store.knowledge.get(kb.id).revision
    b = put(store, kb, "b", ["Two. ", "Three. "])
    assert [ids for ids, _ in store.chunks.vectors(kb.id, after=revision)] == [[f"{b.id}-0", f"{b.id}-1"]]


def test_a_failed_source_does_not_disturb_the_index(store: Store) -> None:
    kb = base(store)
    doc = put(store, kb, "a", ["One. "])
    revision = store.knowledge.get(kb.id).revision
    store.knowledge.fail_document(doc, "Gone bad.")
    assert store.knowledge.get(kb.id).revision == revision


def test_chunks_and_hits_come_in_the_order_asked_for(store: Store) -> None:
    kb = base(store)
    doc = put(store, kb, "a", [f"{i}. " for i in range(700)])
    ids = [f"{doc.id}-{i}" for i in reversed(range(700))]
    assert [c.id for c in store.chunks.get(kb.id, ["missing", *ids])] == ids
    hit = store.chunks.hits(kb.id, ids[:1])[0]
    assert (hit.document_version, hit.source, hit.title, hit.chunk.ordinal) == (1, "a", "A", 699)
    assert store.chunks.get(base(store, "other").id, ids[:1]) == []
    assert sorted(store.chunks.ids(kb.id)) == sorted(ids)
