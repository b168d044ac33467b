from __future__ import annotations

from base64 import b64encode
from dataclasses import replace

import orjson
import pytest
from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines import Timeouts
from athanor.engines.adapters.anthropic import AnthropicEngine, connect
from athanor.errors import (
    InputError,
    UnsupportedError,
)
from athanor.plugins import load
from athanor.testing.engines import collect
from athanor.types import (
    Attachment,
    Image,
    Message,
    Reasoning,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from tests.engines.anthropic_engine import make
from tests.engines.vendors import WEATHER, ask, result, said, system, user
from tests.upstreams.anthropic import FakeAnthropic
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fake():
    async with FakeAnthropic() as fake:
        yield fake


@pytest.fixture
async def engine(fake):
    engine = make(fake.url, first_token=2.0, between_tokens=0.3, total=1.0)
    yield engine
    await engine.aclose()


async def body_of(engine, fake, *messages, **fields):
    await collect(engine, ask(*messages, **fields))
    return fake.bodies[-1]


async def test_the_least_that_is_sent(engine, fake):
    body = await body_of(engine, fake, "say hello")
    assert body == {
        "model": "claude-test",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "say hello"}]}],
        "stream": True,
    }
    headers = fake.headers[0]
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2026-10-21"
    assert "authorization" not in headers


async def test_messages_are_merged_and_blanks_left_out(engine, fake):
    body = await body_of(
        engine,
        fake,
        system("Be brief."),
        "one",
        user("  \n"),
        "two",
        said("", calls=(ToolCall(id="a.b/1", name="get_weather", arguments='{"city": "Paris"}'),)),
        system("Be kind."),
        user("and more"),
        result("Sunny.", "a.b/1"),
        tools=(WEATHER,),
    )
    assert body["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "a_b_1", "name": "get_weather", "input": {"city": "Paris"}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a_b_1", "content": "Sunny."},
                {"type": "text", "text": "and more"},
            ],
        },
    ]


async def test_results_of_parallel_calls_are_one_turn(engine, fake):
    calls = (
        ToolCall(id="1", name="get_weather", arguments=""),
        ToolCall(id="2", name="get_weather", arguments="{broken"),
        ToolCall(id="3", name="get_weather", arguments="[1]"),
    )
    answer = await collect(
        engine,
        ask("weather?", said("Look.", calls=calls), result("A", "1"), result("no", "2", failed=True), result("", "3")),
    )
    assert answer.text == "It is ."
    body = fake.bodies[0]
    assert [block["input"] for block in body["messages"][1]["content"][1:]] == [
        {},
        {"INVALID_JSON": "{broken"},
        {"INVALID_JSON": "[1]"},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "1", "content": "A"},
        {"type": "tool_result", "tool_use_id": "2", "content": "no", "is_error": True},
        {"type": "tool_result", "tool_use_id": "3"},
    ]
    # The caller gave no tools: those of the history are described, and not to be called.
    assert body["tools"] == [{"name": "get_weather", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


async def test_a_result_with_an_image(engine, fake):
    picture = Image(data="QUJD", mime="image/webp")
    call = ToolCall(id="1", name="look", arguments="{}")
    back = Message(role=Role.TOOL, content="Here.", call="1", parts=(Text(text="Here."), picture))
    await collect(engine, ask("look", said(calls=(call,)), back))
    assert fake.bodies[0]["messages"][2]["content"][0]["content"] == [
        {"type": "text", "text": "Here."},
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "QUJD"}},
    ]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            Image(data="QUJD", mime="image/jpeg", detail="high"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
        ),
        (
            Image(url="https://example.org/x.png"),
            {"type": "image", "source": {"type": "url", "url": "https://example.org/x.png"}},
        ),
        (
            Attachment(data="JVBERi0=", name="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                "title": "a.pdf",
            },
        ),
        (
            Attachment(url="https://example.org/x.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://example.org/x.pdf"}},
        ),
        (
            Attachment(data=b64encode("Grüße".encode()).decode(), mime="text/markdown"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
        ),
    ],
)
async def test_images_and_files(engine, fake, part, block):
    question = "image" if isinstance(part, Image) else "file"
    answer = await collect(engine, ask(user(question, part, Text(text=question))))
    assert answer.text == question
    assert fake.bodies[0]["messages"][0]["content"] == [block, {"type": "text", "text": question}]


@pytest.mark.parametrize(
    "message",
    [
        user("x", Image(data="QUJD", mime="image/tiff"), Text(text="x")),
        user("x", Attachment(data="QUJD", mime="application/zip"), Text(text="x")),
        user("x", Attachment(url="https://example.org/x.txt", mime="text/plain"), Text(text="x")),
        user("x", Attachment(data="!", mime="text/plain"), Text(text="x")),
        said("x", parts=(Image(data="QUJD"), Text(text="x"))),
        system("x", parts=(Attachment(data="QUJD"), Text(text="x"))),
    ],
)
async def test_parts_that_the_vendor_does_not_take(engine, fake, message):
    with pytest.raises(InputError) as caught:
        await collect(engine, ask("hello", message))
    assert caught.value.where == "messages"
    assert not fake.calls


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(), None),
        (ToolChoice(parallel=True), None),
        (ToolChoice(parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="none"), {"type": "none"}),
        (ToolChoice(mode="none", parallel=False), {"type": "none"}),
        (ToolChoice(mode="required"), {"type": "any"}),
        (ToolChoice(mode="required", parallel=False), {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(mode="tool", name="get_weather"), {"type": "tool", "name": "get_weather"}),
    ],
)
async def test_tool_choice(engine, fake, choice, sent):
    body = await body_of(engine, fake, "say x", tools=(WEATHER,), tool_choice=choice)
    assert body.get("tool_choice") == sent


async def test_tools_as_sent(engine, fake):
    tools = (WEATHER, Tool(name="bare", parameters={}), replace(WEATHER, name="strict", strict=True))
    tools += (Tool(name="now", parameters={}, strict=True),)
    body = await body_of(engine, fake, "say x", tools=tools)
    schema = dict(WEATHER.parameters)
    assert body["tools"] == [
        {"name": "get_weather", "description": "Get the weather.", "input_schema": schema},
        {"name": "bare", "input_schema": {"type": "object"}},
        {
            "name": "strict",
            "description": "Get the weather.",
            "input_schema": {**schema, "additionalProperties": False},
            "strict": True,
        },
        {
            "name": "now",
            "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
            "strict": True,
        },
    ]


async def test_a_choice_without_tools(engine, fake):
    assert "tool_choice" not in await body_of(engine, fake, "say x", tool_choice=ToolChoice(mode="none"))
    with pytest.raises(InputError, match="none is given"):
        await collect(engine, ask("hello", tool_choice=ToolChoice(mode="required")))


async def test_a_schema_is_closed(engine, fake):
    inner = {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]}
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": inner},
            "c": {"anyOf": [{"$ref": "#/$defs/d"}, {"type": "null"}]},
        },
        "$defs": {"d": inner},
    }
    before = orjson.dumps(schema)
    body = await body_of(engine, fake, "json", json_schema=schema, thinking=Thinking(effort="high"))
    closed = {**inner, "additionalProperties": False}
    assert body["output_config"] == {
        "effort": "high",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {
                    "a": {"type": "array", "items": closed},
                    "c": {"anyOf": [{"$ref": "#/$defs/d"}, {"type": "null"}]},
                },
                "$defs": {"d": closed},
                "additionalProperties": False,
            },
        },
    }
    assert orjson.dumps(schema) == before


async def test_json_of_any_shape_is_asked_for_in_words(engine, fake):
    body = await body_of(engine, fake, system("Be brief."), "json", json_schema={"type": "object"})
    assert "output_config" not in body
    assert [block["text"][:16] for block in body["system"]] == ["Be brief.", "Answer with one "]


async def test_an_object_of_any_shape_within_a_schema_is_refused(engine, fake):
    schema = {"type": "object", "properties": {"meta": {"type": "object"}}}
    with pytest.raises(UnsupportedError, match="any shape"):
        await collect(engine, ask("json", json_schema=schema))
    assert not fake.calls


async def test_a_schema_without_a_bottom_is_refused(engine):
    schema = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    with pytest.raises(InputError, match="too deep"):
        await collect(engine, ask("hello", json_schema=schema))


async def test_cache_marks_are_the_last_four(engine, fake):
    messages = [system("rules", cache=True)]
    for i in range(3):
        messages += [user(f"q{i}", cache=True), said(f"a{i}", cache=True)]
    body = await body_of(engine, fake, *messages, "say x")
    marks = ["cache_control" in block for turn in body["messages"] for block in turn["content"]]
    assert marks == [False, False, True, True, True, True, False]
    assert "cache_control" not in body["system"][0]
    body = await body_of(
        engine, fake, messages[0], said(reasoning=(Reasoning(signature="s"),), cache=True), user("say x", cache=True)
    )
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in body["messages"][0]["content"][0]


async def test_a_prefilled_answer_does_not_end_in_blanks(engine, fake):
    body = await body_of(engine, fake, "say x", said("The answer is  \n"))
    assert body["messages"][-1]["content"][0]["text"] == "The answer is"


async def test_the_end_user_is_passed_on(engine, fake):
    assert (await body_of(engine, fake, "say x", user="u-1"))["metadata"] == {"user_id": "u-1"}


@pytest.mark.parametrize(
    "request_",
    [
        ask(),
        ask("  "),
        ask(system("only rules")),
        ask("x", sampling=Sampling(max_tokens=0)),
        ask("x", sampling=Sampling(stop=("",))),
    ],
)
async def test_requests_that_no_model_can_answer(engine, fake, request_):
    with pytest.raises(InputError):
        await collect(engine, request_)
    assert not fake.calls


def test_it_is_found_by_its_name():
    assert load("engines", "anthropic") is AnthropicEngine


def test_headers_of_the_settings_are_sent_and_secrets_have_no_repr():
    settings = ModelSettings(source="https://x", api_version="2023-06-01", headers={"anthropic-beta": "b-1"})
    upstream = connect("https://x/v1", api_key=SecretStr(KEY), settings=settings, timeouts=Timeouts())
    assert KEY not in repr(upstream)
    assert upstream.shown == "https://x/v1"
