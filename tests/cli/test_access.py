"""`athanor groups` and `athanor kb permit`, `who`, `rules`, `erase`, against a server inside the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from athanor.types import RoleName
from athanor.worker import Runner
from tests.cli.test_keys import Shell
from tests.server.inside import inside

pytestmark = pytest.mark.anyio


async def test_groups_are_made_filled_cleared_and_deleted(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        _, headers = server.key("root", RoleName.ADMIN)
        server.key("ada")
        shell = Shell(server.url, headers["authorization"].removeprefix("Bearer "))
        made = await shell.read("groups", "create", "hr", "--label", "pay")
        assert (made["name"], made["labels"]) == ("hr", ["pay"])
        assert [one["name"] for one in (await shell.read("groups", "add", "hr", "ada"))["members"]] == ["ada"]
        listed = await shell.run("groups", "list")
        assert listed.exit_code == 0
        for word in ("hr", "ada", "pay"):
            assert word in listed.output
        assert (await shell.read("groups", "clear", "hr", "pay", "board"))["labels"] == ["board", "pay"]
        assert (await shell.read("groups", "clear", "hr"))["labels"] == []
        assert "not in hr" in (await shell.run("groups", "remove", "hr", "ada")).output
        assert (await shell.read("groups", "list"))[0]["members"] == []
        assert "Deleted hr" in (await shell.run("groups", "delete", "hr")).output
        assert await shell.read("groups", "list") == []
        missing = await shell.run("groups", "add", "hr", "ada")
        assert missing.exit_code != 0
        assert "hr" in str(missing.exception)


async def test_documents_are_closed_explained_opened_and_erased(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "hr").mkdir(parents=True)
    (folder / "hr" / "pay.md").write_text("# Pay\n\nThe salary of the porter is 900 thalers a year.\n")
    (folder / "plan.md").write_text("# Plan\n\nThe porter opens the gate at seven.\n")
    async with inside(tmp_path / "home") as server:
        app = server.app
        await app.ingestion.enqueue_folder(await app.knowledge.ensure("docs"), folder)
        assert await Runner(app.store, app.handlers).run_once()
        _, headers = server.key("root", RoleName.ADMIN)
        _, ada = server.key("ada")
        shell = Shell(server.url, headers["authorization"].removeprefix("Bearer "))

        async def seen() -> list[str]:
            _, reply, _ = await server.call("GET", "/api/knowledge/docs/documents", ada)
            return [one["source"] for one in reply["data"]]

        assert "everybody may read" in (await shell.run("kb", "rules", "docs")).output
        await shell.run("groups", "create", "hr")
        assert (await shell.read("kb", "permit", "docs", "hr/*", "--group", "hr"))["changed"] == 1
        assert await seen() == ["plan.md"]
        (rule,) = await shell.read("kb", "rules", "docs")
        assert rule["pattern"] == "hr/*"
        await shell.run("groups", "add", "hr", "ada")
        assert await seen() == ["hr/pay.md", "plan.md"]
        told = await shell.run("kb", "who", "docs", "hr/pay.md")
        assert "ada" in told.output
        assert "group hr" in told.output
        assert "1 documents opened" in (await shell.run("kb", "permit", "docs", "hr/*", "--open")).output

        # Two answers to one question are no answer.
        for wrong in (["--open", "--group", "hr"], [], ["--open", "--nobody"]):
            assert (await shell.run("kb", "permit", "docs", "hr/*", *wrong)).exit_code == 2

        assert (await shell.run("kb", "erase", "docs", "hr/pay.md")).exit_code != 0, "it asks first"
        assert "hr/pay.md" in await seen()
        receipt = await shell.read("kb", "erase", "docs", "hr/pay.md", "--yes")
        assert receipt["complete"], receipt["checks"]
        assert await seen() == ["plan.md"]
        assert (await shell.run("kb", "erase", "docs", "hr/pay.md", "--yes")).exit_code != 0
