from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from athanor.engines import Upstream
from athanor.engines.adapters.openai import OpenAIEngine
from athanor.errors import InputError, UnsupportedError
from athanor.testing.engines import chat, collect
from athanor.types import Attachment, Image, Message, Reasoning, Role, Sampling, Text, Thinking, ToolCall, ToolChoice
from tests.engines.asking import PROFILE, WEATHER, answered, ask, make
from tests.upstreams.openai import FakeOpenAI
from tests.upstreams.raw import stream, whole
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fake():
    async with FakeOpenAI() as fake:
        yield fake


@pytest.fixture
async def engine(fake):
    engine = make(fake.url, first_token=1.0, between_tokens=0.3)
    yield engine
    await engine.aclose()


async def test_a_bare_request_sends_nothing_else(engine, fake):
    await collect(engine, ask("say Hello there.", streamed=False))
    assert fake.bodies == [
        {"model": "far-model", "messages": [{"role": "user", "content": "say Hello there."}], "stream": False}
    ]
    assert fake.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_every_parameter_is_sent(engine, fake):
    sampling = Sampling(
        max_tokens=9, temperature=0.5, top_p=0.5, seed=3, stop=("x",), presence_penalty=0.1, frequency_penalty=-0.2
    )
    await collect(
        engine,
        replace(
            ask("say Hello."),
            sampling=sampling,
            tools=(replace(WEATHER, strict=True),),
            tool_choice=ToolChoice(mode="tool", name="get_weather", parallel=False),
            thinking=Thinking(effort="high"),
            logprobs=2,
            user="u-1",
        ),
    )
    sent = fake.bodies[0]
    assert sent.pop("messages")
    assert sent == {
        "model": "far-model",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.5,
        "seed": 3,
        "stop": ["x"],
        "presence_penalty": 0.1,
        "frequency_penalty": -0.2,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "Now.",
                    "parameters": dict(WEATHER.parameters),
                    "strict": True,
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "parallel_tool_calls": False,
        "reasoning_effort": "high",
        "logprobs": True,
        "top_logprobs": 2,
        "user": "u-1",
    }


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, {"type": "json_object"}),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}},
            False,
        ),
        (
            {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"], "additionalProperties": False},
            True,
        ),
        (
            {
                "type": "object",
                "properties": {"required": {"type": "array", "items": {"type": "object", "properties": {}}}},
                "required": ["required"],
                "additionalProperties": False,
            },
            False,
        ),
        ({"type": "string", "pattern": "^a", "not": {"const": "ab"}}, True),
    ],
)
async def test_a_schema_is_strict_where_strict_mode_takes_it(engine, fake, schema, expected):
    await collect(engine, ask("json", json_schema=schema))
    sent = fake.bodies[0]["response_format"]
    if isinstance(expected, dict):
        assert sent == expected
    else:
        assert sent["json_schema"] == {"name": "answer", "strict": expected, "schema": schema}


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        (Thinking(effort="minimal"), "minimal"),
        (Thinking(tokens=0), "none"),
        (Thinking(tokens=1024), "low"),
        (Thinking(tokens=4000), "medium"),
        (Thinking(tokens=32000), "high"),
        (Thinking(summary=True), None),
    ],
)
async def test_a_budget_becomes_an_effort(engine, fake, thinking, effort):
    await collect(engine, ask("think", thinking=thinking))
    assert fake.bodies[0].get("reasoning_effort") == effort


async def test_a_conversation_with_tools(engine, fake):
    messages = (
        Message(role=Role.SYSTEM, content="Be brief."),
        Message(role=Role.USER, content="Weather?", name="ann"),
        Message(
            role=Role.ASSISTANT,
            content="",
            calls=(
                ToolCall(id="c1", name="get_weather", arguments='{"city": "Paris"}'),
                ToolCall(id="c2", name="get_weather", arguments="not json"),
            ),
            reasoning=(Reasoning(text="I must look."),),
        ),
        Message(role=Role.TOOL, content="18 C", call="c1"),
        Message(role=Role.TOOL, content="no such city", call="c2", failed=True),
    )
    answer = await collect(engine, replace(ask(""), messages=messages, tools=(WEATHER,)))
    assert answer.text == "It is Error: no such city."
    assert fake.bodies[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?", "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                },
                {"id": "c2", "type": "function", "function": {"name": "get_weather", "arguments": "not json"}},
            ],
            "reasoning_content": "I must look.",
        },
        {"role": "tool", "content": "18 C", "tool_call_id": "c1"},
        {"role": "tool", "content": "Error: no such city", "tool_call_id": "c2"},
    ]


async def test_images_and_files(engine, fake):
    parts = (
        Text(text="image"),
        Image(data="aGk=", mime="image/jpeg", detail="low"),
        Image(url="https://pics.example/a.png"),
        Attachment(data="cGRm", name="a.pdf"),
    )
    message = Message(role=Role.USER, content="image", parts=parts)
    answer = await collect(engine, replace(ask(""), messages=(message,)))
    assert answer.text == "image"
    assert fake.bodies[0]["messages"][0]["content"] == [
        {"type": "text", "text": "image"},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aGk=", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://pics.example/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message(role=Role.USER, content="x", parts=(Attachment(url="https://a.example/b.pdf"),)),
        Message(role=Role.TOOL, content="x", call="c", parts=(Image(data="aGk="),)),
    ],
)
async def test_what_the_format_has_no_word_for_is_refused(engine, fake, message):
    with pytest.raises(UnsupportedError):
        await collect(engine, replace(ask(""), messages=(message,)))
    assert not fake.calls


async def test_what_the_model_lacks_is_refused(fake):
    engine = make(fake.url, replace(PROFILE, lacks=frozenset({"tools", "image", "seed"})))
    image = Message(role=Role.USER, content="", parts=(Image(data="aGk="),))
    for request, where in (
        (ask("tools", tools=(WEATHER,)), "tools"),
        (replace(ask(""), messages=(image,)), "messages"),
        (replace(ask("x"), sampling=Sampling(seed=1)), "seed"),
    ):
        with pytest.raises(UnsupportedError) as caught:
            await collect(engine, request)
        assert caught.value.where == where
    assert not fake.calls


async def test_openai_itself_is_asked_with_its_own_word():
    engine = OpenAIEngine(PROFILE, Upstream("https://api.openai.com/v1"))
    thought = Message(
        role=Role.ASSISTANT,
        content="",
        calls=(ToolCall(id="c", name="f", arguments="{}"),),
        reasoning=(Reasoning(text="Hm."),),
    )
    body = engine.body(replace(chat("x", max_tokens=5), messages=(thought,)))
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body
    assert "reasoning_content" not in body["messages"][0]


@pytest.mark.parametrize("refused", ["stream_options", "max_tokens", "reasoning_content"])
async def test_a_refused_parameter_is_learnt_once(fake, engine, refused):
    fake.refuses = {refused}
    turn = (
        Message(role=Role.USER, content="x"),
        Message(
            role=Role.ASSISTANT,
            content="",
            calls=(ToolCall(id="c", name="f", arguments="{}"),),
            reasoning=(Reasoning(text="Hm."),),
        ),
        Message(role=Role.TOOL, content="8", call="c"),
    )
    request = replace(ask(""), messages=turn, sampling=Sampling(max_tokens=50))
    answers = await asyncio.gather(collect(engine, request), collect(engine, request))
    assert [answer.text for answer in answers] == ["It is 8."] * 2
    asked = len(fake.calls)
    await collect(engine, request)
    assert len(fake.calls) == asked + 1


async def test_a_parameter_that_is_refused_under_both_names_is_an_error(fake, engine):
    fake.refuses = {"max_tokens", "max_completion_tokens"}
    for _ in range(2):
        with pytest.raises(InputError, match="Unrecognized"):
            await collect(engine, chat("say Hello."))


@pytest.mark.parametrize(
    "body",
    [
        {
            "object": "error",
            "message": {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not"}]},
        },
        {"error": {"message": "property 'stream_options' is unsupported, did you mean 'stream'?"}},
        {"message": "Stream option include_usage is not supported for this model."},
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"]}]},
    ],
)
async def test_refusals_of_the_wild_are_understood(body):
    good = stream({"choices": [{"delta": {"content": "Hi."}, "finish_reason": "stop"}]})
    answer, server = await answered([whole(body, status=422), good])
    assert answer.text == "Hi."
    assert ["stream_options" in call.body for call in server.calls] == [True, False]
