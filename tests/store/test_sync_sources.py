"""Rows of sources: one job after another, whoever asks, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from athanor.store import Store
from athanor.types import SyncSource


def test_of_several_that_begin_after_the_same_job_one_does(open_store: Callable[[], Store]) -> None:
    stores = [open_store() for _ in range(4)]
    base = stores[0].knowledge.create("notes", embedder="e", dimension=4).id
    source = SyncSource(base=base, origin="folder:/x", created_at=1.0, every=60.0, principal="pr_1")
    stores[0].sync_sources.put(source)
    for turn in range(5):
        before = stores[0].sync_sources.get(base, "folder:/x")
        barrier = threading.Barrier(len(stores))
        won: list[str] = []

        def begin(number: int, store: Store, before: SyncSource = before, turn: int = turn) -> None:
            barrier.wait()  # noqa: B023  each turn waits for its threads
            job = f"{turn}-{number}"
            if store.sync_sources.begin(replace(before, job=job, failures=turn, error="x"), after=before.job):
                won.append(job)  # noqa: B023

        threads = [threading.Thread(target=begin, args=pair) for pair in enumerate(stores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now = stores[0].sync_sources.get(base, "folder:/x")
        assert [now.job] == won
        assert (now.failures, now.error, now.every, now.principal) == (turn, "x", 60.0, "pr_1")


def test_a_change_keeps_the_job_and_forgets_the_state_with_another_prefix(store: Store) -> None:
    base = store.knowledge.create("notes", embedder="e", dimension=4).id
    source = SyncSource(base=base, origin="git:https://h/x", created_at=1.0, state="c0ffee", job="j", failures=2)
    assert not store.sync_sources.change(source)
    store.sync_sources.put(source)
    assert store.sync_sources.change(replace(source, every=5.0, principal="pr_2", job=None, failures=0))
    assert store.sync_sources.get(base, source.origin) == replace(source, every=5.0, principal="pr_2")
    assert store.sync_sources.change(replace(source, prefix="x/"))
    assert store.sync_sources.get(base, source.origin) == replace(source, prefix="x/", state="")
    store.sync_sources.delete(base, source.origin)
    assert not store.sync_sources.begin(source, after="j")


def test_documents_are_counted_by_what_keeps_them_in_step(store: Store) -> None:
    base = store.knowledge.create("notes", embedder="e", dimension=4).id
    assert store.knowledge.origins(base) == {}
