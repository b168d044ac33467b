"""`/api/traces` and `/api/costs` through the real HTTP server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from athanor.types import Limits, RequestRecord, RoleName, Usage
from tests.server.inside import Inside, inside

pytestmark = pytest.mark.anyio

PRICE = {"completion": 2500.0, "prompt": 0.0}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Inside]:
    rules = [{"pattern": "boom", "then": "error"}, {"pattern": ".", "answer": "one two three four"}]
    async with inside(tmp_path, price=PRICE, rules=rules) as running:
        yield running


async def get(server: Inside, path: str, headers: dict[str, str], status: int = 200) -> dict[str, Any]:
    found, body, _ = await server.call("GET", path, headers)
    assert found == status, body
    return body


async def test_a_request_is_told_with_its_stages_and_its_money(server: Inside) -> None:
    key, alice = server.key("alice")
    _, _, headers = await server.chat(alice, "hello")
    trace = headers["x-athanor-trace"]
    server.app.store.feedback.put(trace=trace, principal=key.principal, rating=-1, comment="No.")
    found = await get(server, f"/api/traces/{trace}", alice)
    assert (found["status"], found["door"], found["target"]) == ("ok", "chat.completions", "priced")
    assert (found["principal_name"], found["key_name"]) == ("alice", "alice")
    assert found["usage"]["completion_tokens"] == 4
    assert found["usage"]["cost"] == pytest.approx(0.01)
    root, *rest = found["spans"]
    assert (root["name"], root["parent"]) == ("request", None)
    assert [span["name"] for span in rest] == ["guards", "model", "guards"]
    assert {span["parent"] for span in rest} == {root["id"]}
    assert found["content"] is None
    assert [(v["principal"], v["rating"], v["comment"]) for v in found["feedback"]] == [("alice", -1, "No.")]
    assert (await get(server, "/api/traces", alice))["data"][0]["trace"] == trace


async def test_what_was_said_is_there_only_where_it_is_recorded(server: Inside) -> None:
    _, alice = server.key("alice", record_content=True)
    _, _, headers = await server.chat(alice, "a secret")
    found = await get(server, f"/api/traces/{headers['x-athanor-trace']}", alice)
    assert found["content"]["request"]["messages"][0]["content"] == "a secret"
    assert found["content"]["answer"]["content"] == "one two three four"


async def test_the_requests_of_others_are_not_there(server: Inside) -> None:
    _, alice = server.key("alice")
    _, bob = server.key("bob")
    _, _, headers = await server.chat(alice, "hello")
    trace = headers["x-athanor-trace"]
    missing = await get(server, f"/api/traces/{trace}", bob, status=404)
    never = await get(server, "/api/traces/tr_none", bob, status=404)
    assert missing["error"]["message"].replace(trace, "tr_none") == never["error"]["message"]
    for path in ("/api/traces", "/api/traces?principal=alice", f"/api/traces?trace={trace}"):
        assert (await get(server, path, bob))["data"] == []
    assert (await get(server, "/api/costs", bob))["data"] == []
    for role in (RoleName.REVIEWER, RoleName.OPERATOR, RoleName.AUDITOR):
        _, other = server.key(role.value, role)
        assert (await get(server, f"/api/traces/{trace}", other))["trace"] == trace
        rows = (await get(server, "/api/costs?by=principal", other))["data"]
        assert bool(rows) is (role is not RoleName.REVIEWER)


async def test_filters(server: Inside) -> None:
    (key, alice), (_, bob) = server.key("alice"), server.key("bob")
    _, admin = server.key("root", RoleName.ADMIN)
    traces = {}
    for name, who, text in (("a", alice, "x"), ("b", bob, "x"), ("bad", alice, "boom")):
        _, _, headers = await server.chat(who, text)
        traces[headers["x-athanor-trace"]] = name
    _, _, headers = await server.chat(alice, "x", model="nothing")
    traces[headers["x-athanor-trace"]] = "unknown"
    middle = server.app.store.requests.get(next(t for t, name in traces.items() if name == "b")).at

    async def found(query: str) -> str:
        rows = (await get(server, f"/api/traces?{query}", admin))["data"]
        return " ".join(traces[row["trace"]] for row in rows)

    assert await found("") == "unknown bad b a"
    assert await found("limit=2") == "unknown bad"
    assert await found("principal=alice&status=ok") == "a"
    assert await found(f"key={key.id}") == await found("key=alice") == "unknown bad a"
    assert await found("status=failed") == "unknown bad"
    assert await found("status=not_found") == "unknown"
    assert await found("model=priced") == "bad b a"
    assert await found(f"since={middle}") == "unknown bad b"
    assert await found(f"before={middle}") == "a"
    first = next(iter(traces))
    assert await found(f"trace={first[4:-2]}") == "a"
    assert await found("trace=%25") == ""
    for wrong in ("limit=0", "limit=5000", "since=x", "since=nan", "colour=red", "key=%00"):
        await get(server, f"/api/traces?{wrong}", admin, status=400)


async def test_costs_by_group_day_and_time(server: Inside) -> None:
    _, admin = server.key("root", RoleName.ADMIN)
    team = server.app.store.teams.create("sales")
    day = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
    usage = Usage(prompt_tokens=100, completion_tokens=10, cached_tokens=40, cost=0.25)
    rows = [
        RequestRecord(
            trace=f"tr_{n}",
            at=(day + timedelta(minutes=n)).timestamp(),
            door="chat.completions",
            principal="pr_gone",
            model="fast",
            target="small" if n % 2 else "large",
            team=team.id,
            usage=usage,
            first_token=0.01 * (n + 1),
            duration=0.1 * (n + 1),
        )
        for n in range(100)
    ]
    server.app.store.requests.insert(rows)
    since = day.timestamp()
    found = await get(server, f"/api/costs?by=day,target&since={since}", admin)
    got = {(row["day"], row["target"]): (row["requests"], row["cost"], row["cached_tokens"]) for row in found["data"]}
    assert got == {
        ("2026-03-01", "large"): (1, 0.25, 40),
        ("2026-03-02", "large"): (49, 12.25, 1960),
        ("2026-03-02", "small"): (50, 12.5, 2000),
    }
    (row,) = (await get(server, f"/api/costs?by=team&since={since}", admin))["data"]
    assert (row["team_name"], row["requests"]) == ("sales", 100)
    (row,) = (await get(server, f"/api/costs?by=principal&since={since}", admin))["data"]
    assert row["principal_name"] == "pr_gone"
    (row,) = (await get(server, f"/api/costs?by=model&since={since}&until={since + 600}", admin))["data"]
    assert row["requests"] == 10
    assert (await get(server, "/api/costs", admin))["data"] == [], "the last 30 days"
    slow = (await get(server, f"/api/costs?by=model&latency=model&since={since}", admin))["latency"]
    assert slow[0]["answers"] == 100
    figures = [round(slow[0][name], 3) for name in ("duration_p50", "duration_p95", "duration_p99", "first_token_p50")]
    assert figures == [5.0, 9.5, 9.9, 0.5]
    for wrong in ("by=colour", "by=day,day", "by=trace", "latency=prompt"):
        assert "error" in await get(server, f"/api/costs?{wrong}", admin, status=400)


async def test_expiring_by_hand_is_the_admins_and_spares_what_budgets_rest_on(server: Inside) -> None:
    _, alice = server.key("alice", record_content=True)
    _, admin = server.key("root", RoleName.ADMIN)
    _, _, headers = await server.chat(alice, "x")
    trace, later = headers["x-athanor-trace"], time.time() + 60
    status, _, _ = await server.call("POST", "/api/traces/expire", alice, {"before": later})
    assert status == 403
    status, body, _ = await server.call("POST", "/api/traces/expire", admin, {"before": later, "ledger": True})
    assert (status, body["error"]["param"]) == (400, "before")
    status, body, _ = await server.call("POST", "/api/traces/expire", admin, {"before": later})
    gone = {"traces": 1, "contents": 1, "requests": 0, "responses": 0, "pseudonyms": 0}
    assert (status, body | gone) == (200, body)
    found = await get(server, f"/api/traces/{trace}", alice)
    assert (found["spans"], found["content"]) == ([], None)
    assert "traces.expired" in {entry.action for entry in server.app.store.audit.entries()}


async def test_metrics_tell_refusals_by_whose_limit_and_failures_by_model(server: Inside) -> None:
    _, admin = server.key("root", RoleName.ADMIN)
    _, slow = server.key("slow", limits=Limits(requests_per_minute=1))
    _, poor = server.key("poor", limits=Limits(usd_per_day=0.000001))
    for who, text in ((slow, "x"), (slow, "x"), (poor, "x"), (admin, "boom")):
        await server.chat(who, text)
    async with server.http.get(f"{server.url}/metrics", headers=admin) as reply:
        lines = (await reply.text()).splitlines()
    for line in (
        'athanor_refusals_total{limit="rate_limited",of="key"} 1',
        'athanor_refusals_total{limit="budget_exceeded",of="key"} 1',
        'athanor_model_errors_total{model="priced",error="engine_failed"} 1',
    ):
        assert line in lines
