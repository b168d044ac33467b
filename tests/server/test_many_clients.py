"""Two hundred clients at once against limits that fit fifty, through the real HTTP server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from athanor.types import Limits
from tests.server.inside import Inside, inside

pytestmark = pytest.mark.anyio

CLIENTS = 200
FIT = 50
ANSWER = "one two three four"
CENT = {"completion": 2500.0}
"""US dollars for a million tokens of the answer: a cent for the four words of `ANSWER`."""
Reply = tuple[int, dict[str, Any], Mapping[str, str]]


async def storm(server: Inside, headers: list[Mapping[str, str]], **more: Any) -> list[Reply]:
    """All clients ask at once, each on a connection of its own that it keeps."""
    ready = asyncio.Barrier(len(headers))

    async def client(own: Mapping[str, str]) -> Reply:
        async with server.http.get(f"{server.url}/health") as reply:  # the connection is there before anybody asks
            await reply.read()
        await ready.wait()
        return await server.chat(own, **more)

    return await asyncio.gather(*(client(own) for own in headers))


def checked(replies: list[Reply], *, code: str, what: str) -> tuple[int, int]:
    """How many were let in and how many refused; the refusals as they have to be."""
    refused = [reply for reply in replies if reply[0] != 200]
    for status, body, headers in refused:
        assert status == 429, body
        assert body["error"]["code"] == code
        assert int(headers["retry-after"]) > 0
        assert headers["x-ratelimit-limit-" + what]
        assert headers["x-ratelimit-remaining-" + what]
        assert headers["x-athanor-trace"]
    return len(replies) - len(refused), len(refused)


def keys(server: Inside, place: str, limits: Limits) -> list[Mapping[str, str]]:
    """The headers of all clients, for whom `limits` hold at `place`: one key, a team of ten keys, or the system."""
    if place == "key":
        return [server.key(limits=limits)[1]] * CLIENTS
    if place == "team":
        server.app.store.teams.create("all", limits)
    team = {"team": "all"} if place == "team" else {}
    made = [server.key(f"caller {n}", **team)[1] for n in range(10)]
    return [made[n % 10] for n in range(CLIENTS)]


PLACES = pytest.mark.parametrize("place", ["key", "team", "system"])


def system(place: str, limits: Limits) -> Limits | None:
    return limits if place == "system" else None


@PLACES
async def test_a_budget_of_fifty_requests(place: str, tmp_path: Path) -> None:
    limits = Limits(usd_per_day=0.01 * FIT)
    async with inside(tmp_path, limits=system(place, limits), price=CENT) as server:
        headers = keys(server, place, limits)
        replies = await storm(server, headers, text=ANSWER, max_tokens=4)
        assert checked(replies, code="budget_exceeded", what="usd") == (FIT, CLIENTS - FIT)
        sums = server.app.store.requests.costs(by=["status"], since=0)
        assert {row["status"]: row["requests"] for row in sums} == {"ok": FIT, "budget_exceeded": CLIENTS - FIT}
        assert sum(row["cost"] for row in sums) == pytest.approx(0.01 * FIT)
        kinds = Counter(body["error"]["type"] for status, body, _ in replies if status != 200)
        assert kinds == {"insufficient_quota": CLIENTS - FIT}
        # It is spent, not held: another storm gets nothing at all.
        assert checked(await storm(server, headers[:20], max_tokens=4), code="budget_exceeded", what="usd") == (0, 20)


async def test_answers_that_cost_less_than_was_held_make_room_for_others(tmp_path: Path) -> None:
    """Held is the most that an answer may cost. What comes back is spent again, and never more than there is."""
    limits = Limits(usd_per_month=0.01 * FIT)
    async with inside(tmp_path, price=CENT) as server:
        _, headers = server.key(limits=limits)
        spent = 0.0
        for _ in range(8):
            let_in, _ = checked(
                await storm(server, [headers] * 60, text="one two", max_tokens=4), code="budget_exceeded", what="usd"
            )
            spent += 0.005 * let_in
            assert server.app.limits.spent("system")["usd_this_month"] == pytest.approx(spent)
            assert spent <= limits.usd_per_month + 1e-9
        assert spent > 0.01 * (FIT - 1)
        assert server.app.limits.spent("system")["usd_held"] == 0


@PLACES
async def test_requests_in_a_minute(place: str, tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=FIT)
    async with inside(tmp_path, limits=system(place, limits)) as server:
        replies = await storm(server, keys(server, place, limits))
        assert checked(replies, code="rate_limited", what="requests") == (FIT, CLIENTS - FIT)
        left = [int(headers["x-ratelimit-remaining-requests"]) for status, _, headers in replies if status == 200]
        assert min(left) == 0
        assert max(left) < FIT


@PLACES
async def test_tokens_in_a_minute(place: str, tmp_path: Path) -> None:
    # Each may use 3 + 4 + 1 of the prompt and 42 of the answer, and the answers are as long as they may be.
    limits = Limits(tokens_per_minute=50 * FIT)
    async with inside(tmp_path, limits=system(place, limits), rules=[{"pattern": "x", "answer": "w " * 60}]) as server:
        replies = await storm(server, keys(server, place, limits), text="xxx", max_tokens=42)
        let_in, _ = checked(replies, code="rate_limited", what="tokens")
        used = server.app.store.requests.costs(by=[], since=0)[0]
        assert used["prompt_tokens"] + used["completion_tokens"] <= 50 * FIT
        # The prompt had fewer tokens than were held for it, and those who came later had the rest.
        assert FIT <= let_in <= 50 * FIT // 43
        assert server.app.limits.spent("system")["tokens_last_minute"] == 43 * let_in


@PLACES
async def test_requests_at_once(place: str, tmp_path: Path) -> None:
    limits = Limits(concurrency=FIT)
    async with inside(tmp_path, limits=system(place, limits), delay=0.1) as server:
        replies = await storm(server, keys(server, place, limits), text=ANSWER)
        let_in, refused = checked(replies, code="rate_limited", what="concurrency")
        assert let_in >= FIT
        assert refused > 0
        assert server.app.limits.spent("system")["running"] == 0
        assert await most_at_once(server) <= FIT


async def most_at_once(server: Inside) -> int:
    """How many requests ran at once, by the ledger."""
    moments: list[tuple[float, int]] = []
    for row in server.app.store.requests.list(status="ok", limit=1000):
        trace = server.app.store.traces.get(row.trace)
        # From the first stage of the answer to its end, which lies between hold and settlement.
        root = next(span for span in trace if span.parent is None)
        first = root.started_at + (row.first_token or 0.0)
        moments += [(first, 1), (root.started_at + root.duration, -1)]
    running = most = 0
    for _, step in sorted(moments):
        running += step
        most = max(most, running)
    return most


async def test_a_stream_that_is_left_gives_its_hold_back_and_is_billed(tmp_path: Path) -> None:
    limits = Limits(usd_per_day=1.0, concurrency=1)
    async with inside(tmp_path, price=CENT, delay=0.01) as server:
        key, headers = server.key(limits=limits)
        body = {
            "model": "priced",
            "messages": [{"role": "user", "content": "word " * 300}],
            "stream": True,
            "max_tokens": 300,
        }
        async with server.http.post(f"{server.url}/v1/chat/completions", json=body, headers=headers) as reply:
            assert reply.status == 200
            for _ in range(12):
                await reply.content.readline()
            assert server.app.limits.spent("key", key.id)["usd_held"] == pytest.approx(0.75)
            reply.close()
        for _ in range(200):
            if server.app.limits.spent("key", key.id)["running"] == 0:
                break
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.app.store.writer.flush)
        (row,) = server.app.store.requests.list()
        assert row.status == "cancelled"
        assert 3 <= row.usage.completion_tokens < 300
        assert row.usage.cost == pytest.approx(0.0025 * row.usage.completion_tokens)
        now = server.app.limits.spent("key", key.id)
        assert (now["usd_held"], now["usd_today"]) == (0, pytest.approx(row.usage.cost))


async def test_a_failing_model_gives_the_hold_back(tmp_path: Path) -> None:
    rules = [{"pattern": "x", "answer": "half of", "then": "error"}]
    async with inside(tmp_path, price=CENT, rules=rules) as server:
        key, headers = server.key(limits=Limits(usd_per_day=1.0, concurrency=1))
        for _ in range(5):
            status, _, _ = await server.chat(headers, max_tokens=100)
            assert status == 502
        now = server.app.limits.spent("key", key.id)
        assert (now["usd_held"], now["running"]) == (0, 0)
        assert now["usd_today"] == pytest.approx(5 * 2 * 0.0025), "what it said before it failed is billed"
