"""LangChain's clients, unmodified, before our doors."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.doors.conftest import House

pytestmark = pytest.mark.anyio


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"{city} is sunny"


def langchain_models(house: House, model: str) -> dict[str, Any]:
    v1 = {"base_url": f"{house.url}/v1", "api_key": house.key, "max_retries": 0}
    return {
        "chat": ChatOpenAI(model=model, stream_usage=True, **v1),
        "responses": ChatOpenAI(model=model, use_responses_api=True, **v1),
        "messages": ChatAnthropic(
            model=model, base_url=house.url, api_key=house.key, max_retries=0, max_tokens=1024, timeout=None, stop=None
        ),
    }


@pytest.mark.parametrize("door", ["chat", "responses", "messages"])
@pytest.mark.parametrize("model", ["openai", "anthropic", "scripted"])
async def test_langchain(house: House, door: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    llm = langchain_models(house, model)[door]
    reply = await llm.ainvoke("say Grüße 🌍 you")
    assert reply.text == "Grüße 🌍 you"
    assert reply.usage_metadata["total_tokens"] > 0

    pieces = [piece async for piece in llm.astream("say Grüße 🌍 you")]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert whole.text == "Grüße 🌍 you"
    assert sum(bool(piece.text) for piece in pieces) > 1

    armed = llm.bind_tools([get_weather])
    called = await armed.ainvoke("tools")
    (call,) = called.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    result = {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}
    answer = await armed.ainvoke([{"role": "user", "content": "tools"}, called, result])
    assert answer.text == "It is sunny."

    schema = {
        "title": "value_of",
        "description": "A value.",
        "type": "object",
        "properties": {"value": {"type": "string", "enum": ["x"]}},
        "required": ["value"],
        "additionalProperties": False,
    }
    shaped = llm.with_structured_output(schema, method="json_schema")
    assert await shaped.ainvoke("json") == {"value": "x"}


async def test_langchain_embeddings(house: House) -> None:
    embedder = OpenAIEmbeddings(
        model="default", base_url=f"{house.url}/v1", api_key=house.key, check_embedding_ctx_length=False, max_retries=0
    )
    one, two = await embedder.aembed_documents(["one two", "three"])
    assert len(one) == len(two) == 256
