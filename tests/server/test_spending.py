"""Money that was spent: by engines within engines, before a restart, before a `kill -9`, by the key before this one."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import httpx
import pytest

from athanor.store import Store
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


BODY = {
    "model": "priced",
    "max_tokens": 4,
    "messages": [{"role": "user", "content": "one two three four"}],
}


class Load:
    """Clients that ask until they are refused or the server is gone, and count what was acknowledged."""

    CLIENTS = 8

    def __init__(self, server: Server, secret: str) -> None:
        self.server = server
        self.headers = {"authorization": f"Bearer {secret}"}
        self.traces: list[str] = []
        """Of every answer that arrived whole."""

    async def ask(self, http: httpx.AsyncClient) -> int:
        reply = await http.post(f"{self.server.url}/v1/chat/completions", json=BODY, headers=self.headers)
        if reply.status_code == 200:
            self.traces.append(reply.json()["athanor"]["trace"])
        return reply.status_code

    async def until_killed(self, answers: int) -> None:
        """Load the server, and kill it when so many more answers have arrived."""
        target = len(self.traces) + answers

        async def client(http: httpx.AsyncClient) -> None:
            try:
                while await self.ask(http) == 200:
                    if len(self.traces) == target:
                        self.server.kill()
            except httpx.HTTPError:
                return

        async with httpx.AsyncClient(timeout=20) as http:
            await asyncio.gather(*(client(http) for _ in range(self.CLIENTS)))
        assert len(self.traces) >= target

    async def until_refused(self) -> int:
        """How many more answers there are, one after the other."""
        count = len(self.traces)
        async with httpx.AsyncClient(timeout=20) as http:
            while await self.ask(http) == 200:
                pass
            assert await self.ask(http) == 429
        return len(self.traces) - count


async def survive(tmp_path: Path, kills: int) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"delay": 0.002}))
    fit = 40 * (kills + 1)
    server = Server(tmp_path / "home", settings=KILLED.format(script=script)).start()
    moments = random.Random(5)
    try:
        with server.client() as admin:
            key = admin.post("/api/keys", json={"name": "app", "limits": {"usd_per_day": 0.01 * fit}}).json()
        load = Load(server, key["secret"])
        for turn in range(1, kills + 1):
            await load.until_killed(moments.randint(1, 25))
            server.start()
            with server.client() as admin:
                spent = admin.get(f"/api/keys/{key['id']}").json()["spent"]["usd_today"]
            # Those that were under way may be on the books without having been acknowledged, never the other way.
            assert 0 <= round(100 * spent) - len(load.traces) <= turn * load.CLIENTS
        assert await load.until_refused() == fit - round(100 * spent)
    finally:
        server.stop()
    store = Store.open(f"sqlite:///{server.home / 'athanor.db'}", blobs=server.home / "blobs")
    try:
        booked = {row.trace: row for row in store.requests.list(key=key["id"], status="ok", limit=10_000)}
        assert set(load.traces) <= set(booked), "an acknowledged answer is missing"
        assert sum(row.usage.cost for row in booked.values()) == pytest.approx(0.01 * fit)
    finally:
        store.close()


@pytest.mark.slow
@pytest.mark.weights
async def test_no_budget_is_lost_by_two_kills(tmp_path: Path) -> None:
    await survive(tmp_path, 2)


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.timeout(900)
async def test_no_budget_is_lost_by_fifty_kills(tmp_path: Path) -> None:
    await survive(tmp_path, 50)
