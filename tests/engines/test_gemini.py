from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
from google import genai
from google.genai import types as google
from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines import Timeouts
from athanor.engines.adapters.gemini import GeminiEngine, connect
from athanor.errors import (
    EngineError,
    EngineRefusedError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
)
from athanor.plugins import load
from athanor.testing.engines import EngineConformance, collect, context
from athanor.types import FinishReason, Reasoning, ReasoningDelta, TextDelta, ToolCall, ToolCallDelta, Usage
from tests.engines.gemini_engine import PROFILE, make
from tests.engines.vendors import FULL, WEATHER, ask, calls_of, result, said
from tests.upstreams.gemini import SIGNATURE, FakeGemini
from tests.upstreams.model import CONTEXT, FakeGeminiModel
from tests.upstreams.scenes import KEY

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),  # the vendor's own client
]


@pytest.fixture
async def fake():
    async with FakeGemini() as fake:
        yield fake


@pytest.fixture
async def engine(fake):
    engine = make(fake.url, first_token=2.0, between_tokens=0.3, total=1.0)
    yield engine
    await engine.aclose()


class TestGeminiEngine(EngineConformance):
    loads_slowly = False

    @pytest.fixture
    async def engine(self):
        async with FakeGeminiModel() as model:
            engine = make(model.url, replace(PROFILE, context=CONTEXT, max_tokens=512))
            await engine.start()
            yield engine
            await engine.aclose()

    def make_engine(self):
        return make("http://127.0.0.1:9/v1beta", connect=1.0)

    async def test_cancelling_while_it_loads(self):
        pytest.skip("an endpoint does not load")

    async def test_what_cannot_be_enforced_is_refused(self, engine):
        pytest.skip("an endpoint says itself what it cannot enforce")


@pytest.fixture(params=[True, False], ids=["stream", "whole"])
def stream(request):
    return request.param


@pytest.mark.parametrize(
    ("question", "text", "reason"),
    [
        ("say Grüße 🌍 an alle", "Grüße 🌍 an alle", FinishReason.STOP),
        ("json", '{"value": "x"}', FinishReason.STOP),
        ("long", "cut", FinishReason.LENGTH),
        ("slow", "one two three", FinishReason.STOP),
    ],
)
async def test_text(engine, question, text, reason, stream):
    answer = await collect(engine, ask(question, stream=stream))
    assert answer.text == text
    assert answer.finished.reason is reason
    assert answer.usage == FULL
    assert not engine.state().detail


async def test_a_filter(engine, stream):
    answer = await collect(engine, ask("filter", stream=stream))
    assert answer.finished.reason is FinishReason.FILTERED
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 0)


async def test_where_it_is_asked(engine, fake):
    await collect(engine, ask("say hello there"))
    await collect(engine, ask("say hello there", stream=False))
    assert [call.path for call in fake.calls] == [
        "/v1beta/models/gemini-test:streamGenerateContent?alt=sse",
        "/v1beta/models/gemini-test:generateContent",
    ]
    assert fake.headers[0]["x-goog-api-key"] == KEY
    assert "authorization" not in fake.headers[0]
    assert fake.connections == 1
    tuned = make(fake.url, model="tunedModels/mine")
    await collect(tuned, ask("say hello there"))
    assert fake.calls[-1].path.startswith("/v1beta/tunedModels/mine:stream")
    await tuned.aclose()


async def test_a_models_name_cannot_leave_its_path(fake):
    engine = make(fake.url, model="a?b#c d%2f")
    await collect(engine, ask("hello", stream=False))
    assert fake.calls[0].path == "/v1beta/models/a%3Fb%23c%20d%252f:generateContent"
    await engine.aclose()


async def test_tools(engine, stream):
    answer = await collect(engine, ask("tools", tools=(WEATHER,), stream=stream))
    assert answer.text == "Let me look."
    assert calls_of(answer.events) == [("call_1", "get_weather", '{"city":"Paris"}')]
    assert answer.finished.reason is FinishReason.TOOL_CALLS


async def test_parallel_calls_and_their_proof_go_back(engine, fake, stream):
    answer = await collect(engine, ask("parallel", tools=(WEATHER,), stream=stream))
    deltas = [event for event in answer.events if isinstance(event, ToolCallDelta)]
    assert [(d.index, d.id, d.arguments) for d in deltas] == [
        (0, "call_1", '{"city":"Paris"}'),
        (1, "call_2", '{"city":"Rome"}'),
    ]
    calls = tuple(ToolCall(id=d.id, name=d.name, arguments=d.arguments, signature=d.signature) for d in deltas)
    again = await collect(
        engine, ask("parallel", said(calls=calls), result("22 °C", "call_2"), result("20 °C", "call_1"), stream=stream)
    )
    assert again.text == "It is 22 °C."  # the last call's, whose result came first
    _, model, tool = fake.bodies[-1]["contents"]
    assert model["parts"] == [
        {
            "functionCall": {"name": "get_weather", "args": {"city": "Paris"}, "id": "call_1"},
            "thoughtSignature": SIGNATURE,
        },
        {"functionCall": {"name": "get_weather", "args": {"city": "Rome"}, "id": "call_2"}},
    ]
    assert tool["role"] == "user"
    assert tool["parts"] == [
        {"functionResponse": {"name": "get_weather", "response": {"output": "20 °C"}, "id": "call_1"}},
        {"functionResponse": {"name": "get_weather", "response": {"output": "22 °C"}, "id": "call_2"}},
    ]


async def test_thinking_comes_with_its_proof_and_goes_back(engine, fake, stream):
    answer = await collect(engine, ask("think", stream=stream))
    thoughts = [event for event in answer.events if isinstance(event, ReasoningDelta)]
    assert "".join(event.text for event in thoughts) == "I think."
    assert answer.text == "Done."
    assert answer.usage == replace(FULL, reasoning_tokens=2)
    back = said("Done.", reasoning=(Reasoning(text="I think.", signature=thoughts[-1].signature),))
    await collect(engine, ask("think", back, "say more"))
    assert fake.bodies[-1]["contents"][1]["parts"] == [{"text": "Done.", "thoughtSignature": SIGNATURE}]


async def test_whole_is_paid_with_its_first_event(engine):
    answer = await collect(engine, ask("think", stream=False))
    assert answer.events[0].usage == replace(FULL, reasoning_tokens=2)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, InputError, "refused the request"),
        (401, EngineRefusedError, "api_key"),  # HTTP 400 there, with API_KEY_INVALID
        (403, EngineRefusedError, "api_key"),
        (404, EngineRefusedError, "upstream"),
        (429, EngineUnavailableError, "in 1 s"),
        (500, EngineError, "HTTP 500"),
        (503, EngineUnavailableError, "in 1 s"),
        (504, EngineTimeoutError, "timed out"),
    ],
)
async def test_refusals(engine, status, kind, words, stream):
    with pytest.raises(kind) as caught:
        await collect(engine, ask(f"status {status}", stream=stream))
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert KEY not in str(caught.value)


async def test_a_wrong_key_is_refused(fake):
    settings = ModelSettings(source=fake.url)
    upstream = connect(fake.url, api_key=SecretStr("wrong-key"), settings=settings, timeouts=Timeouts())
    engine = GeminiEngine(PROFILE, upstream)
    with pytest.raises(EngineRefusedError) as caught:
        await collect(engine, ask("hello"))
    assert "wrong-key" not in str(caught.value)
    await engine.aclose()


@pytest.mark.parametrize(
    ("question", "kind", "words", "before"),
    [
        ("break", EngineError, "broke", "half way"),
        ("malformed", EngineError, "no JSON", "half"),
        ("error", EngineUnavailableError, "overloaded", "half"),
        ("stall", EngineTimeoutError, "nothing for 0.3 s", "half"),
    ],
)
async def test_a_stream_that_fails_in_the_middle(engine, question, kind, words, before):
    text, usage = "", Usage()
    with pytest.raises(kind) as caught:
        async for event in engine.run(ask(question), context()):
            text, usage = text + event.text, usage + event.usage
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert KEY not in str(caught.value)
    assert text == before
    assert (usage.prompt_tokens, usage.cached_tokens) == (10, 4)
    assert usage.completion_tokens > 0
    assert (await collect(engine, ask("say again"))).finished
    assert not engine.state().detail


@pytest.mark.parametrize(
    ("question", "kind"),
    [("break", EngineError), ("malformed", EngineError), ("error", EngineError), ("stall", EngineTimeoutError)],
)
async def test_an_answer_in_one_piece_that_fails(engine, question, kind):
    with pytest.raises(kind) as caught:
        await collect(engine, ask(question, stream=False))
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)


async def test_closing_early_is_counted_and_hangs_up(engine, fake):
    usage = Usage()
    async with aclosing(engine.run(ask("stall"), context())) as events:
        async for event in events:
            assert isinstance(event, TextDelta)
            usage += event.usage
            break
    assert usage == Usage(prompt_tokens=10, completion_tokens=1, cached_tokens=4)
    async with asyncio.timeout(2):
        while fake.open:
            await asyncio.sleep(0.01)


def test_it_is_found_by_its_name():
    assert load("engines", "gemini") is GeminiEngine


# The fake speaks the format: the vendor's own client reads it.


@pytest.fixture
async def client(fake):
    options = google.HttpOptions(base_url=fake.root, retry_options=google.HttpRetryOptions(attempts=1))
    client = genai.Client(api_key=KEY, http_options=options)
    yield client.aio
    await client.aio.aclose()


async def test_the_vendors_client_streams_from_the_fake(client):
    chunks = [c async for c in await client.models.generate_content_stream(model="gemini-fake", contents="think")]
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    assert "".join(part.text for part in parts if part.thought) == "I think."
    assert "".join(part.text for part in parts if not part.thought) == "Done."
    assert parts[-1].thought_signature
    usage = chunks[-1].usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (10, 4)
    assert (usage.candidates_token_count, usage.thoughts_token_count) == (4, 2)
    assert chunks[-1].candidates[0].finish_reason is google.FinishReason.STOP


async def test_the_vendors_client_reads_calls_and_errors(client):
    answer = await client.models.generate_content(model="gemini-fake", contents="parallel")
    assert [call.args for call in answer.function_calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert [call.id for call in answer.function_calls] == ["call_1", "call_2"]
    with pytest.raises(genai.errors.ClientError) as caught:
        await client.models.generate_content(model="gemini-fake", contents="status 429")
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    with pytest.raises(genai.errors.APIError):
        async for _ in await client.models.generate_content_stream(model="gemini-fake", contents="error"):
            pass
