"""What each door takes, refuses and sends, byte for byte."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from athanor.governance import Grant
from athanor.types import CacheUse, Limits, Request, RoleName, Scopes
from tests.doors.callers import PDF
from tests.doors.conftest import House

pytestmark = pytest.mark.anyio
USER = [{"role": "user", "content": "say ok"}]
PATHS = {
    "/v1/chat/completions": {"messages": USER},
    "/v1/completions": {"prompt": "say ok"},
    "/v1/responses": {"input": "say ok"},
    "/v1/messages": {"messages": USER, "max_tokens": 100},
}


async def post(house: House, path: str, key: str = "", **body: Any) -> tuple[int, Any, Any]:
    """Status, body (JSON, or the text of a stream) and headers."""
    headers = {"authorization": f"Bearer {key or house.key}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(house.url + path, json={"model": "scripted", **body}, headers=headers) as reply,
    ):
        stream = reply.content_type == "text/event-stream"
        return reply.status, await (reply.text() if stream else reply.json()), reply.headers


def events_of(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True])
async def test_headers_tell_who_answered_and_what_is_left(house: House, path: str, stream: bool) -> None:
    limits = Limits(requests_per_minute=50, tokens_per_minute=100_000)
    _, secret = house.app.keys.create("bounded", RoleName.USER, grant=Grant(limits=limits))
    status, _, headers = await post(house, path, secret.reveal(), stream=stream, **PATHS[path])
    assert status == 200
    trace = headers["x-athanor-trace"]
    assert house.app.store.requests.get(trace).status == "ok"
    assert headers["x-athanor-model"] == "scripted"
    assert headers["x-ratelimit-limit-requests"] == "50"
    if path == "/v1/messages":
        assert headers["request-id"] == trace
        assert headers["anthropic-ratelimit-requests-limit"] == "50"
        assert int(headers["anthropic-ratelimit-tokens-remaining"]) < 100_000
        assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    else:
        assert headers["x-request-id"] == trace


REFUSED = [
    ("/v1/chat/completions", "n", 2),
    ("/v1/chat/completions", "audio", {"voice": "x"}),
    ("/v1/chat/completions", "modalities", ["audio"]),
    ("/v1/chat/completions", "logit_bias", {"1": 2}),
    ("/v1/chat/completions", "prediction", {"type": "content", "content": "x"}),
    ("/v1/chat/completions", "web_search_options", {}),
    ("/v1/chat/completions", "functions", []),
    ("/v1/chat/completions", "nonsense", 1),
    ("/v1/chat/completions", "tools", [{"type": "custom", "custom": {"name": "x"}}]),
    ("/v1/completions", "best_of", 3),
    ("/v1/completions", "echo", True),
    ("/v1/completions", "suffix", "x"),
    ("/v1/completions", "prompt", ["a", "b"]),
    ("/v1/completions", "prompt", [1, 2]),
    ("/v1/responses", "background", True),
    ("/v1/responses", "truncation", "auto"),
    ("/v1/responses", "conversation", "conv_1"),
    ("/v1/responses", "include", ["file_search_call.results"]),
    ("/v1/responses", "tools", [{"type": "web_search"}]),
    ("/v1/responses", "input", [{"type": "item_reference", "id": "x"}]),
    ("/v1/messages", "container", "x"),
    ("/v1/messages", "mcp_servers", []),
    ("/v1/messages", "tools", [{"type": "bash_20250124", "name": "bash"}]),
    ("/v1/messages", "messages", [{"role": "user", "content": [{"type": "search_result", "source": "x"}]}]),
]


@pytest.mark.parametrize(("path", "name", "value"), REFUSED, ids=[f"{path}:{name}" for path, name, _ in REFUSED])
async def test_what_has_no_effect_is_refused_by_name(house: House, path: str, name: str, value: Any) -> None:
    status, body, headers = await post(house, path, **{**PATHS[path], name: value})
    assert status == 400
    assert body["error"]["code"] == "unsupported"
    assert body["error"]["param"] == name
    assert headers["x-athanor-trace"]


@pytest.mark.parametrize("path", PATHS)
async def test_null_is_as_good_as_absent_and_hints_are_taken(house: House, path: str) -> None:
    hints: dict[str, Any] = {"service_tier": "auto"}
    if path != "/v1/messages":
        hints |= {"prompt_cache_key": "x", "metadata": {"a": "b"}}
    status, body, _ = await post(house, path, **PATHS[path], logit_bias=None, nonsense=None, **hints)
    assert status == 200, body


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "input_audio"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}, "messages"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "athanor-file:x"}}]}, "messages"),
        ({"role": "user", "content": [{"type": "file", "file": {"filename": "x"}}]}, "messages"),
        ({"role": "user", "content": [{"type": "song"}]}, "messages.1.content.0"),
        ({"role": "tool", "content": "x"}, "messages.tool_call_id"),
        ({"role": "user", "content": 5}, "messages.1.content"),
    ],
)
async def test_a_wrong_message_says_where(house: House, message: Any, param: str) -> None:
    status, body, _ = await post(house, "/v1/chat/completions", messages=[*USER, message])
    assert status == 400
    assert body["error"]["param"] == param


async def test_files_of_ones_own_are_read_by_their_id(house: House) -> None:
    sdk = AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.key, max_retries=0)
    file = await sdk.files.create(file=("paper.pdf", base64.b64decode(PDF)), purpose="user_data")
    part = {"type": "file", "file": {"file_id": file.id}}
    content = [{"type": "text", "text": "file"}, part]
    for model in ("openai", "anthropic", "gemini"):
        status, body, _ = await post(
            house, "/v1/chat/completions", model=model, messages=[{"role": "user", "content": content}]
        )
        assert status == 200, body
        assert body["choices"][0]["message"]["content"] == "file"
        assert PDF in json.dumps(house.fakes[model].bodies[-1])
    status, body, _ = await post(
        house,
        "/v1/responses",
        model="responses",
        input=[
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "file"}, {"type": "input_file", "file_id": file.id}],
            }
        ],
    )
    assert body["output"][0]["content"][0]["text"] == "file"
    _, secret = house.app.keys.create("stranger", RoleName.ADMIN)
    status, body, _ = await post(
        house, "/v1/chat/completions", secret.reveal(), messages=[{"role": "user", "content": content}]
    )
    assert status == 404


async def test_logprobs(house: House) -> None:
    odds = [{"role": "user", "content": "odds"}]
    _, body, _ = await post(house, "/v1/chat/completions", messages=odds, logprobs=True, top_logprobs=2)
    rows = body["choices"][0]["logprobs"]["content"]
    assert [row["token"] for row in rows] == ["one", " two"]
    assert len(rows[0]["top_logprobs"]) == 2
    assert bytes(rows[0]["bytes"]) == b"one"
    _, text, _ = await post(house, "/v1/chat/completions", messages=odds, logprobs=True, stream=True)
    deltas = [choice["logprobs"] for event in events_of(text) for choice in event["choices"] if choice["logprobs"]]
    assert [row["token"] for delta in deltas for row in delta["content"]] == ["one", " two"]
    _, body, _ = await post(house, "/v1/completions", prompt="odds", logprobs=2)
    columns = body["choices"][0]["logprobs"]
    assert (columns["tokens"], columns["text_offset"]) == (["one", " two"], [0, 3])
    _, body, _ = await post(house, "/v1/responses", input="odds", top_logprobs=2)
    assert len(body["output"][0]["content"][0]["logprobs"]) == 2
    status, body, _ = await post(house, "/v1/chat/completions", messages=odds, top_logprobs=2)
    assert (status, body["error"]["param"]) == (400, "top_logprobs")


@pytest.mark.parametrize("text", ["say ok", "tools", "parallel", "think", "long", "filter", "error"])
async def test_the_events_of_messages_are_in_legal_order(house: House, text: str) -> None:
    tool = {"name": "get_weather", "input_schema": {"type": "object"}}
    turns = [{"role": "user", "content": text}]
    _, raw, _ = await post(house, "/v1/messages", messages=turns, max_tokens=99, stream=True, tools=[tool])
    events = events_of(raw)
    assert [line[7:] for line in raw.splitlines() if line.startswith("event: ")] == [e["type"] for e in events]
    assert events[0]["type"] == "message_start"
    assert events[0]["message"]["usage"]["input_tokens"] >= 0
    open_, next_ = None, 0
    for event in events[1:]:
        match event["type"]:
            case "content_block_start":
                assert open_ is None
                assert event["index"] == next_
                open_, next_ = event["index"], next_ + 1
            case "content_block_delta":
                assert event["index"] == open_
            case "content_block_stop":
                assert event["index"] == open_
                open_ = None
    if text == "error":
        assert events[-1]["type"] == "error"
        assert events[-1]["error"]["type"] == "api_error"
    else:
        assert open_ is None
        assert [e["type"] for e in events[-2:]] == ["message_delta", "message_stop"]
        assert events[-2]["usage"]["output_tokens"] >= 0


async def test_cache_marks_cut_a_turn_for_the_vendors_cache(house: House) -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    sdk = AsyncAnthropic(base_url=house.url, api_key=house.key, max_retries=0)
    await sdk.messages.create(
        model="anthropic",
        max_tokens=10,
        system=[{"type": "text", "text": "Rules.", **mark}, {"type": "text", "text": "Today is Monday."}],  # type: ignore[typeddict-unknown-key]
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Long.", **mark}, {"type": "text", "text": "say ok"}]}  # type: ignore[typeddict-unknown-key]
        ],
    )
    body = house.fakes["anthropic"].bodies[-1]
    assert ["cache_control" in block for block in body["system"]] == [True, False]
    assert ["cache_control" in block for block in body["messages"][0]["content"]] == [True, False]


async def test_tokens_are_counted_for_whoever_may_ask(house: House) -> None:
    sdk = AsyncAnthropic(base_url=house.url, api_key=house.key, max_retries=0)
    few = await sdk.messages.count_tokens(model="scripted", messages=[{"role": "user", "content": "one"}])
    more = await sdk.messages.count_tokens(model="scripted", messages=[{"role": "user", "content": "one " * 100}])
    assert 0 < few.input_tokens < more.input_tokens
    with pytest.raises(anthropic.NotFoundError):
        await sdk.messages.count_tokens(model="nobody", messages=[{"role": "user", "content": "one"}])


async def test_responses_go_on_from_one_another(house: House) -> None:
    sdk = AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.key, max_retries=0)
    tool: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}
    first = await sdk.responses.create(model="openai", input="tools", tools=[tool], instructions="Be brief.")
    call = next(item for item in first.output if item.type == "function_call")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = await sdk.responses.create(model="openai", input=[result], tools=[tool], previous_response_id=first.id)
    assert second.output_text == "It is sunny."
    sent = house.fakes["openai"].bodies[-1]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]  # instructions are not carried on
    third = await sdk.responses.create(model="anthropic", input="say ok", tools=[tool], previous_response_id=second.id)
    assert third.output_text == "ok"
    assert (await sdk.responses.retrieve(second.id)).output_text == "It is sunny."
    items = [item async for item in sdk.responses.input_items.list(second.id)]
    assert [item.type for item in items] == ["function_call_output"]
    with pytest.raises(openai.ConflictError):
        await sdk.responses.cancel(second.id)
    await sdk.responses.delete(second.id)
    for lost in (
        sdk.responses.retrieve(second.id),
        sdk.responses.create(model="openai", input="say ok", previous_response_id=third.id),
    ):
        with pytest.raises(openai.NotFoundError):
            await lost


async def test_responses_are_ones_own_and_kept_only_if_wanted(house: House) -> None:
    sdk = AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.key, max_retries=0)
    kept = await sdk.responses.create(model="scripted", input="say ok")
    dropped = await sdk.responses.create(model="scripted", input="say ok", store=False)
    _, secret = house.app.keys.create("another", RoleName.ADMIN)
    other = AsyncOpenAI(base_url=f"{house.url}/v1", api_key=secret.reveal(), max_retries=0)
    for call in (
        sdk.responses.retrieve(dropped.id),
        other.responses.retrieve(kept.id),
        other.responses.delete(kept.id),
        other.responses.create(model="scripted", input="x", previous_response_id=kept.id),
    ):
        with pytest.raises(openai.NotFoundError):
            await call
    stream = await sdk.responses.create(model="scripted", input="say ok", stream=True)
    events = [event async for event in stream]
    assert (await sdk.responses.retrieve(events[-1].response.id)).output_text == "ok"  # type: ignore[union-attr]


async def test_cited_answers_in_every_format(house: House, tmp_path: Path) -> None:
    await house.learn(tmp_path, {"gate.txt": "The northern gate opens at seven. The southern gate opens at nine."})
    question = "When does the northern gate open?"
    _, chat, _ = await post(
        house, "/v1/chat/completions", model="docs", messages=[{"role": "user", "content": question}]
    )
    text = chat["choices"][0]["message"]["content"]
    assert "seven" in text
    quote = chat["choices"][0]["message"]["annotations"][0]["citation"]["quote"]

    sdk = AsyncAnthropic(base_url=house.url, api_key=house.key, max_retries=0)
    turns: Any = [{"role": "user", "content": question}]
    whole = await sdk.messages.create(model="docs", max_tokens=100, messages=turns)
    async with sdk.messages.stream(model="docs", max_tokens=100, messages=turns) as stream:
        streamed = await stream.get_final_message()
    for message in (whole, streamed):
        block: Any = message.content[0]
        note = block.citations[0]
        assert (note.type, note.cited_text, note.document_index) == ("char_location", quote, 0)
        assert block.text[note.athanor["answer_start"] : note.athanor["answer_end"]] == quote

    client = AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.key, max_retries=0)
    events = [event async for event in await client.responses.create(model="docs", input=question, stream=True)]
    assert "response.output_text.annotation.added" in {event.type for event in events}
    part: Any = events[-1].response.output[0].content[0]  # type: ignore[union-attr]
    note = part.annotations[0]
    assert part.text[note.start_index : note.end_index] == quote


@pytest.mark.parametrize("path", PATHS)
async def test_doors_are_closed_to_keys_that_are_not_for_them(house: House, path: str) -> None:
    names = {"/v1/chat/completions": "chat.completions"}
    name = names.get(path, path.rpartition("/")[2])
    for doors, status in (((name,), 200), (("embeddings",), 403)):
        _, secret = house.app.keys.create("narrow", RoleName.USER, grant=Grant(scopes=Scopes(doors=doors)))
        assert (await post(house, path, secret.reveal(), **PATHS[path]))[0] == status


async def test_cache_control_reaches_the_request(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Request] = []

    admit = type(house.app.guards).admit

    async def seeing(self: Any, request: Request, ctx: Any, **more: Any) -> Any:
        seen.append(request)
        return await admit(self, request, ctx, **more)

    monkeypatch.setattr(type(house.app.guards), "admit", seeing)
    headers = {"authorization": f"Bearer {house.key}", "cache-control": "no-store, max-age=5"}
    async with aiohttp.ClientSession() as http:
        for path, body in PATHS.items():
            async with http.post(house.url + path, json={"model": "scripted", **body}, headers=headers) as reply:
                assert reply.status == 200
            assert seen[-1].cache == CacheUse(read=True, write=False, max_age=5.0)
