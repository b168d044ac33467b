"""The copy of the vectors that pgvector searches."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from sqlalchemy import text

from athanor.store import Store
from athanor.store.vectors_postgresql import PostgreSQLVectors
from athanor.types import View
from tests.store.material import base, put


@pytest.fixture
def store(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(postgres_url, blobs=tmp_path_factory.mktemp("blobs"))


QUERY = (0.0, 0.0, 0.0, 1.0)


@pytest.mark.postgres
@pytest.mark.parametrize("exact", [100, 0], ids=["exact", "graph"])
def test_search_follows_changes_and_views(store: Store, exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("athanor.store.vectors_postgresql.EXACT", exact)
    vectors, kb = PostgreSQLVectors(store.database), base(store)
    assert vectors.available()
    a = put(store, kb, "a", ["One. ", "Two. "])
    b = put(store, kb, "b", ["Three. "])
    revision = vectors.forward(kb.id)
    assert vectors.problems(kb.id) == []

    def found(view: View | None = None) -> set[str]:
        _, near, also = vectors.search(kb.id, QUERY, 10, [f"{a.id}-0"], view)
        assert {chunk for chunk, _ in also} <= {chunk for chunk, _ in near}
        assert all(struct.unpack("<4f", blob)[3] == 3.0 for _, blob in near)
        return {chunk for chunk, _ in near}

    assert found() == {f"{a.id}-0", f"{a.id}-1", f"{b.id}-0"}
    assert found(View(base=kb.id, revision=revision, documents=frozenset({b.id}))) == {f"{b.id}-0"}
    assert found(View(base=kb.id, revision=revision, classes=frozenset())) == set()
    assert found(View(base=kb.id, revision=revision - 1)) == {f"{a.id}-0", f"{a.id}-1"}
    with store.write() as conn:  # permissions are read from the chunks, with no copy to go stale
        conn.execute(text("UPDATE chunks SET access = 7 WHERE document = :d"), {"d": a.id})
    assert found(View(base=kb.id, revision=revision, classes=frozenset({0}))) == {f"{b.id}-0"}
    store.knowledge.delete_document(a.id)
    assert found() == {f"{b.id}-0"}
    put(store, kb, "b", ["Four. ", "Five. "])
    assert vectors.problems(kb.id) == ["2 chunks are not in the table of pgvector."]
    vectors.forward(kb.id)
    assert found() == {f"{b.id}-0", f"{b.id}-1"}
    with store.write() as conn:
        seq = conn.scalar(text("SELECT seq FROM knowledge_bases"))
        conn.execute(text(f"UPDATE chunk_vectors_{seq} SET data = '[9,9,9,9]'"))
    assert vectors.problems(kb.id) == ["2 rows of pgvector differ from their vectors."]
    store.knowledge.delete(kb.id)
    vectors.drop(seq or 0)
    store.close()


def test_not_on_sqlite(sqlite_template: object, open_store: Callable[[], Store], dialect: str) -> None:
    if dialect == "sqlite":
        assert not PostgreSQLVectors(open_store().database).available()
