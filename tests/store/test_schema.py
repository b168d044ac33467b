from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from athanor.errors import ConfigError, StoreError
from athanor.store import Store, migrations, schema
from athanor.store.schema import dump
from athanor.store.tables import metadata

OUTSIDE_THE_METADATA = {"alembic_version", "chunk_words"}


def test_dump_is_the_committed_one(empty_url: str, tmp_path: Path) -> None:
    store = Store.open(empty_url, blobs=tmp_path)
    committed = Path(schema.__file__).with_name(f"{store.database.dialect}.sql")
    with store.read() as conn:
        found = dump(conn).rstrip() + "\n"
    store.close()
    if os.environ.get("ATHANOR_WRITE_SCHEMA"):
        committed.write_text(found)
    assert found == committed.read_text(), "The schema changed. If it should: ATHANOR_WRITE_SCHEMA=1 pytest " + __file__


def test_dump_does_not_depend_on_what_is_stored(store: Store) -> None:
    with store.read() as conn:
        empty = dump(conn)
    store.knowledge.create("notes", embedder="e", dimension=4)
    with store.read() as conn:
        assert dump(conn) == empty


def test_migrations_make_what_the_tables_say(store: Store) -> None:
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    def ours(_: object, name: str | None, kind: str, __: bool, ___: object) -> bool:
        return not (kind == "table" and name in OUTSIDE_THE_METADATA)

    with store.read() as conn:
        context = MigrationContext.configure(
            conn, opts={"include_object": ours, "compare_server_default": True, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []


def test_revisions_are_those_of_the_scripts() -> None:
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(reversed([s.revision for s in scripts.walk_revisions()])) == migrations.REVISIONS


def test_a_newer_store_is_refused(open_store: Callable[[], Store]) -> None:
    with open_store().write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="9999") as caught:
        open_store()
    assert "newer version" in str(caught.value)


def test_the_second_open_does_not_import_alembic(url: str, open_store: Callable[[], Store], tmp_path: Path) -> None:
    open_store().close()
    code = (
        "import sys; from pathlib import Path; from athanor.store import Store;"
        f"Store.open({url!r}, blobs=Path({str(tmp_path)!r})).close();"
        "print([m for m in sys.modules if m.partition('.')[0] in ('alembic', 'mako', 'sqlalchemy.orm')])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("wrong", ["mysql://h/d", "sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///x"])
def test_what_is_no_store_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises((StoreError, ConfigError)):
        Store.open(wrong, blobs=tmp_path)


def test_what_is_no_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="URL"):
        Store.open("certainly not", blobs=tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(f"sqlite:///{tmp_path}/x.db", blobs=tmp_path)


def test_a_second_sqlite_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysqlite3", sys)
    with pytest.raises(StoreError, match="pysqlite3"):
        Store.open(f"sqlite:///{tmp_path}/x.db", blobs=tmp_path)


def test_the_files_are_their_owners_only(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path}/new/a.db", blobs=tmp_path / "blobs").blobs.put(b"x")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(f"sqlite:///{tmp_path}/file/a.db", blobs=tmp_path)
