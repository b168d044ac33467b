"""What belongs to another, or is closed, answers byte for byte as what was never there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from athanor.gateway import App
from athanor.governance import may
from athanor.server.rules import RULES
from athanor.types import Principal, RoleName, Scopes
from athanor.worker import Runner
from tests.server.ruled import PARAMETER, House, asked, opened

pytestmark = pytest.mark.anyio

NAMED = [route for route, rule in RULES.items() if PARAMETER.search(route) and not rule.session]
# What is not hidden: whoever has a key sees these names, as `/v1/models` and `/api/routes` list them; and MCP, whose
# bases are those of `{base}`.
LISTED = {"model"}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What ada has made, by the name that paths call it."""

    house: House
    ids: Mapping[str, str]
    document: str
    stored_file: str
    store_batch: str


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as house:
        yield await _made(house)


async def _made(house: House) -> World:
    ada, root = house.key(RoleName.DEVELOPER, name="ada"), house.key(RoleName.ADMIN, name="root")
    client, app = house.client, house.app

    async def post(path: str, body: object = None, who: Mapping[str, str] = ada) -> dict[str, str]:
        reply = await client.post(path, json=body, headers=who)
        assert reply.status_code == 200, (path, reply.text)
        made: dict[str, str] = reply.json()
        return made

    async def upload(name: str, text: bytes) -> str:
        return str((await client.post("/v1/files", files={"file": (name, text)}, headers=ada)).json()["id"])

    file = await upload("pay.md", b"# Pay\n\nThe porter is paid 900 thalers a year.\n")
    store = (await post("/v1/vector_stores", {"name": "wages"}))["id"]
    batch = (await post(f"/v1/vector_stores/{store}/file_batches", {"file_ids": [file]}))["id"]
    while await Runner(app.store, app.handlers).run_once():
        pass
    [document] = (await client.get(f"/api/knowledge/{store}/documents", headers=ada)).json()["data"]
    group = (await post("/api/groups", {"name": "payroll"}, root))["id"]
    await post("/api/groups/payroll/members", {"principal": "ada"}, root)
    await post(f"/api/knowledge/{store}/access", {"what": "*", "groups": ["payroll"]}, root)
    lines = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "echo"}}
    work = await upload("work.jsonl", orjson.dumps(lines))
    order = {"input_file_id": work, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    told = await client.post("/v1/responses", json={"model": "echo", "input": "x"}, headers=ada)
    ids = {
        "base": store,
        "store": store,
        "document": document["id"],
        "file": file,
        "batch": (await post("/v1/batches", order))["id"],
        "response": told.json()["id"],
        "trace": told.headers["x-athanor-trace"],
        "job": app.store.jobs.list()[-1].id,
        "key": app.keys.list()[0][0].id,
        "team": (await post("/api/teams", {"name": "north"}, root))["id"],
        "group": group,
        "member": "ada",
        "name": "ada",
        "user": "ada",
        "session": _session(app),
        "question": "qu_1",
        "evaluation": "ev_1",
    }
    return World(house=house, ids=ids, document=document["id"], stored_file=file, store_batch=batch)


def _session(app: App) -> str:
    """The id of a session of ada's."""
    ada = app.store.principals.get("ada")
    app.users.create("ada", RoleName.DEVELOPER, None)
    app.links.exchange(app.links.create(ada).reveal())
    return app.sessions.list(by=ada)[0].id


def _missing(ids: Mapping[str, str]) -> dict[str, str]:
    """Ids as long as the real ones, of nothing."""
    return {name: id_[:4] + "".join("0" if c.isalnum() else c for c in id_[4:]) for name, id_ in ids.items()}


async def _told(world: World, route: str, who: Mapping[str, str], ids: Mapping[str, str]) -> tuple[int, bytes, str]:
    """Status, body and headers, with a mark in place of the ids that were named."""
    reply = await world.house.ask(route, who, ids)
    body, path = reply.content, asked(route, ids)[1]
    for value in sorted(ids.values(), key=len, reverse=True):
        if value in path:
            body = body.replace(value.encode(), b"*" * len(value))
    return reply.status_code, body, str(sorted(reply.headers.items()))


@pytest.mark.parametrize("role", [RoleName.DEVELOPER, RoleName.USER])
async def test_what_is_another_principals_is_not_there(world: World, role: RoleName) -> None:
    """Bob's key is for another base, so that ada's is closed to him as a whole."""
    scopes = Scopes(knowledge=("other",))
    bob = world.house.key(role, name=f"bob {role}", scopes=scopes)
    who = Principal(id="pr", name="bob", role=role, created_at=0)
    missing, differ, found = _missing(world.ids), {}, set()
    for route in NAMED:
        if set(PARAMETER.findall(route)) & LISTED:
            continue
        ids = dict(world.ids)
        if "file_batches" in route:
            ids["batch"] = world.store_batch
        missing = _missing(ids)
        theirs, nothing = await _told(world, route, bob, ids), await _told(world, route, bob, missing)
        if theirs != nothing:
            differ[route] = (theirs, nothing)
        right = RULES[route].right
        if right is not None and not may(who, right):
            assert theirs[0] == 403, route
        else:
            found.add(theirs[0])
    assert differ == {}
    assert found == {404}


async def test_what_is_closed_inside_a_base_is_not_there_either(world: World) -> None:
    """Bob may see the base, and none of its documents."""
    bob = world.house.key(RoleName.DEVELOPER, name="bob")
    for route in NAMED:
        named = set(PARAMETER.findall(route))
        if not named & {"document", "file", "job", "batch", "question", "evaluation"}:
            continue
        if RULES[route].right is not None and not may(
            Principal(id="p", name="b", role=RoleName.DEVELOPER, created_at=0), RULES[route].right
        ):
            continue
        ids = dict(world.ids)
        if "file_batches" in route:
            ids["batch"] = world.store_batch
        missing = _missing(ids) | {"store": ids["store"], "base": ids["base"]}
        theirs, nothing = await _told(world, route, bob, ids), await _told(world, route, bob, missing)
        assert theirs == nothing, route
        assert theirs[0] == 404, route


async def test_ids_in_bodies_are_hidden_as_those_in_paths(world: World) -> None:
    bob = world.house.key(RoleName.DEVELOPER, name="bob")
    batch = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
    picture = {"type": "file", "file": {"file_id": "ID"}}
    asks: list[tuple[str, dict[str, object], str]] = [
        ("/api/feedback", {"trace": "ID", "rating": 1}, "trace"),
        ("/v1/batches", {**batch, "input_file_id": "ID"}, "file"),
        ("/v1/responses", {"model": "echo", "input": "x", "previous_response_id": "ID"}, "response"),
        ("/v1/vector_stores", {"name": "mine", "file_ids": ["ID"]}, "file"),
        ("/v1/chat/completions", {"model": "echo", "messages": [{"role": "user", "content": [picture]}]}, "file"),
    ]
    missing = _missing(world.ids)
    for path, body, kind in asks:
        heard = []
        for id_ in (world.ids[kind], missing[kind]):
            sent = orjson.loads(orjson.dumps(body).replace(b"ID", id_.encode()))
            reply = await world.house.client.post(path, json=sent, headers=bob)
            heard.append((reply.status_code, reply.content.replace(id_.encode(), b"*")))
        assert heard[0] == heard[1], path
        assert heard[0][0] == 404, (path, heard)


async def test_ada_herself_finds_what_is_hidden_from_bob(world: World) -> None:
    """So that the tests above hide something."""
    _, secret = world.house.app.keys.create("ada", RoleName.DEVELOPER, key_name="second")
    ada = {"authorization": f"Bearer {secret.reveal()}"}
    for route in NAMED:
        rule = RULES[route]
        if route.startswith("GET ") and rule.right is None and "{name" not in route and "{model" not in route:
            ids = dict(world.ids)
            if "file_batches" in route:
                ids["batch"] = world.store_batch
            assert (await world.house.ask(route, ada, ids)).status_code == 200, route
