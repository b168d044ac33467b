"""`athanor kb eval`, `versions` and `rollback`, against a server inside the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from athanor.types import DEFAULT_RETRIEVAL, RoleName
from athanor.worker import Runner
from tests.cli.test_keys import Shell
from tests.server.inside import inside
from tests.server.test_tuning import ingested

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    """A base `docs` of six documents with a version 1 of its settings, and a worker."""
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        base = server.app.store.knowledge.get("docs")
        server.app.store.versions.add(base.id, replace(DEFAULT_RETRIEVAL, dense_weight=0.0), note="words alone")
        _, headers = server.key("root", RoleName.ADMIN)
        worker = asyncio.create_task(Runner(server.app.store, server.app.handlers).run_forever())
        yield Shell(server.url, headers["authorization"].removeprefix("Bearer "))
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "own.csv"
    path.write_text(
        "question,relevant,answer,unanswerable\nWho built the ferry?,ferry0,masons,\n"
        "When was castle 1 built?,castle1.md,1701,\nWhat is a zeppelin?,,,yes\nWhere?,station.md,,\n"
    )
    return str(path)


async def test_a_file_is_measured_and_another_version_is_measured_beside_it(shell: Shell, file: str) -> None:
    told = await shell.run("kb", "eval", "docs", file, "--answers")
    assert told.exit_code == 0, (told.output, told.exception)
    assert "ndcg@10" in told.stdout
    assert "right abstention" in told.stdout
    assert "DIFFERENCE" not in told.stdout, "there is nothing to compare with yet"
    assert "station.md" in told.stderr
    beside = await shell.run("kb", "eval", "docs", file, "--against", "1")
    assert beside.exit_code == 0, (beside.output, beside.exception)
    assert "DIFFERENCE" in beside.stdout
    assert "(version 1," in beside.stderr
    result = await shell.read("kb", "eval", "docs", file, "--limit", "2", "--version", "1")
    assert (result["questions"], result["version"]) == (2, 1)
    assert result["compared"]["before"]["version"] == 0
    assert (result["compared"]["shared"], result["compared"]["only_before"]) == (2, 2)


async def test_a_beir_folder_and_the_questions_of_the_base_are_measured(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "set/qrels").mkdir(parents=True)
    (tmp_path / "set/queries.jsonl").write_text('{"_id": "7", "text": "castle"}\n{"_id": "8", "text": "x"}\n')
    (tmp_path / "set/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n7\tcastle1\t1\n")
    told = await shell.run("kb", "eval", "docs", str(tmp_path / "set"))
    assert told.exit_code == 0, (told.output, told.exception)
    assert "1 queries have no judgement" in told.stderr
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"text": "Who built the ferry?", "relevant": ["ferry0.md"]}) + "\n")
    assert (await shell.run("kb", "questions", "docs", "--add", str(own))).exit_code == 0
    result = await shell.read("kb", "eval", "docs")
    assert result["figures"]["recall@10"]["value"] == 1


async def test_versions_are_listed_and_gone_back_to(shell: Shell, file: str) -> None:
    await shell.run("kb", "eval", "docs", file, "--version", "1")
    back = await shell.run("kb", "rollback", "docs", "1")
    assert "before it was 0" in back.stderr
    listed = await shell.run("kb", "versions", "docs")
    assert "dense_weight 0.0" in listed.stdout
    assert "words alone" in listed.stdout
    assert "own.csv" in listed.stdout, "how it did"
    rows = await shell.read("kb", "versions", "docs")
    assert [(row["version"], row["in_use"]) for row in rows] == [(1, True), (0, False)]
    assert "already" in (await shell.run("kb", "rollback", "docs", "1")).stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("eval", "docs"), "no questions"),
        (("eval", "docs", "nil.csv"), "does not exist"),
        (("eval", "nil", "{file}"), "nil"),
        (("eval", "docs", "{file}", "--against", "0"), "the one that is measured"),
        (("eval", "docs", "{file}", "--against", "eval_nil"), "eval_nil"),
        (("eval", "docs", "{file}", "--against", "5"), "no version 5"),
        (("rollback", "docs", "9"), "no version 9"),
    ],
)
async def test_what_cannot_be_done_is_said(shell: Shell, file: str, command: tuple[str, ...], words: str) -> None:
    result = await shell.run("kb", *(part.replace("{file}", file) for part in command))
    assert result.exit_code != 0
    assert words in f"{result.output}{result.exception}"
