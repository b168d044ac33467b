"""Money that was spent: by engines within engines, before a restart, before a `kill -9`, by the key before this one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from athanor.types import Limits, RoleName
from athanor.worker import Runner
from tests.live import Server
from tests.server.inside import Inside, inside

pytestmark = pytest.mark.anyio

PRICE = {"prompt": 1000.0, "completion": 2500.0}
HARBOUR = (
    "# Harbour\n\nThe harbour of Eskola was dredged in 1912 by the Lindqvist company. "
    "Its lighthouse burns whale oil until 1931. The harbour master is elected for six years.\n"
)
QUESTION = "When was the harbour of Eskola dredged?"
ANSWER = "The harbour of Eskola was dredged in 1912 by the Lindqvist company."


async def learn(server: Inside, folder: Path) -> None:
    folder.mkdir()
    (folder / "harbour.md").write_text(HARBOUR)
    base = await server.app.knowledge.ensure("docs")
    await server.app.ingestion.enqueue_folder(base, folder)
    assert await Runner(server.app.store, server.app.handlers).run_once()


async def test_what_the_writer_of_a_knowledge_base_costs_is_counted_once(tmp_path: Path) -> None:
    async with inside(tmp_path, price=PRICE, rules=[{"pattern": "harbour", "answer": ANSWER}]) as server:
        await learn(server, tmp_path / "folder")
        key, headers = server.key(limits=Limits(usd_per_day=5.0, concurrency=1, requests_per_minute=2))
        status, body, _ = await server.chat(headers, QUESTION, model="docs", max_tokens=40)
        assert status == 200
        assert "1912" in body["choices"][0]["message"]["content"]
        (row,) = server.app.store.requests.list()
        used = row.usage
        assert used.prompt_tokens > 40, "the passages are in the prompt"
        assert used.cost == pytest.approx((1000 * used.prompt_tokens + 2500 * used.completion_tokens) / 1e6)
        now = server.app.limits.spent("key", key.id)
        assert now == {
            "usd_today": pytest.approx(used.cost),
            "usd_this_month": pytest.approx(used.cost),
            "usd_held": 0,
            "running": 0,
            "requests_last_minute": 1,
            "tokens_last_minute": used.total_tokens,
        }
        assert server.app.limits.spent("system") == now


async def test_the_passages_have_to_fit_the_budget_too(tmp_path: Path) -> None:
    """The question alone would fit; what the model is asked in the end does not, and is not asked."""
    async with inside(tmp_path, price=PRICE, rules=[{"pattern": "harbour", "answer": ANSWER}]) as server:
        await learn(server, tmp_path / "folder")
        key, headers = server.key(limits=Limits(usd_per_day=0.2))
        with_question_only = await server.chat(headers, QUESTION, max_tokens=20)
        assert with_question_only[0] == 200
        status, body, _ = await server.chat(headers, QUESTION, model="docs", max_tokens=20)
        assert (status, body["error"]["code"]) == (429, "budget_exceeded")
        now = server.app.limits.spent("key", key.id)
        assert now["usd_held"] == 0
        booked = sum(row.usage.cost for row in server.app.store.requests.list())
        assert 0 < booked == pytest.approx(now["usd_today"])


async def test_budgets_survive_a_restart(tmp_path: Path) -> None:
    limits = Limits(usd_per_day=0.05, usd_per_month=1.0)
    price = {"completion": 2500.0}
    async with inside(tmp_path, price=price) as server:
        server.app.store.teams.create("blue", Limits(usd_per_day=5.0))
        key, headers = server.key(limits=limits, team="blue")
        for _ in range(3):
            assert (await server.chat(headers, "one two three four", max_tokens=4))[0] == 200
        before = server.app.limits.spent("key", key.id)["usd_today"]
    assert before == pytest.approx(0.03)
    async with inside(tmp_path, price=price) as server:
        (team,) = server.app.store.teams.list()
        for kind, id_ in (("key", key.id), ("team", team.id), ("system", "")):
            spent = server.app.limits.spent(kind, id_)
            assert (spent["usd_today"], spent["usd_this_month"]) == (pytest.approx(0.03), pytest.approx(0.03))
        replies = [await server.chat(headers, "one two three four", max_tokens=4) for _ in range(4)]
        assert [status for status, _, _ in replies] == [200, 200, 429, 429]


async def test_a_rotated_key_goes_on_with_the_same_budget_after_a_restart_too(tmp_path: Path) -> None:
    price = {"completion": 2500.0}

    async def asked(server: Inside, headers: dict[str, str]) -> int:
        return (await server.chat(headers, "one two three four", max_tokens=4))[0]

    async with inside(tmp_path, price=price) as server:
        _, admin = server.key("root", RoleName.ADMIN)
        key, first = server.key(limits=Limits(usd_per_day=0.04))
        assert await asked(server, first) == 200
        _, made, _ = await server.call("POST", f"/api/keys/{key.id}/rotate", admin, {"grace_hours": 1})
        second = {"authorization": f"Bearer {made['secret']}"}
        assert made["spent"]["usd_today"] == pytest.approx(0.01)
        assert [await asked(server, headers) for headers in (second, first)] == [200, 200]
    async with inside(tmp_path, price=price) as server:
        assert await asked(server, first) == 200, "the old key works on"
        assert [await asked(server, headers) for headers in (second, first)] == [429, 429]


KILLED = """
chat = "priced"

[models.priced]
source = "scripted:{script}"
backend = "scripted"
price = {{ completion = 2500.0 }}
"""


@pytest.mark.weights
async def test_no_budget_is_lost_by_a_kill(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"delay": 0.002}))
    server = Server(tmp_path / "home", settings=KILLED.format(script=script)).start()
    try:
        with server.client() as admin:
            key = admin.post("/api/keys", json={"name": "app", "limits": {"usd_per_day": 0.60}}).json()
        headers = {"authorization": f"Bearer {key['secret']}"}
        body = {
            "model": "priced",
            "max_tokens": 4,
            "messages": [{"role": "user", "content": "one two three four"}],
        }
        acknowledged = 0

        async def client(http: httpx.AsyncClient) -> None:
            nonlocal acknowledged
            try:
                while (
                    await http.post(f"{server.url}/v1/chat/completions", json=body, headers=headers)
                ).status_code == 200:
                    acknowledged += 1
                    if acknowledged == 25:
                        server.kill()
            except httpx.HTTPError:
                return

        async with httpx.AsyncClient(timeout=20) as http:
            await asyncio.gather(*(client(http) for _ in range(8)))
        assert acknowledged >= 25
        server.start()
        with server.client() as admin:
            (row,) = [k for k in admin.get("/api/keys").json()["data"] if k["id"] == key["id"]]
            ledger = row["spent"]["usd_today"]
            # Those that were under way may be on the books without having been acknowledged, never the other way.
            assert 0.01 * acknowledged - 1e-9 <= ledger <= 0.01 * (acknowledged + 8) + 1e-9
        async with httpx.AsyncClient(timeout=20) as http:
            statuses = [
                (await http.post(f"{server.url}/v1/chat/completions", json=body, headers=headers)).status_code
                for _ in range(60 - round(100 * ledger) + 2)
            ]
        assert statuses == [200] * (60 - round(100 * ledger)) + [429, 429]
    finally:
        server.stop()
