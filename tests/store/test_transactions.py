from __future__ import annotations

import pytest
from sqlalchemy import text

from athanor.errors import ConflictError, StoreError
from athanor.store import Store
from athanor.types import RoleName
from tests.store.material import rolled_back


def test_write_commits_at_exit_and_rolls_back_on_error(store: Store) -> None:
    with store.write() as conn:
        store.principals.create("a", RoleName.USER, conn=conn)
        store.principals.create("b", RoleName.USER, conn=conn)
    with rolled_back(store) as conn:
        store.principals.create("c", RoleName.USER, conn=conn)
    assert [p.name for p in store.principals.list()] == ["a", "b"]


def test_nested_write_is_refused_and_not_a_deadlock(store: Store) -> None:
    if store.database.dialect == "postgresql":
        pytest.skip("PostgreSQL has many writers")
    with store.write(), pytest.raises(StoreError, match="already has a write"):
        store.principals.create("a", RoleName.USER)


def test_a_reader_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError), store.read() as conn:
        conn.execute(text("DELETE FROM principals"))


def test_a_reader_sees_one_snapshot(store: Store) -> None:
    with store.read() as conn:
        assert store.principals.list(conn=conn) == []
        store.principals.create("a", RoleName.USER)
        assert store.principals.list(conn=conn) == []
    assert len(store.principals.list()) == 1


def test_constraint_is_a_conflict(store: Store) -> None:
    with pytest.raises(ConflictError), store.write() as conn:
        conn.execute(text("INSERT INTO principals VALUES ('x', 'n', 'user', 0, NULL), ('x', 'm', 'user', 0, NULL)"))


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_commits_survive_power_loss_unless_told_otherwise(store: Store) -> None:
    def mode(*, durable: bool) -> int:
        with store.database.write(durable=durable) as conn:
            return int(conn.exec_driver_sql("PRAGMA synchronous").scalar_one())

    full, normal = 2, 1
    assert [mode(durable=d) for d in (True, False, False, True)] == [full, normal, normal, full]
    with store.write() as conn:
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar_one() == full
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert conn.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
        assert conn.exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1
    assert store.writer.submit(lambda c: c.exec_driver_sql("PRAGMA synchronous").scalar_one()).result(10) == normal
