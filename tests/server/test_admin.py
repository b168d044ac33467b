"""Keys, teams and limits through the API: who may, what changes, and what nobody is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from athanor.types import SYSTEM_READER, Limits, RoleName, Scopes
from athanor.worker import Runner
from tests.server.inside import inside

pytestmark = pytest.mark.anyio

KEY, TEAM, PERSON = "<key>", "<team>", "<person>"
# Method, path, body → the roles that may. To read takes `operate`, to change `administer`.
READERS = {RoleName.ADMIN, RoleName.OPERATOR, RoleName.AUDITOR}
ADMINS = {RoleName.ADMIN}
ROUTES: list[tuple[str, str, Any, set[RoleName]]] = [
    ("GET", "/api/keys", None, READERS),
    ("GET", f"/api/keys/{KEY}", None, READERS),
    ("GET", "/api/teams", None, READERS),
    ("GET", "/api/principals", None, READERS),
    ("GET", "/api/spending", None, READERS),
    ("POST", "/api/keys", {"name": "more"}, ADMINS),
    ("PATCH", f"/api/keys/{KEY}", {"name": "other"}, ADMINS),
    ("POST", f"/api/keys/{KEY}/rotate", {}, ADMINS),
    ("DELETE", f"/api/keys/{KEY}", None, ADMINS),
    ("POST", "/api/teams", {"name": "more"}, ADMINS),
    ("PATCH", f"/api/teams/{TEAM}", {"limits": {"concurrency": 1}}, ADMINS),
    ("PATCH", f"/api/principals/{PERSON}", {"team": None}, ADMINS),
    ("DELETE", f"/api/teams/{TEAM}", None, ADMINS),
]


async def test_the_roles_matrix(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        for role in RoleName:
            _, headers = server.key(f"a {role}", role)
            key, _ = server.key(f"subject of {role}")
            team = server.app.store.teams.create(f"team of {role}")
            names = {KEY: key.id, TEAM: team.id, PERSON: key.principal}
            for method, path, body, able in ROUTES:
                for mark, value in names.items():
                    path = path.replace(mark, value)  # noqa: PLW2901
                if body and body.get("name") == "more":
                    body = {"name": f"more of {role}"}  # noqa: PLW2901
                status, reply, _ = await server.call(method, path, headers, body)
                if role in able:
                    assert status == 200, (role, method, path, reply)
                else:
                    assert (status, reply["error"]["code"]) == (403, "permission_denied"), (role, method, path)


async def test_the_life_of_a_key(tmp_path: Path) -> None:
    async with inside(tmp_path, price={"completion": 2500.0}) as server:
        _, admin = server.key("root", RoleName.ADMIN)
        await server.call("POST", "/api/teams", admin, {"name": "blue", "limits": {"usd_per_day": 9}})
        body = {
            "name": "app",
            "role": "developer",
            "key_name": "laptop",
            "team": "blue",
            "days": 2,
            "record_content": True,
            "scopes": {"models": ["pri*"], "doors": ["chat.completions"]},
            "limits": {"requests_per_minute": 9, "usd_per_day": 0.5},
        }
        status, made, _ = await server.call("POST", "/api/keys", admin, body)
        assert status == 200
        headers = {"authorization": f"Bearer {made.pop('secret')}"}
        assert (await server.chat(headers, "one two three four", max_tokens=4))[0] == 200
        _, listed, _ = await server.call("GET", "/api/keys", admin)
        (entry,) = [key for key in listed["data"] if key["id"] == made["id"]]
        assert entry["spent"].pop("tokens_last_minute") == 8
        assert entry["spent"] == {
            "usd_today": pytest.approx(0.01),
            "usd_this_month": pytest.approx(0.01),
            "usd_held": 0,
            "running": 0,
            "requests_last_minute": 1,
        }
        assert {name: entry[name] for name in ("name", "principal", "role", "team", "state", "record_content")} == {
            "name": "laptop",
            "principal": "app",
            "role": "developer",
            "team": "blue",
            "state": "active",
            "record_content": True,
        }
        assert entry["scopes"] == {"models": ["pri*"], "knowledge": None, "doors": ["chat.completions"]}
        assert entry["limits"] == {
            "requests_per_minute": 9,
            "tokens_per_minute": None,
            "concurrency": None,
            "usd_per_day": 0.5,
            "usd_per_month": None,
        }
        assert entry["expires_at"] == pytest.approx(time.time() + 2 * 86400, abs=60)
        assert headers["authorization"].removeprefix("Bearer ") not in str(listed)

        await server.call("DELETE", f"/api/keys/{made['id']}", admin)
        assert (await server.chat(headers))[0] == 401
        _, gone, _ = await server.call("GET", f"/api/keys/{made['id']}", admin)
        assert gone["state"] == "revoked"
        assert (await server.call("GET", "/api/keys/key_none", admin))[0] == 404


async def test_a_changed_limit_acts_on_the_next_request(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        _, admin = server.key("root", RoleName.ADMIN)
        await server.call("POST", "/api/teams", admin, {"name": "blue"})
        key, headers = server.key(team="blue", limits=Limits(requests_per_minute=5))

        async def asked() -> int:
            return (await server.chat(headers))[0]

        assert await asked() == 200
        _, reply, _ = await server.call("PATCH", f"/api/keys/{key.id}", admin, {"limits": {"concurrency": 0}})
        assert (reply["limits"]["requests_per_minute"], reply["limits"]["concurrency"]) == (5, 0)
        assert await asked() == 429
        await server.call("PATCH", f"/api/keys/{key.id}", admin, {"limits": {"concurrency": None}})
        assert await asked() == 200
        await server.call("PATCH", "/api/teams/blue", admin, {"limits": {"requests_per_minute": 1}})
        assert await asked() == 429
        await server.call("PATCH", "/api/principals/caller", admin, {"team": None})
        assert await asked() == 200
        await server.call("PATCH", f"/api/keys/{key.id}", admin, {"scopes": {"models": ["other"]}})
        assert await asked() == 403
        await server.call("PATCH", f"/api/keys/{key.id}", admin, {"scopes": {"models": None}, "days": 1e-9})
        await asyncio.sleep(0.001)
        assert await asked() == 401
        # Refused before it was let in, and all the same on the books; a key that has expired is nobody's.
        statuses = sorted(row.status for row in server.app.store.requests.list(key=key.id))
        assert statuses == sorted(["ok"] * 3 + ["rate_limited"] * 2 + ["permission_denied"])


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/api/keys", {"name": ""}, "name"),
        ("/api/keys", {"name": "x", "limits": {"requests_per_minute": -1}}, "limits.requests_per_minute"),
        ("/api/keys", {"name": "x", "limits": {"usd_per_day": "inf"}}, "limits.usd_per_day"),
        ("/api/keys", {"name": "x", "limits": {"rpm": 1}}, "limits.rpm"),
        ("/api/keys", {"name": "x", "scopes": {"doors": ["chat.completion"]}}, "scopes.doors"),
        ("/api/keys", {"name": "x", "role": "king"}, "role"),
        ("/api/keys", {"name": "x", "days": 0}, "days"),
        ("/api/teams", {"name": "x", "limits": {"concurrency": 1.5}}, "limits.concurrency"),
    ],
)
async def test_what_is_wrong_is_named(tmp_path: Path, path: str, body: Any, where: str) -> None:
    async with inside(tmp_path) as server:
        _, admin = server.key("root", RoleName.ADMIN)
        status, reply, _ = await server.call("POST", path, admin, body)
        assert (status, reply["error"]["param"]) == (400, where)
        assert server.app.store.principals.find("x") is None


async def test_spending_names_everybody(tmp_path: Path) -> None:
    async with inside(tmp_path, price={"completion": 2500.0}, limits=Limits(usd_per_month=7.0)) as server:
        _, auditor = server.key("eve", RoleName.AUDITOR)
        server.app.store.teams.create("blue", Limits(usd_per_day=2.0))
        _, headers = server.key("app", team="blue")
        await server.chat(headers, "one two three four")
        _, reply, _ = await server.call("GET", "/api/spending", auditor)
        rows = {(row["kind"], row["name"]): row for row in reply["data"]}
        assert set(rows) == {("system", "system"), ("team", "blue"), ("key", "local"), ("key", "eve"), ("key", "app")}
        for who in (("system", "system"), ("team", "blue"), ("key", "app")):
            assert rows[who]["usd_today"] == pytest.approx(0.01)
        assert rows["key", "eve"]["usd_today"] == 0
        assert rows["system", "system"]["limits"]["usd_per_month"] == 7.0
        assert rows["team", "blue"]["limits"]["usd_per_day"] == 2.0


async def test_a_key_opens_its_models_and_doors_and_nothing_else(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        _, headers = server.key("root", RoleName.ADMIN, scopes=Scopes(models=("priced",), doors=("chat.completions",)))
        assert (await server.chat(headers))[0] == 200
        status, reply, _ = await server.call("POST", "/v1/embeddings", headers, {"model": "default", "input": "x"})
        assert status == 403, reply
        for method, path in (("GET", "/api/keys"), ("GET", "/v1/files"), ("GET", "/v1/vector_stores")):
            status, reply, _ = await server.call(method, path, headers)
            assert (status, reply["error"]["code"]) == (403, "permission_denied"), path
        async with server.http.get(f"{server.url}/metrics", headers=headers) as metrics:
            assert metrics.status == 403
        _, models, _ = await server.call("GET", "/v1/models", headers)
        assert [model["id"] for model in models["data"]] == ["priced"]
        _, other = server.key(scopes=Scopes(models=("else*",)))
        status, reply, _ = await server.chat(other)
        assert (status, reply["error"]["code"]) == (403, "permission_denied")


async def test_knowledge_that_a_key_is_not_for_does_not_exist(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.md").write_text("# Gate\n\nThe gate of the mill opens at seven in the morning.\n")
    async with inside(tmp_path / "home") as server:
        base = await server.app.knowledge.ensure("secret")
        await server.app.knowledge.ensure("open")
        await server.app.ingestion.enqueue_folder(base, folder)
        assert await Runner(server.app.store, server.app.handlers).run_once()
        (document,) = await server.app.knowledge.documents(base, reader=SYSTEM_READER)
        _, reader = server.key("reader", RoleName.ADMIN, scopes=Scopes(knowledge=("open",)))
        _, all_ = server.key("all", RoleName.ADMIN)

        async def same(method: str, real: str, unreal: str, body: Any = None, other: Any = None) -> None:
            """What is there and hidden is answered like what is not there."""
            assert (await server.call(method, real, all_, body))[0] == 200, real
            hidden = await server.call(method, real, reader, body)
            missing = await server.call(method, unreal, reader, other or body)
            assert hidden[0] == missing[0] == 404, (real, hidden[1])
            assert told(hidden) == told(missing)

        def told(reply: tuple[int, dict[str, Any], Mapping[str, str]]) -> str:
            text = str(reply[1])
            for name in (base.id, document.id, "kb_nosuch", "doc_nosuch", "secret", "nosuch"):
                text = text.replace(name, "NAME")
            return text

        question = {"messages": [{"role": "user", "content": "When does the gate open?"}]}
        asked = [
            await server.call("POST", "/v1/chat/completions", reader, {"model": name, **question})
            for name in ("secret", "nosuch")
        ]
        assert [reply[0] for reply in asked] == [404, 404]
        assert told(asked[0]) == told(asked[1])
        for path in ("documents", "search?query=gate", "suggestions"):
            await same("GET", f"/api/knowledge/secret/{path}", f"/api/knowledge/nosuch/{path}")
        await same("GET", f"/api/knowledge/{base.id}/documents", "/api/knowledge/kb_nosuch/documents")
        await same("GET", f"/api/documents/{document.id}", "/api/documents/doc_nosuch")
        await same("GET", f"/api/documents/{document.id}/text", "/api/documents/doc_nosuch/text")
        await same("GET", "/v1/vector_stores/secret", "/v1/vector_stores/nosuch")
        await same("GET", "/v1/vector_stores/secret/files", "/v1/vector_stores/nosuch/files")
        await same("POST", "/v1/vector_stores/secret/search", "/v1/vector_stores/nosuch/search", {"query": "gate"})
        for path in ("/v1/models", "/v1/vector_stores", "/api/knowledge"):
            _, listed, _ = await server.call("GET", path, reader)
            names = {entry.get("name") or entry["id"] for entry in listed["data"]}
            assert "open" in names, path
            assert "secret" not in names, path
        for name in ("secret", "nosuch"):
            status, reply, _ = await server.call("POST", "/v1/vector_stores", reader, {"name": name})
            assert (status, reply["error"]["code"]) == (403, "permission_denied")
        assert (await server.call("DELETE", "/v1/vector_stores/secret", reader))[0] == 404
        assert (await server.call("GET", "/v1/vector_stores/secret", all_))[0] == 200


async def test_an_expired_key_opens_nothing(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        _, late = server.key(expires_at=time.time() - 1)
        assert (await server.chat(late))[0] == 401
        assert (await server.call("GET", "/v1/models", late))[0] == 401


async def test_the_command_line_goes_on_when_its_own_key_is_rotated(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        file = server.app.settings.home / "local.key"
        before = file.read_text()
        headers = {"authorization": f"Bearer {before}"}
        _, key = server.app.keys.identify(before)
        other, _ = server.key("other")
        await server.call("POST", f"/api/keys/{other.id}/rotate", headers, {})
        assert file.read_text() == before
        _, made, _ = await server.call("POST", f"/api/keys/{key.id}/rotate", headers, {"grace_hours": 0})
        assert file.read_text() == made["secret"] != before
        assert file.stat().st_mode & 0o077 == 0
        assert (await server.call("GET", "/api/keys", headers))[0] == 401
        assert (await server.call("GET", "/api/keys", {"authorization": f"Bearer {file.read_text()}"}))[0] == 200


async def test_rotation_through_the_api(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        _, admin = server.key("root", RoleName.ADMIN)
        key, first = server.key(limits=Limits(requests_per_minute=3))
        assert (await server.chat(first))[0] == 200
        _, made, _ = await server.call("POST", f"/api/keys/{key.id}/rotate", admin, {"grace_hours": 1})
        second = {"authorization": f"Bearer {made['secret']}"}
        assert (made["replaces"], made["state"], made["limits"]["requests_per_minute"]) == (key.id, "active", 3)
        assert made["old_ends_at"] == pytest.approx(time.time() + 3600, abs=60)
        assert [(await server.chat(headers))[0] for headers in (first, second, second)] == [200, 200, 429]
        _, old, _ = await server.call("GET", f"/api/keys/{key.id}", admin)
        assert (old["state"], old["replaced_by"]) == ("replaced", made["id"])
        status, reply, _ = await server.call("POST", f"/api/keys/{key.id}/rotate", admin, {})
        assert (status, reply["error"]["code"]) == (409, "conflict")


async def test_a_limited_key_opens_no_session_without_its_limits(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        for key in (server.key("a", limits=Limits(usd_per_day=1)), server.key("b", scopes=Scopes(models=("echo",)))):
            status, reply, _ = await server.call("POST", "/api/links", key[1], {})
            assert (status, reply["error"]["code"]) == (403, "permission_denied")
        _, free = server.key("c")
        assert (await server.call("POST", "/api/links", free, {}))[0] == 200


async def test_the_cache_tells_what_it_does_to_operators_only(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        _, admin = server.key("root", RoleName.ADMIN)
        _, user = server.key("user")
        assert (await server.call("GET", "/api/cache", admin))[1] == {"data": []}
        assert (await server.call("GET", "/api/cache", user))[0] == 403
