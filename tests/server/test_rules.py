"""Every route × every role × every kind of key: what the table says is what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import httpx
import pytest

from athanor.governance import Right, may
from athanor.server.enforce import TABLE, check_rules, endpoints
from athanor.server.rules import PROTECTED, RULES
from athanor.types import Principal, RoleName, Scopes
from tests.server.ruled import House, asked, opened

pytestmark = pytest.mark.anyio

GUARDED = [route for route, rule in RULES.items() if not rule.public and not rule.session]
ELSEWHERE = Scopes(doors=("nowhere",))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as made:
        yield made


async def test_every_route_has_a_rule_and_every_rule_a_route(house: House) -> None:
    routes = {f"{method} {path}" for method, path in endpoints(house.http.router.routes)}
    assert len(routes) > 100
    assert routes == {route for route, rule in RULES.items() if not rule.session}


async def test_a_route_without_a_rule_does_not_start_and_is_not_there(house: House) -> None:
    @house.http.get("/api/forgotten")
    async def forgotten() -> str:
        return "seen"

    with pytest.raises(RuntimeError, match="GET /api/forgotten"):
        check_rules(house.http)
    admin = house.key(RoleName.ADMIN)
    reply = await house.client.get("/api/forgotten", headers=admin)
    assert (reply.status_code, "seen" in reply.text) == (404, False)


async def test_the_table_finds_for_each_route_its_own_rule() -> None:
    for route, rule in RULES.items():
        method, path, _ = asked(route)
        assert TABLE.find(method, path.partition("?")[0]) is rule, route


async def test_a_key_opens_what_the_role_of_its_owner_may_use(house: House) -> None:
    wrong = {}
    # Administrators last: what they make would be refused to others for its own sake.
    for role in reversed(RoleName):
        headers = house.key(role)
        who = Principal(id="pr", name="x", role=role, created_at=0)
        for route in GUARDED:
            right = RULES[route].right
            reply = await house.ask(route, headers)
            allowed = right is None or may(who, right)
            assert reply.status_code != 401, route
            if (reply.status_code != 403) is not allowed:
                wrong[role, route] = (reply.status_code, reply.text)
    assert wrong == {}


async def test_a_key_that_is_over_opens_nothing(house: House) -> None:
    for role, over in product(RoleName, ("revoked", "expired")):
        headers = house.key(role, over=over)
        for route in GUARDED:
            reply = await house.ask(route, headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (401, "unauthenticated"), (role, route)


async def test_a_key_for_another_interface_opens_what_is_open_to_every_key_and_nothing_else(house: House) -> None:
    for role in RoleName:
        headers = house.key(role, scopes=ELSEWHERE)
        for route in GUARDED:
            rule = RULES[route]
            if rule.door is None and role is not RoleName.ADMIN:
                continue  # it gets further, as above
            reply = await house.ask(route, headers)
            assert (reply.status_code == 403) is (rule.door is not None), (route, reply.text)
            if rule.door is not None:
                assert reply.json()["error"]["message"].startswith("This key is not for"), route


async def test_without_a_good_key_all_that_is_protected_looks_the_same(house: House) -> None:
    """Whether a thing, a path or a method is there cannot be told apart."""
    admin = house.key(RoleName.ADMIN)
    made = (await house.client.post("/v1/vector_stores", json={"name": "docs"}, headers=admin)).json()
    asks = [asked(route, ids) for route in GUARDED for ids in ({}, {"store": "docs", "base": made["id"]})]
    strange = [("PUT", "/v1/files"), ("GET", "/v1/nothing"), ("GET", "/api"), ("DELETE", "/mcp/a/b/c")]
    asks += [(method, path, None) for method, path in strange]
    for headers in ({}, {"authorization": "Bearer ath_wrong"}, {"x-api-key": "ath_wrong"}):
        heard = set()
        for method, path, body in asks:
            reply = await house.client.request(method, path, json=body, headers=headers)
            refusal = reply.json()["error"]
            heard.add((reply.status_code, refusal["message"], refusal["code"], reply.headers["www-authenticate"]))
        assert len(heard) == 1
        assert heard.pop()[0] == 401


async def test_what_is_open_is_health_and_the_description_of_the_api(house: House) -> None:
    assert {route for route, rule in RULES.items() if rule.public} == {"GET /health", "GET /openapi.json"}
    for path in ("/health", "/openapi.json"):
        assert (await house.client.get(path)).status_code == 200
    assert all(route.partition(" ")[2].startswith(PROTECTED) for route in GUARDED)
    for path in ("/", "/favicon.ico", "/docs", "/admin"):
        assert (await house.client.get(path)).status_code == 404


async def test_a_refused_request_is_refused_before_its_body_is_read(house: House) -> None:
    reply = await house.client.post("/api/keys", content=b"{not json", headers=house.key(RoleName.USER))
    assert reply.status_code == 403
    wrong_method = await house.client.put("/v1/files", headers=house.key(RoleName.USER))
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "GET, POST")


async def test_the_rules_hold_without_the_short_way_too(house: House) -> None:
    """The application alone, as a test or another server may mount it."""
    transport = httpx.ASGITransport(app=house.http)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as client:
        for route in GUARDED:
            method, path, body = asked(route)
            assert (await client.request(method, path, json=body)).status_code == 401, route
        auditor = house.key(RoleName.AUDITOR)
        body = {"model": "echo", "messages": [{"role": "user", "content": "x"}]}
        assert (await client.post("/v1/chat/completions", json=body, headers=auditor)).status_code == 403


def test_rights_name_who_sees_what_belongs_to_others() -> None:
    for route, rule in RULES.items():
        assert set(rule.own or ()) <= set(Right), route
