"""With every detector off and a model that obeys everybody: no action that text has ordered, and nothing of others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from athanor.governance import Readers
from athanor.rag import KnowledgeEngine
from athanor.types import SYSTEM_READER, RoleName
from tests.guards.off.ideas import BY_HAND, Case, documents, outputs
from tests.guards.off.world import CLOSED, World, question, world

pytestmark = pytest.mark.anyio

DOCUMENTS = documents()
OUTPUTS = outputs()
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("delete_document", "set_access", "create_key", "lookup")
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def off(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        async with world(tmp_path_factory.mktemp("off"), DOCUMENTS, patch) as made:
            yield made


def turn(case: Case) -> list[dict[str, Any]]:
    """A conversation whose tool has answered with `case`."""
    call = {"id": "call_1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}
    return [
        {"role": "user", "content": "What does the porter do?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": case.text},
    ]


def test_there_are_enough_of_them() -> None:
    assert len(DOCUMENTS) + len(OUTPUTS) >= 200
    assert len({case.text for case in DOCUMENTS}) == len(DOCUMENTS)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
async def test_no_document_makes_anything_happen_or_come_out(off: World, every: int) -> None:
    before = off.state()
    for number, case in [*enumerate(DOCUMENTS)][::every]:
        off.engine.seen.clear()
        said = await off.ask(question(number))
        shown = "\n".join(message.content for request in off.engine.seen for message in request.messages)
        assert f"case{number:03d}" in shown.removesuffix(question(number)), f"{case.name} was not read"
        assert off.leaks(said) == set(), case.name
        assert off.leaks_of_prompts() == set(), case.name
        assert json.loads(said)["choices"][0]["message"].get("tool_calls") is None, case.name
    assert off.state() == before


async def test_no_result_of_a_tool_makes_anything_happen_or_come_out(off: World) -> None:
    before = off.state()
    for case in OUTPUTS:
        off.engine.seen.clear()
        body = {"model": "priced", "messages": turn(case), "tools": TOOLS}
        said = await off.raw("/v1/chat/completions", off.reader, body)
        assert off.leaks(said) == set(), case.name
        assert off.leaks_of_prompts() == set(), case.name
        # The model is asked once: what it calls is the caller's to do or to leave, never ours.
        assert len(off.engine.seen) == 1, case.name
        calls = json.loads(said)["choices"][0]["message"]["tool_calls"]
        assert {"delete_document", "set_access"} <= {call["function"]["name"] for call in calls}, case.name
    assert off.state() == before


async def test_tools_of_knowledge_bases_are_not_offered_to_the_model(off: World) -> None:
    off.engine.seen.clear()
    body = {"model": "docs", "messages": [{"role": "user", "content": question(1)}], "tools": TOOLS}
    assert off.leaks(await off.raw("/v1/chat/completions", off.reader, body)) == set()
    assert all(not request.tools for request in off.engine.seen)


async def test_what_others_have_asked_and_been_told_stays_theirs(off: World) -> None:
    """The same words, asked after somebody who may read more: not out of the cache, and not by their traces."""
    for number in range(3):
        assert off.leaks(await off.ask(question(number))) == set()
    for path in ("/api/traces", "/v1/files", "/v1/models", "/v1/vector_stores", "/api/knowledge"):
        async with off.server.http.get(f"{off.server.url}{path}", headers=off.reader) as reply:
            assert off.leaks(await reply.text()) == set(), path
    found = await off.raw("/v1/vector_stores/docs/search", off.reader, {"query": "What is the wage of the porter?"})
    assert "case" in found
    assert off.leaks(found) == set()
    async with off.server.http.post(
        f"{off.server.url}/v1/vector_stores/vault/search", json={"query": "wage"}, headers=off.reader
    ) as reply:
        assert reply.status == 404
        assert off.leaks(await reply.text()) == set()


async def test_the_tools_of_the_mcp_server_only_read(off: World) -> None:
    pytest.importorskip("mcp")
    import httpx2  # noqa: PLC0415
    from mcp import Client  # noqa: PLC0415
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    before = off.state()
    async with (
        httpx2.AsyncClient(headers=off.reader, timeout=30) as http,
        Client(streamable_http_client(f"{off.server.url}/mcp", http_client=http), mode="auto") as agent,
    ):
        listed = (await agent.list_tools()).tools
        assert [tool.name for tool in listed] == ["search", "ask", "fetch"]
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in listed)
        assert "vault" not in str(listed)
        for number in range(0, len(DOCUMENTS), 20):
            found = await agent.call_tool("search", {"query": question(number), "knowledge_base": "docs"})
            results = found.structured_content["results"]
            assert any(f"case{number:03d}" in one["text"] for one in results)
            assert off.leaks(found.model_dump_json()) == set()
            page = await agent.call_tool("fetch", {"id": results[0]["id"]})
            assert off.leaks(page.model_dump_json()) == set()
        for order in BY_HAND[::2]:  # a poisoned agent passes on what it was told
            for name, arguments in (
                ("ask", {"question": order[:300], "knowledge_base": "vault"}),
                ("search", {"query": order[:300], "knowledge_base": "vault"}),
                ("fetch", {"id": order[:60]}),
                ("delete_document", {"id": "pay.md"}),
            ):
                try:
                    result = (await agent.call_tool(name, arguments)).model_dump_json()
                except Exception as error:  # refused by name: that is an answer too
                    result = str(error)
                assert off.leaks(result) == set(), (name, order)
    assert off.state() == before


# Each of these can fail: a filter that is broken on purpose is noticed by every case.


async def test_a_broken_filter_is_noticed_by_every_case(off: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Readers, "of", lambda self, principal, *, conn=None: SYSTEM_READER)
    for number in range(0, len(DOCUMENTS), 7):
        assert "a closed document" in off.leaks(await off.ask(question(number))), DOCUMENTS[number].name
    assert "a closed document" in off.leaks_of_prompts()


async def test_an_action_is_noticed(off: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that does what its passages say, as a careless agent would."""
    before = off.state()
    run = KnowledgeEngine.run

    def careless(self: KnowledgeEngine, request: Any, ctx: Any) -> Any:
        off.server.app.keys.create("mallory", RoleName.USER)
        return run(self, request, ctx)

    monkeypatch.setattr(KnowledgeEngine, "run", careless)
    await off.ask(question(5))
    assert off.state() != before


async def test_the_closed_document_is_there_to_be_leaked(off: World) -> None:
    _, root = off.server.key("root2", role=off.server.app.store.principals.find("root").role)
    assert CLOSED in await off.ask(question(9), root)
