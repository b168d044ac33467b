"""LlamaIndex's client, unmodified, before our doors.

Skipped where it is not installed: its releases want an `openai` that is older than the one tested here. To run it:
`pip install --target DIR llama-index-llms-openai-like`, then pytest with `PYTHONPATH=DIR`.
"""

from __future__ import annotations

import pytest

from tests.doors.conftest import House

like = pytest.importorskip("llama_index.llms.openai_like")
llms = pytest.importorskip("llama_index.core.llms")
tools = pytest.importorskip("llama_index.core.tools")

pytestmark = pytest.mark.anyio


def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"{city} is sunny"


@pytest.mark.parametrize("model", ["openai", "azure", "scripted"])
async def test_llama_index(house: House, model: str) -> None:
    llm = like.OpenAILike(
        model=model,
        api_base=f"{house.url}/v1",
        api_key=house.key,
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=4096,
        max_retries=0,
    )
    reply = await llm.achat([llms.ChatMessage(role="user", content="say Grüße 🌍 you")])
    assert reply.message.content == "Grüße 🌍 you"
    text = ""
    async for piece in await llm.astream_chat([llms.ChatMessage(role="user", content="say Grüße 🌍 you")]):
        text += piece.delta or ""
    assert text == "Grüße 🌍 you"
    tool = tools.FunctionTool.from_defaults(get_weather)
    called = await llm.achat_with_tools([tool], user_msg="tools")
    (call,) = llm.get_tool_calls_from_response(called)
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", {"city": "Paris"})
    plain = like.OpenAILike(
        model=model, api_base=f"{house.url}/v1", api_key=house.key, is_chat_model=False, context_window=4096
    )
    assert (await plain.acomplete("say ok")).text == "ok"
