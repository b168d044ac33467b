"""`athanor kb questions` and `athanor kb tune`, against a server inside the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from athanor.types import RoleName
from athanor.worker import Runner
from tests.cli.test_keys import Shell
from tests.server.inside import inside
from tests.server.test_tuning import ingested

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    """A base `docs` of six documents, and a worker."""
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, headers = server.key("root", RoleName.ADMIN)
        worker = asyncio.create_task(Runner(server.app.store, server.app.handlers).run_forever())
        yield Shell(server.url, headers["authorization"].removeprefix("Bearer "))
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def test_questions_from_a_file_are_added_listed_and_deleted(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    rows = [
        {"text": "Who built the ferry?", "relevant": ["ferry0.md"], "answer": "masons"},
        {"text": "Where do trains leave?", "relevant": {"railway3.md": 2, "station.md": 1}},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    added = await shell.run("kb", "questions", "docs", "--add", str(file))
    assert added.exit_code == 0, added.output
    assert "2 questions added" in added.stderr
    assert "station.md" in added.stderr
    listed = await shell.read("kb", "questions", "docs")
    assert {one["text"] for one in listed} == {row["text"] for row in rows}
    gone = await shell.run("kb", "questions", "docs", "--delete", listed[0]["id"])
    assert gone.exit_code == 0, gone.output
    assert len(await shell.read("kb", "questions", "docs", "--list")) == 1
    await shell.run("kb", "questions", "docs", "--delete", "user")
    assert await shell.read("kb", "questions", "docs") == []


async def test_questions_are_made_and_a_tuning_says_what_it_measured(shell: Shell) -> None:
    made = await shell.read("kb", "questions", "docs", "--generate", "5", "--by", "rules")
    assert made["made"] >= 3
    accepted = await shell.run("kb", "questions", "docs", "--from-feedback")
    assert "0 new questions" in accepted.stderr
    told = await shell.run("kb", "tune", "docs", "--budget", "20", "--dry-run")
    assert told.exit_code == 0, told.output
    assert "the defaults" in told.stdout
    assert "stay as they are" in told.stderr
    result = await shell.read("kb", "tune", "docs", "--budget", "20", "--dry-run")
    assert not result["adopted"]
    assert {"table", "before", "winner", "ndcg", "milliseconds", "untried", "reason"} <= set(result)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("questions", "docs", "--list", "--from-feedback"), "One at a time"),
        (("questions", "nil"), "nil"),
        (("tune", "docs"), "no questions"),
        (("questions", "docs", "--delete", "q_nil"), "q_nil"),
    ],
)
async def test_what_cannot_be_done_is_said(shell: Shell, command: tuple[str, ...], words: str) -> None:
    result = await shell.run("kb", *command)
    assert result.exit_code != 0
    assert words in f"{result.output}{result.exception}"
