from __future__ import annotations

from dataclasses import replace

import openai
import pytest
from pydantic import SecretStr

from athanor.engines import Timeouts, Upstream
from athanor.engines.adapters.responses import ResponsesEngine
from athanor.errors import EngineError, EngineRefusedError, EngineTimeoutError, EngineUnavailableError, InputError
from athanor.testing.engines import collect, context
from athanor.types import (
    Attachment,
    FinishReason,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Role,
    Sampling,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
)
from tests.engines.asking import PROFILE, WEATHER, ask, calls_of, thoughts_of
from tests.upstreams.openai import ENCRYPTED, FakeOpenAI
from tests.upstreams.raw import RawServer, stream, whole
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio


def make(url: str, **timeouts: float) -> ResponsesEngine:
    upstream = Upstream(url, api_key=SecretStr(KEY), timeouts=Timeouts(**timeouts))
    return ResponsesEngine(PROFILE, upstream, model="far-model")


@pytest.fixture
async def fake():
    async with FakeOpenAI() as fake:
        yield fake


@pytest.fixture
async def engine(fake):
    engine = make(fake.url, first_token=1.0, between_tokens=0.3)
    yield engine
    await engine.aclose()


async def answered(raw: bytes, request=None):
    async with RawServer([raw]) as server:
        engine = make(server.url, first_token=1.0, between_tokens=0.5)
        try:
            return await collect(engine, request or ask("Hello."))
        finally:
            await engine.aclose()


def said(*events):
    return stream(*events, end=b"")


def done(**fields):
    return {"type": "response.completed", "response": {"status": "completed", **fields}}


# What is sent.


async def test_a_bare_request(engine, fake):
    await collect(engine, ask("say Hello.", streamed=False))
    assert fake.bodies == [
        {
            "model": "far-model",
            "input": [{"role": "user", "content": "say Hello."}],
            "stream": False,
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }
    ]
    assert fake.calls[0].path == "/v1/responses"


async def test_every_parameter_is_sent(engine, fake):
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    request = replace(
        ask("json", json_schema=schema),
        sampling=Sampling(max_tokens=99, temperature=0.5, top_p=0.5),
        tools=(WEATHER,),
        tool_choice=ToolChoice(mode="tool", name="get_weather", parallel=False),
        thinking=Thinking(effort="low", summary=True),
        logprobs=2,
        user="u-1",
    )
    await collect(engine, request)
    sent = fake.bodies[0]
    assert sent["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]
    assert sent["tools"] == [
        {
            "type": "function",
            "name": "get_weather",
            "description": "Now.",
            "parameters": dict(WEATHER.parameters),
            "strict": False,
        }
    ]
    assert sent["tool_choice"] == {"type": "function", "name": "get_weather"}
    assert sent["text"] == {"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}}
    assert sent["reasoning"] == {"effort": "low", "summary": "auto"}
    assert (sent["max_output_tokens"], sent["temperature"], sent["top_p"]) == (99, 0.5, 0.5)
    assert (sent["parallel_tool_calls"], sent["top_logprobs"], sent["user"]) == (False, 2, "u-1")


async def test_a_conversation_with_reasoning_and_tools(engine, fake):
    first = await collect(engine, ask("think"))
    thought = next(event for event in first.events if isinstance(event, ReasoningDelta) and event.signature)
    pictures = (Text(text="18 C"), Image(data="aGk="))
    messages = (
        Message(role=Role.SYSTEM, content="Be brief."),
        Message(role=Role.USER, content="Weather?", parts=(Attachment(url="https://a.example/b.pdf"),)),
        Message(
            role=Role.ASSISTANT,
            content="Let me look.",
            calls=(ToolCall(id="c1", name="get_weather", arguments='{"city": "Paris"}'),),
            reasoning=(
                Reasoning(text="I think.", signature=thought.signature),
                Reasoning(text="Another vendor's.", signature="anthropic:abc"),
                Reasoning(text="Nobody's."),
            ),
        ),
        Message(role=Role.TOOL, content="18 C", parts=pictures, call="c1", failed=True),
    )
    answer = await collect(engine, replace(ask(""), messages=messages, tools=(WEATHER,)))
    assert answer.text == "It is Error:18 C."
    assert fake.bodies[1]["input"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_file", "file_url": "https://a.example/b.pdf"}]},
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "I think."}],
            "encrypted_content": ENCRYPTED,
        },
        {"role": "assistant", "content": "Let me look."},
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city": "Paris"}'},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [
                {"type": "input_text", "text": "Error:"},
                {"type": "input_text", "text": "18 C"},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
            ],
        },
    ]


async def test_a_model_without_reasoning_is_asked_again_without_its_encryption(fake):
    engine = ResponsesEngine(PROFILE, Upstream(fake.url, api_key=SecretStr(KEY)), model="gpt-4o")
    for _ in range(2):
        assert (await collect(engine, ask("say Hello."))).text == "Hello."
    assert ["include" in body for body in fake.bodies] == [True, False, False]
    await engine.aclose()


# What comes back.


@pytest.mark.parametrize("streamed", [True, False])
class TestScenes:
    async def test_text_and_usage(self, engine, fake, streamed):
        for _ in range(2):
            answer = await collect(engine, ask("say Grüße 🌍 aus 世界.", streamed=streamed))
        assert answer.text == "Grüße 🌍 aus 世界."
        assert answer.finished.reason is FinishReason.STOP
        usage = answer.usage
        assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (10, 4, 6)
        assert fake.connections == 1

    async def test_tools(self, engine, streamed):
        answer = await collect(engine, ask("tools", streamed=streamed, tools=(WEATHER,)))
        assert answer.text == "Let me look."
        assert calls_of(answer) == [("call_1", "get_weather", '{"city":"Paris"}')]
        assert answer.finished.reason is FinishReason.TOOL_CALLS

    async def test_parallel_tools(self, engine, streamed):
        answer = await collect(engine, ask("parallel", streamed=streamed, tools=(WEATHER,)))
        assert [(i, arguments) for i, _, arguments in calls_of(answer)] == [
            ("call_1", '{"city":"Paris"}'),
            ("call_2", '{"city":"Rome"}'),
        ]

    async def test_reasoning(self, engine, streamed):
        answer = await collect(engine, ask("think", streamed=streamed, thinking=Thinking(summary=True)))
        assert (thoughts_of(answer), answer.text) == ("I think.", "Done.")
        thoughts = [event for event in answer.events if isinstance(event, ReasoningDelta)]
        assert [event.signature for event in thoughts if event.signature] == [f"openai:{ENCRYPTED}"]
        assert thoughts[-1].signature
        assert not any(event.redacted for event in thoughts)
        assert (answer.usage.completion_tokens, answer.usage.reasoning_tokens) == (6, 2)

    @pytest.mark.parametrize(("word", "reason"), [("long", FinishReason.LENGTH), ("filter", FinishReason.FILTERED)])
    async def test_incomplete_answers(self, engine, streamed, word, reason):
        answer = await collect(engine, ask(word, streamed=streamed))
        assert answer.finished.reason is reason
        assert answer.usage.total_tokens == 16

    @pytest.mark.parametrize(("word", "part"), [("image", Image(data="aGk=")), ("file", Attachment(data="aGk="))])
    async def test_images_and_files(self, engine, streamed, word, part):
        message = Message(role=Role.USER, content=word, parts=(Text(text=word), part))
        answer = await collect(engine, replace(ask("", streamed=streamed), messages=(message,)))
        assert answer.text == word

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(400, InputError), (401, EngineRefusedError), (404, EngineRefusedError), (429, EngineUnavailableError)],
    )
    async def test_refusals(self, engine, streamed, status, kind):
        with pytest.raises(kind) as caught:
            await collect(engine, ask(f"status {status}", streamed=streamed))
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize("how", ["break", "malformed", "error"])
    async def test_what_breaks_is_an_engine_error(self, engine, streamed, how):
        spoken = 0
        with pytest.raises(EngineError) as caught:
            async for _ in engine.run(ask(how, streamed=streamed), context()):
                spoken += 1
        assert KEY not in str(caught.value)
        assert bool(spoken) is streamed

    async def test_a_stall_times_out(self, fake, streamed):
        engine = make(fake.url, between_tokens=0.1, total=0.5)
        with pytest.raises(EngineTimeoutError):
            await collect(engine, ask("stall", streamed=streamed), seconds=5)
        await engine.aclose()


# Bytes written by hand.

TEXT = {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}


async def test_a_failed_answer_is_an_error():
    error = {"code": "server_error", "message": f"It failed with {KEY}."}
    failed = {"type": "response.failed", "response": {"status": "failed", "error": error}}
    body = {"status": "failed", "error": error, "output": []}
    for raw, streamed in ((said(TEXT, failed), True), (whole(body), False)):
        with pytest.raises(EngineError, match="It failed") as caught:
            await answered(raw, ask("x", streamed=streamed))
        assert KEY not in str(caught.value)
    busy = {"type": "error", "error": {"type": "rate_limit_exceeded", "message": "Too fast."}}
    with pytest.raises(EngineUnavailableError, match="Too fast"):
        await answered(said(busy))


@pytest.mark.parametrize(
    "raw",
    [
        said(TEXT),
        said(TEXT, {"type": "response.completed", "response": None}),
        said(TEXT, {"type": "response.completed", "response": {"status": "cancelled"}}),
        said({"type": "response.output_item.added", "item": {"type": "function_call", "call_id": "c"}}),
    ],
)
async def test_a_stream_without_a_good_end_is_an_error(raw):
    with pytest.raises(EngineError):
        await answered(raw)


@pytest.mark.parametrize(
    "body", [[], {}, {"status": "completed"}, {"status": "in_progress", "output": []}, {"output": 3}]
)
async def test_an_answer_that_is_none_is_an_error(body):
    with pytest.raises(EngineError):
        await answered(whole(body), ask("x", streamed=False))


async def test_items_without_deltas_are_told_when_they_are_done():
    item = {"type": "message", "content": [{"type": "output_text", "text": "Hi."}, 3]}
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    late = {"type": "function_call", "call_id": "c2", "name": "g", "arguments": '{"a":1}'}
    answer = await answered(
        said(
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 1, "item": call},
            {"type": "response.output_item.added", "output_index": 2, "item": {**late, "arguments": ""}},
            {"type": "response.output_item.done", "output_index": 2, "item": late},
            {"type": "response.output_item.done", "output_index": 3, "item": None},
            {"type": "response.web_search_call.searching", "output_index": 4},
            done(),
        )
    )
    assert answer.text == "Hi."
    assert calls_of(answer) == [("c1", "f", "{}"), ("c2", "g", '{"a":1}')]
    assert answer.finished.reason is FinishReason.TOOL_CALLS


async def test_a_refusal_is_filtered_with_its_text():
    answer = await answered(
        said({"type": "response.refusal.delta", "output_index": 0, "delta": "I won't."}, done()),
    )
    assert (answer.text, answer.finished.reason) == ("I won't.", FinishReason.FILTERED)
    item = {"type": "message", "content": [{"type": "refusal", "refusal": "I won't."}]}
    answer = await answered(whole({"status": "completed", "output": [item]}), ask("x", streamed=False))
    assert (answer.text, answer.finished.reason) == ("I won't.", FinishReason.FILTERED)


async def test_reasoning_without_text_is_redacted_and_kept():
    item = {"type": "reasoning", "summary": [], "encrypted_content": "abc="}
    bare = {"type": "reasoning", "summary": []}
    answer = await answered(
        said(
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 1, "item": bare},
            done(),
        )
    )
    (event,) = answer.events[:-1]
    assert (event.text, event.signature, event.redacted) == ("", "openai:abc=", True)


async def test_parts_of_a_summary_are_paragraphs():
    delta = {"type": "response.reasoning_summary_text.delta", "output_index": 0}
    part = {"type": "response.reasoning_summary_part.added", "output_index": 0}
    answer = await answered(
        said(
            {**part, "summary_index": 0},
            {**delta, "delta": "One."},
            {**part, "summary_index": 1},
            {**delta, "delta": "Two."},
            done(),
        )
    )
    assert thoughts_of(answer) == "One.\n\nTwo."


async def test_logprobs():
    logprobs = [{"token": "Hi", "logprob": -0.5, "top_logprobs": [{"token": "Hi", "logprob": -0.5}]}]
    item = {"type": "message", "content": [{"type": "output_text", "text": "Hi", "logprobs": logprobs}]}
    for raw, streamed in (
        (said({**TEXT, "logprobs": logprobs}, done()), True),
        (whole({"status": "completed", "output": [item]}), False),
    ):
        answer = await answered(raw, ask("x", streamed=streamed, logprobs=1))
        (token,) = answer.events[0].logprobs
        assert (token.token, token.logprob, token.top) == ("Hi", -0.5, (("Hi", -0.5),))


# The vendor's own client reads the fake: it speaks the format.


async def test_the_vendors_client_against_the_fake(fake):
    async with openai.AsyncOpenAI(api_key=KEY, base_url=fake.url, max_retries=0) as client:
        async with client.responses.stream(model="m", input="tools") as events:
            final = await events.get_final_response()
        assert final.output_text == "Let me look."
        assert final.output[1].arguments == '{"city":"Paris"}'
        answer = await client.responses.create(model="m", input="think", store=False)
        assert answer.output[0].encrypted_content == ENCRYPTED
        assert answer.usage.output_tokens_details.reasoning_tokens == 2
        events = [event async for event in await client.responses.create(model="m", input="error", stream=True)]
        assert events[-1].type == "error"
