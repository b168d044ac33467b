from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio
import pytest

from athanor.errors import ConfigError
from athanor.store import Store
from athanor.types import Job, JobState
from athanor.worker import Runner

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path / 'a.db'}", blobs=tmp_path / "blobs")
    yield opened
    opened.close()


async def test_a_job_is_done_once_with_its_result(store: Store) -> None:
    seen: list[str] = []

    async def work(job: Job) -> Mapping[str, object]:
        seen.append(job.id)
        return {"answer": job.arguments["question"]}

    job = store.jobs.enqueue("think", {"question": 42})
    runner = Runner(store, {"think": work})
    assert await runner.run_once()
    assert not await runner.run_once()
    assert seen == [job.id]
    assert store.jobs.get(job.id).state is JobState.DONE
    assert store.jobs.get(job.id).result == {"answer": 42}


async def test_jobs_of_other_kinds_are_left_alone(store: Store) -> None:
    job = store.jobs.enqueue("paint", {})
    assert not await Runner(store, {"think": never}).run_once()
    assert store.jobs.get(job.id).state is JobState.QUEUED


async def test_a_known_error_is_the_jobs_message(store: Store) -> None:
    async def work(job: Job) -> Mapping[str, object]:
        raise ConfigError("The tea is cold.", hint="Boil water.")

    job = store.jobs.enqueue("think", {})
    await Runner(store, {"think": work}).run_once()
    found = store.jobs.get(job.id)
    assert found.state is JobState.FAILED
    assert "The tea is cold." in found.message
    assert "Boil water." in found.message


async def test_an_unknown_error_keeps_its_details_to_the_log(store: Store) -> None:
    async def work(job: Job) -> Mapping[str, object]:
        raise RuntimeError("password=hunter2")

    job = store.jobs.enqueue("think", {})
    await Runner(store, {"think": work}).run_once()
    found = store.jobs.get(job.id)
    assert found.state is JobState.FAILED
    assert "hunter2" not in found.message


async def test_a_cancelled_job_stops(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("athanor.worker.runner.LEASE_SECONDS", 0.3)
    stopped = anyio.Event()

    async def work(job: Job) -> Mapping[str, object]:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        raise AssertionError

    job = store.jobs.enqueue("think", {})
    async with anyio.create_task_group() as group:
        group.start_soon(Runner(store, {"think": work}).run_once)
        await anyio.sleep(0.1)
        store.jobs.cancel(job.id)
        with anyio.fail_after(5):
            await stopped.wait()
    assert store.jobs.get(job.id).state is JobState.CANCELLED


async def never(job: Job) -> Mapping[str, object]:
    raise AssertionError
