"""The Model Context Protocol with its own client, over both transports and in both of its eras."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from athanor.types import Access, JobState, Limits, RoleName, Scopes
from tests.server.inside import Inside, inside, working

pytest.importorskip("mcp")
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

pytestmark = pytest.mark.anyio
BIRDS = {
    "heron.md": "# Heron\n\nThe heron nests in tall alders.\n",
    "swift.md": "# Swift\n\nThe swift sleeps while it flies.\n",
}


async def done(server: Inside, job: str) -> None:
    while server.app.store.jobs.get(job).state in {JobState.QUEUED, JobState.RUNNING}:
        await asyncio.sleep(0.02)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Inside]:
    """Two bases; of `birds`, the swift is closed."""
    async with inside(tmp_path / "home") as made, working(made.app):
        for base, names in (("birds", list(BIRDS)), ("other", ["heron.md"])):
            folder = tmp_path / base
            folder.mkdir()
            for name in names:
                (folder / name).write_text(BIRDS[name])
            found = await made.app.knowledge.ensure(base)
            job = await made.app.ingestion.enqueue_folder(found, folder)
            await done(made, job.id)
        for document in made.app.store.knowledge.documents(made.app.store.knowledge.get("birds").id):
            if document.source == "swift.md":
                made.app.store.knowledge.set_access(document.id, Access(readers=frozenset()))
        yield made


@asynccontextmanager
async def client(url: str, headers: dict[str, str], mode: str = "auto") -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as made,
    ):
        yield made


def said(result: Any) -> str:
    (content,) = result.content
    return str(content.text)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_agent_searches_reads_and_asks(server: Inside, mode: str) -> None:
    _, ada = server.key("ada", RoleName.ADMIN)
    async with client(f"{server.url}/mcp", ada, mode) as agent:
        assert agent.server_capabilities.tools is not None
        listed = await agent.list_tools()
        assert [tool.name for tool in listed.tools] == ["search", "ask", "fetch"]
        assert "birds, other" in listed.tools[0].input_schema["properties"]["knowledge_base"]["description"]

        found = await agent.call_tool("search", {"query": "Where does the heron nest?", "knowledge_base": "birds"})
        first = found.structured_content["results"][0]
        assert json.loads(said(found)) == found.structured_content
        assert "alders" in first["text"]
        assert first["url"].startswith(f"{server.url}/console/document/")

        read = await agent.call_tool("fetch", {"id": first["id"]})
        page = read.structured_content
        assert page["text"] == BIRDS["heron.md"]
        assert page["metadata"]["next"] is None
        assert page["metadata"]["knowledge_base"] == "birds"

        notes: list[str | None] = []

        async def progress(_: float, __: float | None, message: str | None) -> None:
            notes.append(message)

        question = {"question": "Where does the heron nest?", "knowledge_base": "birds"}
        answer = await agent.call_tool("ask", question, progress_callback=progress)
        own = answer.structured_content
        assert not own["abstained"], own
        assert own["citations"][0]["source"] == "heron.md"
        assert " [1]" in said(answer)
        assert own["citations"][0]["url"] in said(answer)
        assert notes


async def test_every_call_is_on_the_books(server: Inside) -> None:
    key, ada = server.key("ada", RoleName.ADMIN)
    async with client(f"{server.url}/mcp/birds", ada) as agent:
        found = await agent.call_tool("search", {"query": "heron"})
        await agent.call_tool("fetch", {"id": found.structured_content["results"][0]["id"]})
        await agent.call_tool("ask", {"question": "Where does the heron nest?"})
        await agent.call_tool("fetch", {"id": "doc_none"})
    rows = [row for row in server.app.store.requests.list(limit=10) if row.key == key.id]
    assert [(row.door, row.status) for row in rows] == [("mcp", "not_found"), *[("mcp", "ok")] * 3]
    assert rows[-1].usage.prompt_tokens > 0


async def test_a_closed_document_is_not_there(server: Inside) -> None:
    _, root = server.key("root", RoleName.ADMIN)
    _, ada = server.key("ada")
    async with client(f"{server.url}/mcp/birds", root) as agent:
        whole = (await agent.call_tool("search", {"query": "swift sleeps"})).structured_content["results"]
        hidden = next(one["id"] for one in whole if one["source"] == "swift.md")
        assert "flies" in said(await agent.call_tool("fetch", {"id": hidden}))
    async with client(f"{server.url}/mcp", ada) as agent:
        for base in ("birds", "other"):
            seen = await agent.call_tool("search", {"query": "swift sleeps", "knowledge_base": base})
            assert [one["source"] for one in seen.structured_content["results"]] == ["heron.md"]
        # To a limited reader the base is as one in which the document never was: scores, too.
        first, second = [
            (await agent.call_tool("search", {"query": "swift heron", "knowledge_base": base})).structured_content
            for base in ("birds", "other")
        ]
        assert [r["score"] for r in first["results"]] == [r["score"] for r in second["results"]]
        refused = await agent.call_tool("fetch", {"id": hidden})
        nothing = await agent.call_tool("fetch", {"id": "doc_none"})
        assert refused.is_error
        assert said(refused).replace(hidden.partition(":")[0], "") == said(nothing).replace("doc_none", "")
        answer = await agent.call_tool("ask", {"question": "When does the swift sleep?", "knowledge_base": "birds"})
        assert "flies" not in said(answer)


async def test_a_key_reaches_what_it_is_for(server: Inside) -> None:
    _, ada = server.key("ada", scopes=Scopes(knowledge=("other",)))
    async with client(f"{server.url}/mcp", ada) as agent:
        listed = await agent.list_tools()
        assert "birds" not in str(listed)
        assert listed.cache_scope == "private"
        # The only base need not be named.
        assert (await agent.call_tool("search", {"query": "heron"})).structured_content["results"]
        closed = await agent.call_tool("search", {"query": "heron", "knowledge_base": "birds"})
        missing = await agent.call_tool("search", {"query": "heron", "knowledge_base": "nothing"})
        assert said(closed).replace("birds", "") == said(missing).replace("nothing", "")
        asked = await agent.call_tool("ask", {"question": "heron?", "knowledge_base": "birds"})
        assert asked.is_error
        # The model of the server is no knowledge base.
        model = await agent.call_tool("ask", {"question": "heron?", "knowledge_base": "priced"})
        assert model.is_error
    _, files = server.key("bert", scopes=Scopes(doors=("files",)))
    assert (await server.call("POST", "/mcp", files, {}))[0] == 403


async def test_who_may_not_ask_still_searches(server: Inside) -> None:
    _, auditor = server.key("auditor", RoleName.AUDITOR)
    async with client(f"{server.url}/mcp", auditor) as agent:
        assert not (await agent.call_tool("search", {"query": "heron", "knowledge_base": "birds"})).is_error
        refused = await agent.call_tool("ask", {"question": "Where does the heron nest?"})
        assert refused.is_error
        assert "may not do this" in said(refused)
    assert len(server.app.store.requests.list()) == 1  # the search


async def test_what_is_wrong_is_said(server: Inside) -> None:
    _, ada = server.key("ada")
    async with client(f"{server.url}/mcp", ada) as agent:
        for arguments, words in (
            ({"query": "heron"}, "Which knowledge base"),
            ({"query": " ", "knowledge_base": "birds"}, "empty"),
            ({"query": "heron", "knowledge_base": "birds", "limit": 99}, "50"),
            ({"query": "heron", "knowledge_base": "birds", "filter": {}}, "not supported"),
            ({}, "required"),
            ({"query": "heron", "limit": 2**70}, "cannot be read"),
        ):
            result = await agent.call_tool("search", arguments)
            assert result.is_error
            assert words in said(result)
        for id_ in ("::", "doc_x:0", "doc_x:1:9", "doc_x:9999999999"):
            assert (await agent.call_tool("fetch", {"id": id_})).is_error
        with pytest.raises(Exception, match="no tool"):
            await agent.call_tool("erase", {})


async def test_strangers_and_other_sites_are_kept_out(server: Inside) -> None:
    _, ada = server.key("ada")
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    wants = {"accept": "application/json, text/event-stream"}
    async with server.http.post(f"{server.url}/mcp", headers=ada | wants, json=ping) as reply:
        assert reply.status == 200
    status, _, headers = await server.call("POST", "/mcp", {"authorization": "Bearer ath_none", **wants}, ping)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert (await server.call("POST", "/mcp", wants, ping))[0] == 401
    for foreign in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
        assert (await server.call("POST", "/mcp", ada | wants | foreign, ping))[0] == 403
    assert (await server.call("POST", "/mcp/nothing", ada | wants, ping))[0] == 404
    async with server.http.get(f"{server.url}/mcp", headers=ada) as reply:
        assert reply.status == 405
    with pytest.raises(ExceptionGroup):
        async with client(f"{server.url}/mcp", {"authorization": "Bearer ath_none"}):
            pass


async def test_limits_count_calls(server: Inside) -> None:
    _, ada = server.key("ada", limits=Limits(requests_per_minute=2))
    async with client(f"{server.url}/mcp/birds", ada) as agent:
        results = [await agent.call_tool("search", {"query": "heron"}) for _ in range(3)]
    assert [result.is_error for result in results] == [False, False, True]
    assert "Ask again in" in said(results[2])


async def test_a_long_document_is_read_in_parts(server: Inside, tmp_path: Path) -> None:
    text = "".join(f"Sentence number {n} of the long report.\n\n" for n in range(1500))
    folder = tmp_path / "long"
    folder.mkdir()
    (folder / "report.txt").write_text(text)
    base = await server.app.knowledge.ensure("long")
    job = await server.app.ingestion.enqueue_folder(base, folder)
    await done(server, job.id)
    (document,) = server.app.store.knowledge.documents(base.id)
    _, ada = server.key("ada")
    async with client(f"{server.url}/mcp/long", ada) as agent:
        parts, next_ = [], document.id
        while next_ is not None:
            page = (await agent.call_tool("fetch", {"id": next_})).structured_content
            parts.append(page["text"])
            next_ = page["metadata"]["next"]
        assert "".join(parts) == text
        assert len(parts) > 1
        middle = (await agent.call_tool("fetch", {"id": f"{document.id}:1:30000-30100"})).structured_content
        assert middle["metadata"]["start"] < 30000 < 30100 < middle["metadata"]["end"]
        assert (await agent.call_tool("fetch", {"id": f"{document.id}:1:900000-900100"})).is_error


async def test_over_standard_input_and_output(server: Inside, tmp_path: Path) -> None:
    _, ada = server.key("ada")
    environment = {
        "ATHANOR_URL": server.url,
        "ATHANOR_API_KEY": ada["authorization"].removeprefix("Bearer "),
        "ATHANOR_HOME": str(tmp_path / "elsewhere"),
        "PATH": os.environ.get("PATH", ""),
    }
    arguments = ["-m", "athanor", "mcp", "--kb", "birds"]
    process = StdioServerParameters(command=sys.executable, args=arguments, env=environment)
    async with Client(process) as agent:
        assert [tool.name for tool in (await agent.list_tools()).tools] == ["search", "ask", "fetch"]
        found = await agent.call_tool("search", {"query": "swift sleeps"})
        assert [one["source"] for one in found.structured_content["results"]] == ["heron.md"]
        answer = await agent.call_tool("ask", {"question": "Where does the heron nest?"})
        assert "alders" in said(answer)
        assert (await agent.call_tool("fetch", {"id": "doc_none"})).is_error
