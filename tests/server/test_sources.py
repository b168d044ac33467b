"""Sources over HTTP and from the command line: who may, what is told, and from registering to an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from athanor.config import load_settings
from athanor.types import RoleName
from athanor.worker import Runner
from tests.data.repositories import repository
from tests.server.inside import Inside, inside

pytestmark = pytest.mark.anyio

SOURCES = "/api/knowledge/docs/sources"


async def run(server: Inside) -> None:
    assert await Runner(server.app.store, server.app.handlers).run_once()


async def listed(server: Inside, key: dict[str, str]) -> list[dict[str, Any]]:
    status, reply, _ = await server.call("GET", SOURCES, key)
    assert status == 200, reply
    return list(reply["data"])


async def test_a_repository_from_registering_to_removing(tmp_path: Path) -> None:
    made = repository(tmp_path / "origin")
    commit = made.commit(plan="# Plan\n\nThe porter opens the gate at seven.\n")
    async with inside(tmp_path / "home") as server:
        _, root = server.key("root", RoleName.ADMIN)
        place = f"git:{made.path}#main"
        status, reply, _ = await server.call("POST", SOURCES, root, {"place": place, "every": 600, "prefix": "wiki"})
        assert (status, reply["origin"], reply["job"]["state"]) == (200, place, "queued")
        (one,) = await listed(server, root)
        assert (one["due_at"], one["synced_at"], one["job"]["id"]) == (None, None, reply["job"]["id"])
        await run(server)
        (one,) = await listed(server, root)
        assert (one["state"], one["documents"], one["prefix"], one["registered_by"]) == (commit, 1, "wiki/", "root")
        assert one["due_at"] >= one["synced_at"] + 600
        _, hits, _ = await server.call("GET", "/api/knowledge/docs/search?query=porter", root)
        assert hits["data"][0]["source"] == "wiki/plan.md"

        _, reply, _ = await server.call("POST", f"{SOURCES}/sync", root, {})
        (job,) = reply["data"]
        _, again, _ = await server.call("POST", f"{SOURCES}/sync", root, {"origin": place})
        assert again["data"][0]["id"] == job["id"]
        await run(server)
        _, job, _ = await server.call("GET", f"/api/jobs/{job['id']}", root)
        assert (job["state"], job["result"]["unchanged"]) == ("done", 1)

        status, reply, _ = await server.call("DELETE", f"{SOURCES}?origin={quote(place, safe='')}", root)
        assert (status, reply["documents_deleted"]) == (200, 1)
        assert await listed(server, root) == []
        assert (await server.call("DELETE", f"{SOURCES}?origin={quote(place, safe='')}", root))[0] == 404


async def test_who_may(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "pay.md").write_text("The porter has 900 thalers a year.")
    async with inside(tmp_path / "home") as server:
        app = server.app
        _, root = server.key("root", RoleName.ADMIN)
        _, ada = server.key("ada", RoleName.DEVELOPER)
        _, eve = server.key("eve", RoleName.USER)
        folder = str(tmp_path / "texts")
        for place in (folder, "/nothing", "git:/nothing", "https://example.org/x"):
            assert (await server.call("POST", SOURCES, ada, {"place": place}))[0] == 403
        # A refusal makes no base.
        assert (await server.call("GET", SOURCES, root))[0] == 404
        assert (await server.call("POST", SOURCES, root, {"place": folder}))[0] == 200
        await run(server)
        assert (await server.call("GET", SOURCES, eve))[0] == 403
        assert [one["origin"] for one in await listed(server, ada)] == [f"folder:{folder}"]
        assert (await server.call("DELETE", f"{SOURCES}?origin=folder:{folder}", ada))[0] == 403
        assert (await server.call("POST", f"{SOURCES}/sync", ada, {}))[0] == 403
        # Where something is closed, paths are not told to whoever does not read everything.
        rule = {"what": "pay.md", "users": ["root"]}
        assert (await server.call("POST", "/api/knowledge/docs/access", root, rule))[0] == 200
        assert await listed(server, ada) == []
        assert len(await listed(server, root)) == 1
        assert (await server.call("POST", f"{SOURCES}/sync", ada, {}))[1]["data"] == []
        actions = [entry.action for entry in app.store.audit.entries(limit=100)]
        assert "source.added" in actions


async def test_hostile_places_are_refused_and_stored_nowhere(tmp_path: Path) -> None:
    places = {
        "https://ada:hunter2@example.org/x": "credentials",
        "https://example.org/x?token=hunter2": "credentials",
        "ext::sh -c x": "no address",
        "http://example.org/x": "not read over http",
        "ssh://-oProxyCommand=x/x": "no address",
        "https://example.org/x#--upload-pack=x": "no name of a branch",
    }
    async with inside(tmp_path / "home") as server:
        _, root = server.key("root", RoleName.ADMIN)
        for place, words in places.items():
            status, reply, _ = await server.call("POST", SOURCES, root, {"place": place})
            assert status == 400
            assert words in reply["error"]["message"]
            assert "hunter2" not in str(reply)
        assert server.app.store.sync_sources.list() == []
        assert "hunter2" not in str(server.app.store.audit.entries(limit=100))


async def test_a_folder_once_is_not_registered_and_a_registered_one_runs_as_itself(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.md").write_text("The porter opens the gate.")
    place = str(tmp_path / "texts")
    async with inside(tmp_path / "home") as server:
        _, root = server.key("root", RoleName.ADMIN)
        _, reply, _ = await server.call("POST", SOURCES, root, {"place": place, "once": True})
        assert reply["registered"] is False
        await run(server)
        assert await listed(server, root) == []
        _, reply, _ = await server.call("POST", SOURCES, root, {"place": place})
        _, other, _ = await server.call("POST", "/api/knowledge/docs/sync", root, {"folder": place})
        assert other["id"] == reply["job"]["id"]
        await run(server)
        (one,) = await listed(server, root)
        assert one["job"]["result"]["unchanged"] == 1


def test_settings_of_git(tmp_path: Path) -> None:
    file = tmp_path / "athanor.toml"
    file.write_text('[git]\nhosts = ["github.com"]\n[git.tokens]\n"github.com" = { env = "TOKEN" }\n')
    settings = load_settings(file, environment={"TOKEN": "hunter2"}).settings
    assert settings.git.hosts == ("github.com",)
    assert "hunter2" not in repr(settings)
