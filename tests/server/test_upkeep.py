"""Contexts and checks over HTTP: who may, what is metered, what is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from athanor.rag.indexes import Indexes
from athanor.types import RoleName
from tests.rag.test_index_files import SMALL, flip
from tests.server.inside import Inside, inside
from tests.server.test_tuning import PATH, ingested, work

pytestmark = pytest.mark.anyio


async def test_a_model_writes_contexts_on_the_account_of_who_asked(tmp_path: Path) -> None:
    rules = [{"pattern": "its passage", "answer": "It is about the old town of Zanzibar."}]
    async with inside(tmp_path / "home", rules=rules, price={"completion": 1.0}) as server:
        await ingested(server, tmp_path / "texts", 3)
        key, root = server.key("root", RoleName.ADMIN)
        _, ada = server.key("ada", RoleName.DEVELOPER)
        for method in ("POST", "DELETE"):
            assert (await server.call(method, f"{PATH}/contexts", ada, {}))[0] == 403
        assert (await server.call("POST", f"{PATH}/contexts", root, {"model": "nil"}))[0] == 404
        assert (await server.call("POST", f"{PATH}/contexts", root, {"limit": 0}))[0] in {400, 422}
        assert await found(server, root) == []
        _, job, _ = await server.call("POST", f"{PATH}/contexts", root, {"limit": 2})
        await work(server)
        _, ended, _ = await server.call("GET", f"/api/jobs/{job['id']}", root)
        assert (ended["state"], ended["total"], ended["done"]) == ("done", 2, 2), ended["message"]
        rows = server.app.store.requests.list(door="context")
        assert len(rows) == 2
        assert {row.key for row in rows} == {key.id}
        assert sum(row.usage.cost for row in rows) > 0
        assert len(await found(server, root)) == 2
        hits = (await server.call("GET", f"{PATH}/search?query=Zanzibar", root))[1]["data"]
        assert "Zanzibar" not in str(hits), "it is searched, and not shown"
        await server.call("DELETE", f"{PATH}/contexts", root)
        await work(server)
        assert await found(server, root) == []
        assert len(server.app.store.audit.entries(action="contexts.changed")) == 2


async def found(server: Inside, key: str) -> list[str]:
    """Passages that have the word of the contexts."""
    base = server.app.store.knowledge.get("docs").id
    return [chunk for chunk, _ in server.app.store.chunks.search_text(base, ["zanzibar"])]


async def test_a_check_finds_one_flipped_byte_wherever_it_is(tmp_path: Path) -> None:
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        _, ada = server.key("ada", RoleName.DEVELOPER)
        assert (await server.call("GET", f"{PATH}/check", ada))[0] == 403
        assert (await server.call("GET", "/api/knowledge/nil/check", root))[0] == 404
        _, made, _ = await server.call("GET", f"{PATH}/check", root)
        assert made == {
            "base": "docs", "documents": 6, "chunks": 6, "store": [], "files": [], "index": [], "sound": True
        }  # fmt: skip
        store = server.app.store
        document = store.knowledge.documents(store.knowledge.get("docs").id)[0]
        assert document.text_sha256 is not None
        flip(store.blobs.path(document.text_sha256))
        _, made, _ = await server.call("GET", f"{PATH}/check", root)
        assert not made["sound"]
        assert made["files"] == [
            f"A text of version 1 of {document.source!r}: its blob {document.text_sha256} is damaged."
        ]
        store.blobs.path(document.text_sha256).unlink()
        _, made, _ = await server.call("GET", f"{PATH}/check", root)
        assert "is gone" in made["files"][0]


async def test_a_damaged_index_file_is_found_and_made_anew(tmp_path: Path) -> None:
    async with inside(tmp_path / "home") as server:
        await ingested(server, tmp_path / "texts")
        _, root = server.key("root", RoleName.ADMIN)
        store, folder = server.app.store, server.app.settings.home / "vectors"
        for name in ("vectors.f32", "graph.usearch"):
            made = Indexes(store, folder, sizes={**SMALL, "few": 4, "later": 2})
            made.current(store.knowledge.get("docs"))
            made.settle()
            made.close()
            (file,) = folder.rglob(name)
            flip(file)
            _, report, _ = await server.call("GET", f"{PATH}/check", root)
            assert any(name in line for line in report["index"]), report
            assert not report["sound"]
            _, report, _ = await server.call("GET", f"{PATH}/check", root)
            assert report["sound"]


async def test_settings_are_changed_by_hand_as_a_new_version(tmp_path: Path) -> None:
    async with inside(tmp_path / "home") as server:
        await server.app.knowledge.ensure("docs")
        _, root = server.key("root", RoleName.ADMIN)
        _, ada = server.key("ada", RoleName.DEVELOPER)
        assert (await server.call("PATCH", f"{PATH}/settings", ada, {"expand": 400}))[0] == 403
        for wrong in ({"expand": -1}, {"dense_weight": 1.5}, {"colour": 1}, {"hops": 3}):
            assert (await server.call("PATCH", f"{PATH}/settings", root, wrong))[0] in {400, 422}
        _, made, _ = await server.call("PATCH", f"{PATH}/settings", root, {"expand": 400, "per_document": 2})
        assert (made["version"], made["before"]) == (1, 0)
        _, again, _ = await server.call("PATCH", f"{PATH}/settings", root, {"expand": 400})
        assert again["version"] == 1, "nothing changed"
        _, made, _ = await server.call("PATCH", f"{PATH}/settings", root, {"per_document": None})
        base = server.app.store.knowledge.get("docs")
        assert (base.version, base.settings.expand, base.settings.per_document) == (2, 400, None)
