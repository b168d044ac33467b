from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, text

from athanor.errors import ConflictError, InputError, NotFoundError
from athanor.store import Store
from athanor.store.tables import pictures
from athanor.types import DocumentStatus, new_id
from tests.store.material import DIMENSION, EMBEDDER, base, cut, document, put, rolled_back, vector


def count(store: Store, table: str) -> int:
    with store.read() as conn:
        return conn.scalar(text(f"SELECT count(*) FROM {table}")) or 0


def test_base_is_found_by_id_and_by_name(store: Store) -> None:
    kb = base(store)
    assert (kb.revision, kb.documents, kb.chunks) == (0, 0, 0)
    assert store.knowledge.get(kb.id) == kb == store.knowledge.get("notes")
    assert store.knowledge.find("other") is None
    with pytest.raises(NotFoundError):
        store.knowledge.get("other")
    assert store.knowledge.list() == [kb]


def test_base_names_are_unique(store: Store) -> None:
    kb = base(store)
    other = base(store, "other")
    with pytest.raises(ConflictError, match="'notes' exists"):
        base(store)
    with pytest.raises(ConflictError, match="'other' exists"):
        store.knowledge.rename(kb.id, "other")
    assert store.knowledge.rename(kb.id, "mine").name == "mine"
    assert [b.id for b in store.knowledge.list()] == [kb.id, other.id]


def test_document_gets_versions(store: Store) -> None:
    kb = base(store)
    first = put(store, kb, "a.md", ["One. ", "Two. "])
    second = put(store, kb, "a.md", ["Three. "])
    assert (first.version, second.version) == (1, 2)
    assert (first.id, first.created_at) == (second.id, second.created_at)
    assert store.knowledge.document(first.id) == second
    assert [c.text for c in store.chunks.of_document(first.id)] == ["Three. "]
    old = store.knowledge.document_version(first.id, 1)
    assert store.blobs.read(old.text_sha256) == b"One. Two. "
    kb = store.knowledge.get(kb.id)
    assert (kb.revision, kb.documents, kb.chunks) == (2, 1, 1)
    assert store.chunks.verify(kb.id) == []


def test_replacement_keeps_the_id_of_the_source(store: Store) -> None:
    kb = base(store)
    first = put(store, kb, "a.md", ["One. "])
    stranger = document(store, kb, "a.md", "Two. ")
    stored = store.knowledge.replace_document(stranger, cut(stranger, ["Two. "]), [vector()], embedder=EMBEDDER)
    assert stored.id == first.id != stranger.id
    assert {c.document for c in store.chunks.of_document(first.id)} == {first.id}


@pytest.mark.parametrize(
    ("embedder", "vectors", "match"),
    [
        ("other@1", [vector()], "holds vectors of 'toy@1'"),
        (EMBEDDER, [vector() + vector()], "does not fit"),
        (EMBEDDER, [b""], "does not fit"),
        (EMBEDDER, [], "1 chunks came with 0 vectors"),
    ],
)
def test_mixed_vectors_are_refused(store: Store, embedder: str, vectors: list[bytes], match: str) -> None:
    kb = base(store)
    put(store, kb, "a.md", ["One. "])
    doc = document(store, kb, "a.md", "Two. ")
    with pytest.raises((ConflictError, InputError), match=match):
        store.knowledge.replace_document(doc, cut(doc, ["Two. "]), vectors, embedder=embedder)
    assert [c.text for c in store.chunks.of_document(store.knowledge.documents(kb.id)[0].id)] == ["One. "]
    assert store.chunks.verify(kb.id) == []


def test_doubled_chunks_are_refused(store: Store) -> None:
    kb = base(store)
    doc = document(store, kb, "a.md", "One. Two. ")
    one, two = cut(doc, ["One. ", "Two. "])
    for chunks in ([one, replace(two, id=one.id)], [one, replace(two, ordinal=one.ordinal)]):
        with pytest.raises(ConflictError, match="same"):
            store.knowledge.replace_document(doc, chunks, [vector(), vector()], embedder=EMBEDDER)
    other = put(store, kb, "b.md", ["Three. "])
    taken = [replace(one, id=store.chunks.of_document(other.id)[0].id)]
    with pytest.raises(ConflictError):
        store.knowledge.replace_document(doc, taken, [vector()], embedder=EMBEDDER)
    assert store.chunks.verify(kb.id) == []


def test_nul_is_refused_on_both_dialects(store: Store) -> None:
    kb = base(store)
    doc = document(store, kb, "a.md", "One\0. ")
    with pytest.raises(InputError, match="NUL"):
        store.knowledge.replace_document(doc, cut(doc, ["One\0. "]), [vector()], embedder=EMBEDDER)


def test_document_without_chunks_is_a_document(store: Store) -> None:
    kb = base(store)
    put(store, kb, "a.md", [])
    assert store.knowledge.get(kb.id).documents == 1
    assert store.chunks.verify(kb.id) == []


def test_failed_source_keeps_serving_its_last_good_version(store: Store) -> None:
    kb = base(store)
    good = put(store, kb, "a.md", ["Furnace. "])
    failed = store.knowledge.fail_document(document(store, kb, "a.md", "x"), "It is encrypted.")
    assert (failed.id, failed.version, failed.status, failed.error) == (
        good.id,
        1,
        DocumentStatus.FAILED,
        "It is encrypted.",
    )
    assert store.chunks.search_text(kb.id, ["furnace"])
    assert store.knowledge.get(kb.id).documents == 1
    mended = put(store, kb, "a.md", ["Crucible. "])
    assert (mended.version, mended.status, mended.error) == (2, DocumentStatus.READY, None)
    assert store.chunks.verify(kb.id) == []


def test_source_that_never_was_good_is_listed_and_not_counted(store: Store) -> None:
    kb = base(store)
    bad = document(store, kb, "a.pdf", "x")
    for error in ("Bad.", "Still bad."):
        failed = store.knowledge.fail_document(bad, error)
    assert (failed.version, failed.chunks, failed.text_sha256, failed.error) == (0, 0, None, "Still bad.")
    assert store.knowledge.documents(kb.id, status=DocumentStatus.FAILED) == [failed]
    assert store.knowledge.documents(kb.id, status=DocumentStatus.READY) == []
    assert store.knowledge.count_documents(kb.id) == 1
    assert store.knowledge.get(kb.id).documents == 0
    assert put(store, kb, "a.pdf", ["Good now. "]).version == 1
    assert store.knowledge.get(kb.id).documents == 1
    assert store.chunks.verify(kb.id) == []
    store.knowledge.delete_document(failed.id)
    assert store.knowledge.get(kb.id).documents == 0


def test_deleted_is_gone_at_commit(store: Store) -> None:
    kb = base(store)
    doc = put(store, kb, "a.md", ["Furnace. ", "Crucible. "])
    put(store, kb, "a.md", ["Furnace again. "])
    kept = put(store, kb, "b.md", ["Kept furnace. "])
    store.knowledge.delete_document(doc.id)
    assert [c for c, _ in store.chunks.search_text(kb.id, ["furnace", "crucible"])] == [f"{kept.id}-0"]
    for table in ("chunks", "vectors", "documents", "document_versions"):
        assert count(store, table) == 1
    with pytest.raises(NotFoundError):
        store.knowledge.delete_document(doc.id)
    with pytest.raises(NotFoundError):
        store.knowledge.document_version(doc.id, 1)
    assert store.chunks.verify(kb.id) == []


def test_deleting_a_base_deletes_all_of_it_and_nothing_else(store: Store) -> None:
    kb, other = base(store), base(store, "other")
    put(store, kb, "a.md", ["Furnace. "])
    kept = put(store, other, "a.md", ["Furnace. "])
    store.knowledge.delete(kb.id)
    assert [b.id for b in store.knowledge.list()] == [other.id]
    assert [d.id for d in store.knowledge.documents(other.id)] == [kept.id]
    for table in ("chunks", "vectors", "documents", "document_versions"):
        assert count(store, table) == 1
    assert store.chunks.verify(other.id) == []
    assert base(store).name == "notes"


def test_sources_tell_what_changed(store: Store) -> None:
    kb = base(store)
    a = put(store, kb, "a.md", ["One. "])
    bad = store.knowledge.fail_document(document(store, kb, "b.md", "x"), "Bad.")
    sources = store.knowledge.sources(kb.id)
    assert set(sources) == {"a.md", "b.md"}
    assert (sources["a.md"].sha256, sources["a.md"].version, sources["a.md"].document) == (a.sha256, 1, a.id)
    assert (sources["b.md"].status, sources["b.md"].version) == (DocumentStatus.FAILED, 0)
    assert sources["b.md"].document == bad.id


def test_documents_come_in_pages(store: Store) -> None:
    kb = base(store)
    for name in "cabed":
        put(store, kb, name, [name])
    seen: list[str] = []
    while page := store.knowledge.documents(kb.id, limit=2, after=seen[-1] if seen else None):
        seen += [d.source for d in page]
    assert seen == ["a", "b", "c", "d", "e"]


def test_replacement_is_one_transaction(store: Store) -> None:
    kb = base(store)
    doc = put(store, kb, "a.md", ["One. "])
    with rolled_back(store) as conn:
        new = replace(doc, text_sha256=store.blobs.put(b"Two. "))
        store.knowledge.replace_document(new, cut(new, ["Two. "]), [vector()], embedder=EMBEDDER, conn=conn)
    assert store.knowledge.document(doc.id).version == 1
    assert store.chunks.search_text(kb.id, ["two"]) == []
    assert store.chunks.search_text(kb.id, ["one"])
    assert store.chunks.verify(kb.id) == []


def test_unknown_base_and_document(store: Store) -> None:
    kb = base(store)
    store.knowledge.delete(kb.id)
    doc = document(store, kb, "a.md", "x")
    for call in (
        lambda: store.knowledge.replace_document(doc, [], [], embedder=EMBEDDER),
        lambda: store.knowledge.fail_document(doc, "x"),
        lambda: store.knowledge.delete(kb.id),
        lambda: store.knowledge.document(new_id("doc")),
        lambda: store.chunks.ids(kb.id),
        lambda: store.chunks.search_text(kb.id, ["x"]),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_text_of_a_deleted_document_leaves_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("athanor.store.blobs.Blobs.discard", lambda blobs, sha256: blobs.delete(sha256))
    kb = base(store)
    doc = put(store, kb, "a.md", ["Only here. "])
    shared = put(store, kb, "b.md", ["In two. "])
    put(store, kb, "c.md", ["In two. "])
    store.knowledge.delete_document(doc.id)
    store.knowledge.delete_document(shared.id)
    assert doc.text_sha256 is not None
    assert shared.text_sha256 is not None
    assert not store.blobs.exists(doc.text_sha256)
    assert store.blobs.exists(shared.text_sha256)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("DELETE FROM vectors", "2 chunks have no vector"),
        (f"UPDATE vectors SET data = '{'x' * (4 * DIMENSION + 4)}'", "2 vectors are not of 4 float32 values"),
        ("UPDATE knowledge_bases SET chunks = 7", "counts 1 documents and 7 chunks, and holds 1 and 2"),
        ("UPDATE documents SET chunks = 7", "1 documents count their chunks wrong"),
        ("DELETE FROM pictures; DELETE FROM document_versions", "1 documents lack the row of their version"),
        ('UPDATE chunks SET start = 0, "end" = 5', "1 chunks are doubled"),
        ("UPDATE chunks SET text = 'entirely else'", "ext index"),
        ("INDEX", "ext index"),
        ("UPDATE documents SET words = 7", "1 documents count their words wrong"),
        ("UPDATE chunks SET access = 9 WHERE ordinal = 0", "1 chunks are closed otherwise than their document"),
        ("UPDATE documents SET access = 9; UPDATE chunks SET access = 9", "of an access class that is not there"),
        ("UPDATE pictures SET version = 2", "1 pictures are of a version that is not there"),
        ("UPDATE knowledge_bases SET version = 3", "1 versions of the settings are in use and not there"),
    ],
)
def test_verify_finds_damage(store: Store, damage: str, problem: str) -> None:
    kb = base(store)
    doc = put(store, kb, "a.md", ["One. ", "Two. "])
    with store.write() as conn:
        shown = {"version": 1, "ordinal": 0, "sha256": doc.text_sha256, "mime": "image/png", "start": 0, "alt": ""}
        conn.execute(insert(pictures).values(document=doc.id, **shown))
    assert store.chunks.verify(kb.id) == []
    if damage == "INDEX":
        table = "fts_1" if store.database.dialect == "sqlite" else "chunk_words"
        damage = f"DELETE FROM {table}"
    with store.write() as conn:
        for statement in damage.split(";"):
            conn.exec_driver_sql(statement)
    problems = store.chunks.verify(kb.id)
    assert len(problems) == 1
    assert problem in problems[0]
