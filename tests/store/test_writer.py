from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest
from sqlalchemy import Connection, text

from athanor.errors import ConflictError, StoreError
from athanor.store import Appender, GroupedWriter, Store
from athanor.types import RequestRecord


def record(number: int) -> RequestRecord:
    return RequestRecord(trace=f"tr_{number}", at=float(number), door="chat", principal="pr_1", model="m")


def add(store: Store, number: int) -> Future[None]:
    return store.writer.append(lambda rows: store.requests.insert([record(number)], into=rows))


def test_future_resolves_after_the_commit(store: Store) -> None:
    add(store, 1).result(10)
    assert store.requests.get("tr_1") == record(1)


def test_one_that_fails_sinks_no_other(store: Store) -> None:
    block = threading.Event()
    first = store.writer.submit(lambda _: block.wait(10))
    futures = [add(store, number % 5) for number in range(10)]
    broken = store.writer.submit(lambda conn: conn.execute(text("SELECT * FROM nowhere")))
    last = add(store, 99)
    block.set()
    assert first.result(10)
    assert [future.exception(10) is None for future in futures] == [True] * 5 + [False] * 5
    assert broken.exception(10) is not None
    assert last.exception(10) is None
    assert {r.trace for r in store.requests.list()} == {f"tr_{n}" for n in (0, 1, 2, 3, 4, 99)}


def test_a_failed_one_leaves_nothing_half_done(store: Store) -> None:
    def half(conn: Connection) -> None:
        store.requests.insert([record(1)], into=Appender.of(conn))
        raise RuntimeError("halfway")

    def appended(rows: Appender) -> None:
        store.requests.insert([record(2)], into=rows)
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        store.writer.submit(half).result(10)
    with pytest.raises(RuntimeError, match="halfway"):
        store.writer.append(appended).result(10)
    block = threading.Event()
    store.writer.submit(lambda _: block.wait(10))
    together = [store.writer.append(appended), add(store, 3), store.writer.append(appended)]
    block.set()
    assert [future.exception(10) is None for future in together] == [False, True, False]
    store.requests.expire(10)
    assert store.requests.list() == []


def test_many_are_grouped_and_all_are_there(store: Store) -> None:
    commits = 0
    begun = store.database._turn

    def counted() -> object:
        nonlocal commits
        commits += 1
        return begun()

    store.database._turn = counted  # type: ignore[method-assign, assignment]
    futures: list[Future[None]] = []
    threads = [
        threading.Thread(target=lambda n=n: futures.extend(add(store, 100 * n + i) for i in range(50)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for future in futures:
        future.result(30)
    assert len(store.requests.list(limit=1000)) == 200
    assert commits < 150


def test_cancelled_ones_are_not_run(store: Store) -> None:
    block = threading.Event()
    store.writer.submit(lambda _: block.wait(10))
    store.writer.submit(lambda _: None)
    unwanted = add(store, 1)
    cancelled = unwanted.cancel()
    block.set()
    store.writer.flush()
    assert (store.requests.list() == []) is cancelled


def test_close_commits_what_was_submitted(store: Store) -> None:
    futures = [add(store, number) for number in range(20)]
    store.writer.close()
    assert all(future.done() and future.exception() is None for future in futures)
    with pytest.raises(StoreError, match="closed"):
        add(store, 100)
    store.writer.close()


def test_a_commit_that_fails_reaches_every_future(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: bool) -> object:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(store.database, "write", broken)
    writer = GroupedWriter(store.database)
    with pytest.raises(StoreError, match="disk is full"):
        writer.submit(lambda _: 1).result(10)
    writer.close()


def test_constraint_in_a_group_is_reported(store: Store) -> None:
    add(store, 1).result(10)
    error = add(store, 1).exception(10)
    assert isinstance(error, ConflictError)
