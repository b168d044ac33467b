"""Several processes on one store, and processes that are killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from athanor.store import Store
from athanor.types import JobState
from tests.store.material import base

SCRIPT = Path(__file__).with_name("crashing.py")
KILLS = {"sqlite": 5, "postgresql": 3}


def start(task: str, url: str, blobs: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), task, url, str(blobs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed(task: str, url: str, blobs: Path) -> list[str]:
    """The whole lines that the task printed before it was killed, at a random moment after its first."""
    process = start(task, url, blobs)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(random.uniform(0.0, 0.15))
    process.kill()
    rest = process.stdout.read()
    process.wait()
    process.stdout.close()
    return [line.strip() for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]


def test_a_kill_inside_a_replacement_leaves_no_half(url: str, open_store: Callable[[], Store], tmp_path: Path) -> None:
    store = open_store()
    kb = base(store)
    for _ in range(KILLS[store.database.dialect]):
        acknowledged = int(killed("replace", url, tmp_path / "blobs")[-1])
        # One snapshot: PostgreSQL may still be committing what the killed process had sent.
        with store.read() as conn:
            [doc] = store.knowledge.documents(kb.id, conn=conn)
            chunks = store.chunks.of_document(doc.id, conn=conn)
            matched = store.chunks.search_text(kb.id, ["passage"], limit=1000, conn=conn)
            present = store.chunks.ids(kb.id, conn=conn)
            vectors = sum(len(ids) for ids, _ in store.chunks.vectors(kb.id, conn=conn))
        assert doc.version in {acknowledged, acknowledged + 1}
        turn, _, size = chunks[0].text.split(",")[0].removeprefix("Turn ").split(" ")
        assert [c.text for c in chunks] == [f"Turn {turn} of {size}, passage {n}. " for n in range(int(size))]
        assert {chunk for chunk, _ in matched} == {c.id for c in chunks} == set(present)
        assert vectors == len(chunks)
        assert store.chunks.verify(kb.id) == []
        assert doc.text_sha256 is not None
        assert store.blobs.read(doc.text_sha256).decode() == "".join(c.text for c in chunks)


def test_what_was_acknowledged_survives_a_kill(url: str, open_store: Callable[[], Store], tmp_path: Path) -> None:
    acknowledged = [trace for _ in range(3) for trace in killed("record", url, tmp_path)]
    stored = {record.trace for record in open_store().requests.list(limit=100_000)}
    assert len(acknowledged) >= 3
    assert set(acknowledged) <= stored


def test_processes_and_threads_share_the_work(url: str, open_store: Callable[[], Store], tmp_path: Path) -> None:
    store = open_store()
    jobs = {store.jobs.enqueue("a", {}).id for _ in range(60)}
    processes = [start("work", url, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    taken = [line for output in outputs for line in output.split()]
    assert len(taken) == 60
    assert set(taken) == jobs
    assert {job.state for job in store.jobs.list()} == {JobState.DONE}
    assert store.audit.head()[0] == 60
    assert store.audit.verify() == []


def test_two_processes_create_the_schema_once(empty_url: str, tmp_path: Path) -> None:
    processes = [start("opened", empty_url, tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs == ["open\n", "open\n"]


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_a_writer_waits_for_the_writer_of_another_process(
    url: str, open_store: Callable[[], Store], tmp_path: Path
) -> None:
    store = open_store()
    store.jobs.enqueue("a", {})
    with store.write():
        process = start("work", url, tmp_path)
        time.sleep(1.0)
        assert process.poll() is None
    assert len(process.communicate(timeout=60)[0].split()) == 1
