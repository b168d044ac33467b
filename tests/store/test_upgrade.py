"""A store of the release before knowledge grew, with everything in it, opened by this code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, Table, inspect, text

from athanor.store import Store, migrations
from athanor.store.transactions import Database
from athanor.types import OPEN, SYSTEM_READER, Access, Reader, RoleName
from tests.store.material import base, put

OLD = "0002"
KEPT = (
    "principals",
    "files",
    "knowledge_bases",
    "documents",
    "document_versions",
    "chunks",
    "vectors",
    "jobs",
    "requests",
)


def fill(store: Store) -> None:
    for name in ("notes", "other"):
        kb = base(store, name)
        put(store, kb, "alchemy", ["The furnace is hot. ", "The kiln is cold. "], heading="Fires")
        put(store, kb, "metals", ["Gold is a metal. "])
        put(store, kb, "metals", ["Gold and lead are metals. ", "Slag floats. "])
    store.principals.create("Ada", role=RoleName.ADMIN)
    store.jobs.enqueue("ingest", {"knowledge_base": kb.id}, total=2)


def copy(source: Connection, target: Connection) -> None:
    """The rows of `source` in the columns that `target` has, and the text index as the old release kept it."""
    for name in KEPT:
        new, old = (Table(name, MetaData(), autoload_with=conn) for conn in (source, target))
        shared = [column.name for column in old.columns if column.name in new.columns]
        rows = [dict(zip(shared, row, strict=True)) for row in source.execute(text(_select(shared, name)))]
        if rows:
            names = ", ".join(f'"{column}"' for column in shared)
            values = ", ".join(f":{column}" for column in shared)
            typed = [{key: _plain(value) for key, value in row.items()} for row in rows]
            target.execute(text(f"INSERT INTO {name} ({names}) VALUES ({values})"), typed)
    if target.dialect.name == "postgresql":
        words = source.execute(text("SELECT chunk, base, length, words::text AS words FROM chunk_words"))
        insert = text(
            "INSERT INTO chunk_words (chunk, base, length, words) "
            "VALUES (:chunk, :base, :length, CAST(:words AS tsvector))"
        )
        target.execute(insert, [dict(row._mapping) for row in words])
        return
    for seq in target.execute(text("SELECT seq FROM knowledge_bases")).scalars().all():
        target.execute(text(f"CREATE VIEW fts_{seq}_rows AS SELECT seq, text, heading FROM chunks WHERE base = {seq}"))
        target.execute(
            text(
                f"CREATE VIRTUAL TABLE fts_{seq} USING fts5(text, heading, content='fts_{seq}_rows', "
                "content_rowid='seq', tokenize='porter unicode61 remove_diacritics 2')"
            )
        )
        target.execute(
            text(f"INSERT INTO fts_{seq}(rowid, text, heading) SELECT seq, text, heading FROM fts_{seq}_rows")
        )


def _select(columns: list[str], table: str) -> str:
    return "SELECT " + ", ".join(f'"{column}"' for column in columns) + f" FROM {table}"


def _plain(value: object) -> object:
    import orjson  # noqa: PLC0415

    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


@pytest.fixture
def upgraded(store: Store, empty_url: str, tmp_path: Path) -> Callable[[], Store]:
    fill(store)
    old = Database(empty_url)
    with old.write() as conn:
        migrations.upgrade(conn, OLD)
        assert migrations.version(conn) == OLD
        assert "groups" not in inspect(conn).get_table_names()
        with store.read() as source:
            copy(source, conn)
    old.close()
    return lambda: Store.open(empty_url, blobs=tmp_path / "blobs")


def test_what_was_there_is_there_after_the_upgrade(store: Store, upgraded: Callable[[], Store]) -> None:
    new = upgraded()
    try:
        with new.read() as conn:
            assert migrations.version(conn) == migrations.HEAD
        for kb in store.knowledge.list():
            assert new.knowledge.get(kb.id) == kb
            assert new.knowledge.documents(kb.id) == store.knowledge.documents(kb.id)
            assert new.chunks.verify(kb.id) == []
            ids = store.chunks.ids(kb.id)
            assert new.chunks.get(kb.id, ids) == store.chunks.get(kb.id, ids)
            assert new.chunks.vectors_of(kb.id, ids) == store.chunks.vectors_of(kb.id, ids)
            for words in (["furnace"], ["metals", "fires"], ["gold", "kiln", "slag"]):
                assert new.chunks.search_text(kb.id, words) == store.chunks.search_text(kb.id, words)
        assert new.principals.list() == store.principals.list()
        assert new.jobs.list() == store.jobs.list()
    finally:
        new.close()


def test_what_is_new_works_on_what_was_there(store: Store, upgraded: Callable[[], Store]) -> None:
    new = upgraded()
    try:
        kb = new.knowledge.get("notes")
        first, second = new.knowledge.documents(kb.id)
        assert first.access == second.access == OPEN
        whole = new.chunks.search_text(kb.id, ["metal", "furnace"])
        new.knowledge.set_access(second.id, Access(readers=("group:hr",)))
        view = new.knowledge.view(kb.id, Reader())
        seen = new.chunks.search_text(kb.id, ["metal", "furnace"], view=view)
        assert 0 < len(seen) < len(whole)
        alone = base(new, "alone")
        put(new, alone, first.source, ["The furnace is hot. ", "The kiln is cold. "], heading="Fires")
        assert [s for _, s in seen] == [s for _, s in new.chunks.search_text(alone.id, ["metal", "furnace"])], (
            "the words of old documents are counted"
        )
        assert new.knowledge.counts(kb.id, new.knowledge.view(kb.id, SYSTEM_READER)) == (2, 4)
        put(new, kb, first.source, ["The furnace has burst. "])
        new.knowledge.delete_document(second.id)
        assert new.chunks.verify(kb.id) == []
    finally:
        new.close()
