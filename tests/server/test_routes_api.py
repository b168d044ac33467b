"""`/api/routes` over a whole application, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from athanor.config import load_settings
from athanor.gateway import App, open_app
from athanor.server import create_app
from athanor.testing import HashEmbedder, OverlapReranker
from athanor.types import RoleName

pytestmark = pytest.mark.anyio

RULES = {
    "echo": [],
    "broken": [{"pattern": ".", "then": "error"}],
    "small": [{"pattern": "how many", "answer": "There are 99."}],
}
ROUTES = {
    "main": {"use": ["broken", "echo"], "breaker": {"failures": 2}},
    "tasks/one": {"use": ["echo"], "pick": "task", "tasks": [{"model": "small", "labels": ["same"]}]},
}


class Server:
    """A client of the application, and the application itself."""

    def __init__(self, app: App, http: httpx.AsyncClient, home: Path) -> None:
        self.app, self.http, self.home = app, http, home

    async def ask(self, text: str, model: str = "main") -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        return await self.http.post("/v1/chat/completions", json=body)

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        reply = await self.http.post(path, json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def train(self, name: str, **body: Any) -> tuple[int, list[dict[str, Any]]]:
        reply = await self.http.post(f"/api/routes/{name}/train", json=body)
        lines = [line[6:] for line in reply.text.splitlines() if line.startswith("data: ")]
        return reply.status_code, [orjson.loads(line) for line in lines] or [reply.json()]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    arguments: dict[str, Any] = {"home": str(tmp_path / "home"), "chat": "echo", "traces.content": "true"}
    for name, rules in RULES.items():
        file = tmp_path / f"{name}.json"
        file.write_bytes(orjson.dumps({"rules": rules}))
        arguments[f"models.{name}.source"] = f"scripted:{file}"
        arguments[f"models.{name}.backend"] = "scripted"
        arguments[f"models.{name}.price.prompt"] = "1.0" if name == "small" else "10.0"
    arguments["routes"] = ROUTES
    settings = load_settings(arguments=arguments, environment={}).settings
    async with open_app(settings, embedder=HashEmbedder(), reranker=OverlapReranker()) as app:
        transport = httpx.ASGITransport(app=create_app(app))
        key = (settings.home / "local.key").read_text()
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as http:
            yield Server(app, http, settings.home)


async def test_a_route_answers_and_says_who_did(server: Server) -> None:
    reply = await server.ask("Hello.")
    assert reply.json()["choices"][0]["message"]["content"] == "Hello."
    assert reply.headers["x-athanor-model"] == "echo"
    (row,) = server.app.store.requests.list()
    assert (row.model, row.target, row.status) == ("main", "echo", "ok")
    tries = [s.attributes for s in server.app.store.traces.get(row.trace) if s.name == "attempt"]
    assert [(t["target"], t["outcome"]) for t in tries] == [("broken", "engine_failed")] * 2 + [("echo", "ok")]


async def test_routes_are_shown_with_their_breakers(server: Server) -> None:
    await server.ask("Hello.")
    data = (await server.http.get("/api/routes")).json()["data"]
    assert [route["name"] for route in data] == list(ROUTES)
    assert [model["role"] for model in data[1]["models"]] == ["use", "task"]
    assert data[0]["models"][0]["breaker"]["state"] == "open"
    assert "classifier" in (await server.http.get("/api/routes/tasks/one")).json()["error"]
    found = (await server.http.get("/api/routes/main")).json()
    states = {model["name"]: model["breaker"]["state"] for model in found["models"]}
    assert states == {"broken": "open", "echo": "closed"}
    assert (await server.http.get("/api/routes/nobody")).status_code == 404
    assert (await server.http.get("/api/routes/tasks/one")).json()["name"] == "tasks/one"


async def test_traffic_is_replayed_and_asked_again(server: Server) -> None:
    await server.ask("Hello there.")
    await server.ask("Say how many boats there are.")
    policy = {"use": ["small"]}
    report = await server.post("/api/routes/main/replay", policy=policy)
    assert (report["requests"], report["moved"], report["moved_and_recorded"]) == (2, 2, 2)
    assert report["estimate"] == pytest.approx(report["paid"] / 10)
    assert {(row["old"], row["new"]) for row in report["rows"]} == {("echo", "small")}
    asks = {row["trace"]: row["new"] for row in report["rows"]}
    found = (await server.post("/api/routes/main/replay/ask", asks={**asks, "tr_unknown": "small"}))["data"]
    verdicts = {line["trace"]: line.get("same") for line in found}
    assert [verdicts[row["trace"]] for row in report["rows"]] == [True, False]
    assert "not recorded" in found[-1]["error"]["message"]
    assert sum(line.get("cost", 0) for line in found) > 0
    # What a replay asked is on the books, and is no traffic.
    assert sum(row.door == "replay" for row in server.app.store.requests.list()) == 2
    again = await server.post("/api/routes/main/replay", policy=policy, traffic="*")
    assert again["requests"] == 2


async def test_a_policy_may_be_that_of_a_route_to_come(server: Server) -> None:
    await server.ask("Hello.", model="echo")
    report = await server.post("/api/routes/new/replay", policy={"use": ["small"]}, traffic="echo")
    assert report["moved"] == 1
    reply = await server.http.post("/api/routes/new/replay", json={})
    assert reply.status_code == 404


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"policy": {"use": ["small"], "pick": "luck"}}, "policy.pick"),
        ({"policy": {"use": ["small"], "colour": "red"}}, "policy.colour"),
        ({"policy": {}}, "policy.use"),
        ({"limit": 0}, "limit"),
    ],
)
async def test_a_wrong_policy_is_the_callers_mistake(server: Server, body: dict[str, Any], where: str) -> None:
    reply = await server.http.post("/api/routes/main/replay", json=body)
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == where


async def test_the_route_as_it_is_sends_failed_requests_where_they_went(server: Server) -> None:
    for _ in range(3):
        await server.ask("Hello.")
    report = await server.post("/api/routes/main/replay")
    assert (report["requests"], report["moved"]) == (3, 0)


async def test_a_classifier_is_trained_from_texts_and_serves_at_once(server: Server) -> None:
    examples = [{"text": f"hello friend number {n}", "label": "same"} for n in range(20)]
    examples += [{"text": f"please compile the class {n}", "label": "different"} for n in range(20)]
    status, events = await server.train("tasks/one", examples=examples)
    assert status == 200
    assert events[0] == {"done": 40, "total": 40}
    assert events[-1]["accuracy"] == 1.0
    assert Path(events[-1]["file"]).parent == server.home / "routes"
    entry = next(e for e in server.app.store.audit.entries() if e.action == "classifier.trained")
    assert (entry.subject, entry.details["accuracy"]) == ("tasks/one", 1.0)
    assert (await server.ask("hello my friend", model="tasks/one")).headers["x-athanor-model"] == "small"
    assert (await server.ask("compile class", model="tasks/one")).headers["x-athanor-model"] == "echo"


async def test_a_classifier_is_trained_from_what_a_replay_has_found(server: Server) -> None:
    for word in ["red", "blue", "green", "black", "white", "brown", "grey", "pink"]:
        await server.ask(f"hello friend of the {word} house")
        await server.ask(f"tell how many {word} boats")
    report = await server.post("/api/routes/main/replay", policy={"use": ["small"]})
    asks = {row["trace"]: row["new"] for row in report["rows"]}
    found = (await server.post("/api/routes/main/replay/ask", asks=asks))["data"]
    examples = [{"trace": line["trace"], "label": "same" if line["same"] else "different"} for line in found]
    status, events = await server.train("tasks/one", examples=examples)
    assert (status, events[-1]["labels"]) == (200, ["different", "same"])
    assert (await server.ask("hello friend", model="tasks/one")).headers["x-athanor-model"] == "small"


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ([{"text": "x", "label": "same"}], "two labels"),
        ([{"text": "x", "label": "other"}], "same"),
        ([{"label": "same"}], "either a text or a trace"),
        ([{"trace": "tr_unknown", "label": "same"}], "not recorded"),
    ],
)
async def test_useless_examples_are_refused_before_anything_begins(
    server: Server, examples: list[dict[str, str]], words: str
) -> None:
    status, events = await server.train("tasks/one", examples=examples)
    assert 400 <= status < 500
    assert words in events[0]["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("replay", {}),
        ("replay/ask", {"asks": {"a": "b"}}),
        ("train", {"examples": []}),
    ],
)
async def test_users_may_look_and_nothing_else(server: Server, path: str, body: dict[str, Any]) -> None:
    _, secret = server.app.keys.create("someone", RoleName.USER)
    headers = {"authorization": f"Bearer {secret.reveal()}"}
    assert (await server.http.get("/api/routes", headers=headers)).status_code == 200
    reply = await server.http.post(f"/api/routes/main/{path}", json=body, headers=headers)
    assert reply.status_code == 403


async def test_only_the_owner_names_files_of_the_machine(server: Server) -> None:
    _, secret = server.app.keys.create("operator", RoleName.OPERATOR)
    headers = {"authorization": f"Bearer {secret.reveal()}"}
    policy = {**ROUTES["tasks/one"], "classifier": "/etc/passwd"}
    body = {"policy": policy}
    assert (await server.http.post("/api/routes/main/replay", json=body, headers=headers)).status_code == 403
    reply = await server.http.post("/api/routes/main/replay", json=body)
    assert "cannot be read" in reply.json()["error"]["message"]
    body = {"policy": {"use": ["small"]}}
    assert (await server.http.post("/api/routes/main/replay", json=body, headers=headers)).status_code == 200
