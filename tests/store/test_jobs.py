from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from athanor.errors import NotFoundError
from athanor.store import Store
from athanor.types import JobItem, JobState


def test_life_of_a_job(store: Store) -> None:
    queued = store.jobs.enqueue("ingest", {"folder": "/notes", "deep": [1, {"a": None}]}, total=3)
    assert store.jobs.get(queued.id) == queued
    job = store.jobs.lease("w1", seconds=30)
    assert job is not None
    assert (job.id, job.state, job.attempts, job.lease_owner) == (queued.id, JobState.RUNNING, 1, "w1")
    assert job.arguments == {"folder": "/notes", "deep": [1, {"a": None}]}
    assert store.jobs.lease("w2", seconds=30) is None
    assert store.jobs.progress(job.id, "w1", done=2, failed=1, message="b.md")
    assert store.jobs.finish(job.id, "w1", result={"documents": 2}, message="Done.")
    done = store.jobs.get(job.id)
    assert (done.state, done.done, done.failed, done.total, done.result) == (JobState.DONE, 2, 1, 3, {"documents": 2})
    assert (done.lease_owner, done.lease_until) == (None, None)
    assert store.jobs.lease("w1", seconds=30) is None


def test_oldest_first_and_only_of_the_kinds_asked_for(store: Store) -> None:
    first, second = store.jobs.enqueue("a", {}), store.jobs.enqueue("b", {})
    assert store.jobs.lease("w", seconds=30, kinds=["c"]) is None
    leased = [store.jobs.lease("w", seconds=30, kinds=["b", "a"]) for _ in range(2)]
    assert [job.id for job in leased if job] == [first.id, second.id]


def test_a_lapsed_lease_is_taken_over(store: Store) -> None:
    job = store.jobs.enqueue("a", {})
    assert store.jobs.lease("dead", seconds=0.05) is not None
    time.sleep(0.06)
    taken = store.jobs.lease("alive", seconds=30)
    assert taken is not None
    assert (taken.id, taken.attempts, taken.lease_owner) == (job.id, 2, "alive")
    assert not store.jobs.heartbeat(job.id, "dead", seconds=30)
    assert not store.jobs.progress(job.id, "dead", done=1)
    assert not store.jobs.finish(job.id, "dead")
    assert not store.jobs.fail(job.id, "dead", "x")
    assert store.jobs.heartbeat(job.id, "alive", seconds=30)
    assert store.jobs.get(job.id).done == 0


def test_heartbeat_holds_the_lease(store: Store) -> None:
    job = store.jobs.enqueue("a", {})
    assert store.jobs.lease("w", seconds=0.05)
    assert store.jobs.heartbeat(job.id, "w", seconds=30)
    time.sleep(0.06)
    assert store.jobs.lease("other", seconds=30) is None


def test_cancel_is_told_by_the_heartbeat(store: Store) -> None:
    job = store.jobs.enqueue("a", {})
    store.jobs.lease("w", seconds=30)
    assert store.jobs.cancel(job.id)
    assert not store.jobs.heartbeat(job.id, "w", seconds=30)
    assert not store.jobs.finish(job.id, "w")
    assert store.jobs.get(job.id).state is JobState.CANCELLED
    assert not store.jobs.cancel(job.id)
    waiting = store.jobs.enqueue("a", {})
    assert store.jobs.cancel(waiting.id)
    assert store.jobs.lease("w", seconds=30) is None


def test_a_job_that_kills_its_workers_fails_loudly(store: Store) -> None:
    job = store.jobs.enqueue("a", {}, max_attempts=3)
    for attempt in range(1, 4):
        leased = store.jobs.lease("w", seconds=-1)
        assert leased is not None
        assert leased.attempts == attempt
    assert store.jobs.lease("w", seconds=30) is None
    failed = store.jobs.get(job.id)
    assert failed.state is JobState.FAILED
    assert failed.message.startswith("Gave up: started 3 times without progress.")


def test_progress_renews_the_attempts(store: Store) -> None:
    job = store.jobs.enqueue("a", {}, max_attempts=2)
    for done in range(1, 8):
        leased = store.jobs.lease("w", seconds=-1)
        assert leased is not None
        assert store.jobs.progress(job.id, "w", done=done)
    assert store.jobs.get(job.id).attempts == 1
    assert store.jobs.progress(job.id, "w", message="still here")
    assert store.jobs.get(job.id).done == 7


def test_release_gives_jobs_back_at_once(store: Store) -> None:
    store.jobs.enqueue("a", {})
    store.jobs.enqueue("a", {})
    store.jobs.lease("gone", seconds=3600)
    store.jobs.lease("here", seconds=3600)
    assert store.jobs.release(owner="gone") == 1
    taken = store.jobs.lease("new", seconds=30)
    assert taken is not None
    assert taken.attempts == 2
    assert store.jobs.release() == 2


def test_items_are_replaced_and_listed(store: Store) -> None:
    job = store.jobs.enqueue("a", {})
    items = [JobItem(job=job.id, key=f"{n}.md", state=JobState.DONE) for n in range(5)]
    store.jobs.put_items(items)
    bad = JobItem(job=job.id, key="2.md", state=JobState.FAILED, message="It is encrypted.")
    store.jobs.put_items([bad])
    store.jobs.put_items([])
    assert store.jobs.items(job.id) == [*items[:2], bad, *items[3:]]
    assert store.jobs.items(job.id, state=JobState.FAILED) == [bad]
    assert store.jobs.items(job.id, after="2.md", limit=1) == [items[3]]


def test_jobs_are_listed_newest_first(store: Store) -> None:
    jobs = [store.jobs.enqueue("ab"[n % 2], {}) for n in range(4)]
    ids = [job.id for job in jobs]
    assert sorted(job.id for job in store.jobs.list()) == sorted(ids)
    assert {job.kind for job in store.jobs.list(kind="a")} == {"a"}
    store.jobs.cancel(ids[0])
    assert [job.id for job in store.jobs.list(states=[JobState.CANCELLED])] == [ids[0]]
    newest = store.jobs.list(limit=2)
    rest = store.jobs.list(before=newest[-1].id)
    assert len({job.id for job in [*newest, *rest]}) == 4
    with pytest.raises(NotFoundError):
        store.jobs.get("job_none")


def test_many_workers_never_get_the_same_job(open_store: Callable[[], Store]) -> None:
    stores = [open_store() for _ in range(4)]
    for _ in range(24):
        stores[0].jobs.enqueue("a", {})

    def drain(number: int) -> list[str]:
        mine = []
        while job := stores[number].jobs.lease(f"w{number}", seconds=60):
            mine.append(job.id)
            assert stores[number].jobs.finish(job.id, f"w{number}")
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = [job for jobs in pool.map(drain, range(4)) for job in jobs]
    assert len(taken) == len(set(taken)) == 24
