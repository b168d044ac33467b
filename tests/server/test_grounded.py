"""Grades of sentences through every door, what is done with the unsupported, and `/api/grade`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from athanor.types import Access, JobState, RoleName, Scopes
from tests.server.inside import Inside, inside, working

pytestmark = pytest.mark.anyio
TEXTS = {
    "heron.md": "# Heron\n\nThe heron nests in tall alders near the river.\n",
    "swift.md": "# Swift\n\nThe swift sleeps while it flies above the clouds.\n",
}
QUESTION = "Where does the heron nest?"
TRUE = "The heron nests in tall alders near the river."
FALSE = "Penguins repair submarines in Antarctica every Wednesday."
RULES = [{"pattern": "(?i)heron nest", "answer": f"{TRUE} {FALSE}"}]


@asynccontextmanager
async def filled(home: Path, settings: Mapping[str, object] | None = None, **script: Any) -> AsyncIterator[Inside]:
    """A server whose base `birds` holds the texts."""
    folder = home / "texts"
    folder.mkdir(parents=True)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    async with inside(home / "home", settings=settings, **{"rules": RULES, **script}) as server, working(server.app):
        job = await server.app.ingestion.enqueue_folder(await server.app.knowledge.ensure("birds"), folder)
        while server.app.store.jobs.get(job.id).state in {JobState.QUEUED, JobState.RUNNING}:
            await asyncio.sleep(0.02)
        yield server


def bearer(headers: Mapping[str, str]) -> str:
    return headers["authorization"].removeprefix("Bearer ")


async def test_unsupported_sentences_are_dropped_and_counted(tmp_path: Path) -> None:
    async with filled(tmp_path) as server:
        _, ada = server.key("ada")
        _, said, _ = await server.chat(ada, QUESTION, model="birds")
    own = said["athanor"]
    assert said["choices"][0]["message"]["content"] == TRUE
    assert own["dropped"] == 1
    assert [one["supported"] for one in own["sentences"]] == [True]
    assert own["groundedness"] == min(one["score"] for one in own["sentences"])


async def test_grades_go_through_every_door(tmp_path: Path) -> None:
    async with filled(tmp_path, {"knowledge.unsupported": "mark"}) as server:
        _, headers = server.key("ada")
        async with (
            AsyncOpenAI(base_url=f"{server.url}/v1", api_key=bearer(headers), max_retries=0) as openai,
            AsyncAnthropic(base_url=server.url, api_key=bearer(headers), max_retries=0) as anthropic,
        ):
            asked: list[Any] = [{"role": "user", "content": QUESTION}]
            whole = await openai.chat.completions.create(model="birds", messages=asked)
            own = whole.model_extra["athanor"]  # type: ignore[index]
            text = whole.choices[0].message.content or ""
            # What no source supports is there, and marked.
            assert TRUE in text
            assert FALSE in text
            assert [one["supported"] for one in own["sentences"]] == [True, False]
            assert FALSE in text[own["sentences"][1]["start"] : own["sentences"][1]["end"]]
            assert own["groundedness"] == own["sentences"][1]["score"]

            live, streamed, last = [], "", {}
            async for chunk in await openai.chat.completions.create(model="birds", messages=asked, stream=True):
                extra = (chunk.choices[0].delta.model_extra or {}).get("athanor", {})
                live += [extra["graded"]] if "graded" in extra else []
                streamed += chunk.choices[0].delta.content or ""
                last = (chunk.model_extra or {}).get("athanor", last)
            assert (streamed, live) == (text, own["sentences"])
            assert last["sentences"] == own["sentences"]

            message = await anthropic.messages.create(model="birds", max_tokens=500, messages=asked)
            assert message.model_extra["athanor"]["sentences"] == own["sentences"]  # type: ignore[index]
            live = []
            async with anthropic.messages.stream(model="birds", max_tokens=500, messages=asked) as stream:
                async for event in stream:
                    if event.type == "content_block_delta" and "athanor" in (event.delta.model_extra or {}):
                        live.append((event.delta.model_extra or {})["athanor"]["graded"])
            assert live == own["sentences"]

            response = await openai.responses.create(model="birds", input=QUESTION)
            assert response.model_extra["athanor"]["sentences"] == own["sentences"]  # type: ignore[index]


async def test_a_model_that_is_able_is_asked_and_billed(tmp_path: Path) -> None:
    """Held to the schema of a judge, the scripted model says no: the least that the schema allows."""
    rules = [{"pattern": "heron nest", "answer": "The heron nests in tall trees near the river."}]
    scores, tokens = {}, {}
    for asked in (True, False):
        settings: dict[str, object] = {"knowledge.unsupported": "mark", "knowledge.entailment": asked}
        async with filled(tmp_path / str(asked), settings, rules=rules) as server:
            _, ada = server.key("ada")
            _, said, _ = await server.chat(ada, QUESTION, model="birds")
        (sentence,) = said["athanor"]["sentences"]
        scores[asked], tokens[asked] = sentence["score"], said["usage"]["prompt_tokens"]
    assert 0 < scores[True] < scores[False] < 1
    assert tokens[True] > tokens[False]


async def test_any_text_is_graded_against_sources(tmp_path: Path) -> None:
    async with inside(tmp_path) as server:
        _, ada = server.key("ada")
        sources = [{"text": FALSE.replace("Penguins", "Whales"), "title": "Sea"}, {"text": TRUE}]
        body = {"answer": f"{TRUE} Nobody knows the price of gold today.", "sources": sources}
        status, graded, _ = await server.call("POST", "/api/grade", ada, body)
        assert status == 200
        first, second = graded["sentences"]
        assert first["text"] == TRUE
        assert (first["supported"], second["supported"]) == (True, False)
        (cited,) = first["citations"]
        assert (cited["index"], cited["quote"]) == (1, TRUE)
        assert sources[1]["text"][cited["start"] : cited["end"]] == TRUE
        assert graded["groundedness"] == second["score"]
        # The caller's own threshold.
        _, lax, _ = await server.call("POST", "/api/grade", ada, {**body, "threshold": 0})
        assert [one["supported"] for one in lax["sentences"]] == [True, True]

        for wrong, words in (
            ({"answer": "x"}, "either"),
            ({"answer": "x", "sources": sources, "knowledge": "birds"}, "either"),
            ({"answer": "One is here. " * 201, "sources": sources}, "200"),
            ({"answer": "", "sources": sources}, "at least 1"),
            ({"answer": "x", "knowledge": "nothing"}, "no knowledge base"),
        ):
            status, reply, _ = await server.call("POST", "/api/grade", ada, wrong)
            assert status in {400, 404}
            assert words in reply["error"]["message"]


async def test_a_text_is_graded_by_what_its_reader_may_read(tmp_path: Path) -> None:
    async with filled(tmp_path) as server:
        _, root = server.key("root", RoleName.ADMIN)
        _, ada = server.key("ada")
        _, other = server.key("bert", scopes=Scopes(knowledge=("else",)))
        body = {"answer": "The swift sleeps while it flies above the clouds.", "knowledge": "birds"}
        _, graded, _ = await server.call("POST", "/api/grade", ada, body)
        assert graded["sentences"][0]["supported"]
        assert graded["sentences"][0]["citations"][0]["source"] == "swift.md"
        base = server.app.store.knowledge.get("birds")
        for document in server.app.store.knowledge.documents(base.id):
            if document.source == "swift.md":
                server.app.store.knowledge.set_access(document.id, Access(readers=frozenset()))
        _, graded, _ = await server.call("POST", "/api/grade", ada, body)
        assert not graded["sentences"][0]["supported"]
        assert "swift.md" not in json.dumps(graded)
        _, graded, _ = await server.call("POST", "/api/grade", root, body)
        assert graded["sentences"][0]["supported"]
        assert (await server.call("POST", "/api/grade", other, body))[0] == 404
