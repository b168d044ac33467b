from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, select, update

from athanor.errors import InputError, StoreError
from athanor.store import Store, entry_hash
from athanor.store import tables as t
from athanor.types import AuditEntry
from tests.store.material import rolled_back

UNGUARD = {
    "sqlite": ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"],
    "postgresql": ["DROP TRIGGER audit_append_only ON audit"],
}


def fill(store: Store, count: int = 4) -> list[AuditEntry]:
    return [
        store.audit.append(
            principal="pr_1", action="key.created", subject=f"key_{n}", details={"n": n, "é": [1.5, None]}
        )
        for n in range(count)
    ]


def test_entries_follow_each_other(store: Store) -> None:
    entries = fill(store)
    assert [e.sequence for e in entries] == [1, 2, 3, 4]
    assert [e.previous for e in entries] == ["0" * 64, *(e.hash for e in entries[:-1])]
    assert store.audit.entries() == entries[::-1]
    assert store.audit.entries(limit=2, before=4) == entries[1:3][::-1]
    assert store.audit.head() == (4, entries[-1].hash)
    assert store.audit.verify() == []


def test_hash_can_be_computed_from_the_entry_alone(store: Store) -> None:
    fill(store)
    for entry in store.audit.entries():
        fields = {name: getattr(entry, name) for name in entry.__slots__ if name != "hash"}
        assert entry_hash(fields) == entry.hash


def test_an_entry_goes_with_what_it_tells_of(store: Store) -> None:
    with rolled_back(store) as conn:
        store.audit.append(principal="p", action="a", subject="s", conn=conn)
    assert store.audit.head() == (0, "0" * 64)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit SET subject = 'x'", "DELETE FROM audit", "DELETE FROM audit WHERE sequence = 4"]
)
def test_the_database_refuses_changes(store: Store, statement: str) -> None:
    fill(store)
    with pytest.raises(StoreError, match="append-only"), store.write() as conn:
        conn.exec_driver_sql(statement)
    assert store.audit.verify() == []


def test_truncate_is_refused(store: Store) -> None:
    if store.database.dialect == "sqlite":
        pytest.skip("SQLite has no TRUNCATE")
    fill(store)
    with pytest.raises(StoreError, match="append-only"), store.write() as conn:
        conn.exec_driver_sql("TRUNCATE audit")


@pytest.mark.parametrize(
    ("tampering", "problem"),
    [
        ("UPDATE audit SET subject = 'x' WHERE sequence = 2", "Entry 2 was changed."),
        ("UPDATE audit SET at = at + 1 WHERE sequence = 2", "Entry 2 was changed."),
        ("UPDATE audit SET details = '{}' WHERE sequence = 2", "Entry 2 was changed."),
        ("UPDATE audit SET details = '{' WHERE sequence = 2", "Entry 2 was changed."),
        ("DELETE FROM audit WHERE sequence = 2", "Entries 2 to 2 are missing."),
        ("DELETE FROM audit WHERE sequence = 1", "Entries 1 to 1 are missing."),
        ("UPDATE audit SET previous = hash WHERE sequence = 3", "Entry 3 does not follow the entry before it."),
    ],
)
def test_verify_finds_what_was_done_around_the_triggers(store: Store, tampering: str, problem: str) -> None:
    fill(store)
    with store.write() as conn:
        for statement in [*UNGUARD[store.database.dialect], tampering]:
            conn.exec_driver_sql(statement)
    assert problem in store.audit.verify()


def test_a_rewritten_entry_breaks_the_next(store: Store) -> None:
    second = fill(store)[1]
    forged = {name: getattr(second, name) for name in second.__slots__ if name != "hash"} | {"subject": "x"}
    with store.write() as conn:
        for statement in UNGUARD[store.database.dialect]:
            conn.exec_driver_sql(statement)
        conn.exec_driver_sql(f"UPDATE audit SET subject = 'x', hash = '{entry_hash(forged)}' WHERE sequence = 2")
    assert store.audit.verify() == ["Entry 3 does not follow the entry before it."]


def test_details_must_be_json(store: Store) -> None:
    for details in ({"x": object()}, {"x": float("nan")}, {"x": b""}):
        with pytest.raises(InputError, match="must be JSON"):
            store.audit.append(principal="p", action="a", subject="s", details=details)


def test_strange_text_survives(store: Store) -> None:
    store.audit.append(principal="p", action="a", subject="s", details={"\0": "\ud800 \x7f \u2028"})
    assert store.audit.verify() == []
    assert store.audit.entries()[0].details == {"\0": "\ud800 \x7f \u2028"}


def test_concurrent_appends_make_one_chain(open_store: Callable[[], Store]) -> None:
    stores = [open_store() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda s: fill(s, 8), stores))
    assert stores[0].audit.head()[0] == 24
    assert stores[0].audit.verify() == []


def test_every_flipped_character_is_found(open_store: Callable[[], Store]) -> None:
    store = open_store()
    fill(store, 2)
    columns = ("principal", "action", "subject", "details", "previous", "hash")
    with store.read() as conn:
        row = conn.execute(select(t.audit).where(t.audit.c.sequence == 1)).one()._asdict()
    with store.write() as conn:
        for statement in UNGUARD[store.database.dialect]:
            conn.exec_driver_sql(statement)
    for column in columns:
        for place in range(len(row[column])):
            for bit in (1, 32):
                text = row[column]
                text = text[:place] + chr(ord(text[place]) ^ bit) + text[place + 1 :]
                if "\0" in text:
                    continue
                with rolled_back(store) as conn:
                    conn.execute(update(t.audit).where(t.audit.c.sequence == 1).values({column: text}))
                    assert store.audit.verify(conn=conn), (column, place, bit)
    assert store.audit.verify() == []


def test_a_cut_end_is_found_by_a_noted_head(store: Store) -> None:
    entries = fill(store)
    heads = {4: entries[-1].hash, 2: entries[1].hash}
    assert store.audit.verify(heads=heads) == []
    with store.write() as conn:
        for statement in UNGUARD[store.database.dialect]:
            conn.exec_driver_sql(statement)
        conn.execute(delete(t.audit).where(t.audit.c.sequence > 2))
    assert store.audit.verify() == [], "the chain alone does not show it"
    (problem,) = store.audit.verify(heads=heads)
    assert "cut off" in problem
    fill(store)
    (problem,) = store.audit.verify(heads=heads)
    assert "Entry 4 is not the one" in problem
