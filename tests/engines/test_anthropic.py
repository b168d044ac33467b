from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import anthropic
import pytest
from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines import Timeouts
from athanor.engines.adapters.anthropic import AnthropicEngine, connect
from athanor.errors import (
    EngineError,
    EngineRefusedError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
    UnsupportedError,
)
from athanor.testing.engines import EngineConformance, collect, context
from athanor.types import (
    FinishReason,
    Reasoning,
    ReasoningDelta,
    Sampling,
    TextDelta,
    Thinking,
    ToolCallDelta,
    Usage,
)
from tests.engines.anthropic_engine import PROFILE, make
from tests.engines.vendors import FULL, WEATHER, ask, calls_of, said
from tests.upstreams.anthropic import SIGNATURE, FakeAnthropic
from tests.upstreams.model import CONTEXT, FakeClaude
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


class TestAnthropicEngine(EngineConformance):
    loads_slowly = False

    def build(self, url, **timeouts):
        # The older version, because it takes a temperature, which every request here has.
        profile = replace(PROFILE, context=CONTEXT, max_tokens=512, lacks=frozenset())
        return make(url, profile, version="2023-06-01", **timeouts)

    @pytest.fixture
    async def engine(self):
        async with FakeClaude() as model:
            engine = self.build(model.url)
            await engine.start()
            yield engine
            await engine.aclose()

    def make_engine(self):
        return self.build("http://127.0.0.1:9/v1", connect=1.0)

    async def test_cancelling_while_it_loads(self):
        pytest.skip("an endpoint does not load")

    async def test_what_cannot_be_enforced_is_refused(self, engine):
        pytest.skip("an endpoint says itself what it cannot enforce")

    async def test_a_seed_repeats_and_sampling_works(self, engine):
        request = ask("Tell me a story.", sampling=Sampling(temperature=0.8, top_p=0.9, max_tokens=8))
        assert (await collect(engine, request)).finished
        with pytest.raises(UnsupportedError, match="seed"):
            await collect(engine, ask("Tell me a story.", sampling=Sampling(seed=7)))


@pytest.fixture(params=[True, False], ids=["stream", "whole"])
def stream(request):
    return request.param


async def body_of(engine, fake, *messages, **fields):
    await collect(engine, ask(*messages, **fields))
    return fake.bodies[-1]


@pytest.mark.parametrize(
    ("question", "text", "reason"),
    [
        ("say Grüße 🌍 an alle", "Grüße 🌍 an alle", FinishReason.STOP),
        ("json", '{"value": "x"}', FinishReason.STOP),
        ("long", "cut", FinishReason.LENGTH),
        ("filter", "", FinishReason.FILTERED),
        ("slow", "one two three", FinishReason.STOP),
    ],
)
async def test_text(engine, question, text, reason, stream):
    answer = await collect(engine, ask(question, stream=stream))
    assert answer.text == text
    assert answer.finished.reason is reason
    assert answer.usage == FULL
    assert not engine.state().detail


async def test_whole_is_one_piece(engine, fake):
    answer = await collect(engine, ask("say one two three", stream=False))
    assert [type(event) for event in answer.events] == [TextDelta, type(answer.finished)]
    assert "stream" not in fake.bodies[0]
    assert answer.events[0].usage == FULL


async def test_connections_are_used_again(engine, fake, stream):
    for _ in range(5):
        await collect(engine, ask("say hello there", stream=stream))
    assert fake.connections == 1


async def test_tools(engine, stream):
    answer = await collect(engine, ask("tools", tools=(WEATHER,), stream=stream))
    assert answer.text == "Let me look."
    assert calls_of(answer.events) == [("call_1", "get_weather", '{"city":"Paris"}')]
    assert answer.finished.reason is FinishReason.TOOL_CALLS
    deltas = [event for event in answer.events if isinstance(event, ToolCallDelta)]
    assert [(d.id, d.name) for d in deltas] == [("call_1", "get_weather")] + [(None, None)] * (len(deltas) - 1)
    if stream:
        assert len([d for d in deltas if d.arguments]) >= 3


async def test_parallel_tools(engine, stream):
    answer = await collect(engine, ask("parallel", tools=(WEATHER,), stream=stream))
    assert calls_of(answer.events) == [
        ("call_1", "get_weather", '{"city":"Paris"}'),
        ("call_2", "get_weather", '{"city":"Rome"}'),
    ]


async def test_thinking_comes_with_its_proof_and_goes_back(engine, fake, stream):
    answer = await collect(engine, ask("think", stream=stream))
    thoughts = [event for event in answer.events if isinstance(event, ReasoningDelta)]
    assert "".join(event.text for event in thoughts) == "I think."
    assert answer.text == "Done."
    assert answer.usage == replace(FULL, reasoning_tokens=2)
    proof = thoughts[-1].signature
    back = said("Done.", reasoning=(Reasoning(text="I think.", signature=proof),))
    body = await body_of(engine, fake, "think", back, "say more")
    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "I think.", "signature": SIGNATURE},
        {"type": "text", "text": "Done."},
    ]


async def test_another_vendors_proof_is_not_sent(engine, fake):
    thoughts = (
        Reasoning(text="a", signature="gemini:xyz"),
        Reasoning(text="no proof"),
        Reasoning(signature="anthropic:hidden", redacted=True),
        Reasoning(signature="raw"),
    )
    body = await body_of(engine, fake, "hello", said("Hi.", reasoning=thoughts), "say yes")
    assert body["messages"][1]["content"] == [
        {"type": "redacted_thinking", "data": "hidden"},
        {"type": "thinking", "thinking": "", "signature": "raw"},
        {"type": "text", "text": "Hi."},
    ]
    body = await body_of(
        engine, fake, "hello", said("Hi.", reasoning=thoughts), "say yes", thinking=Thinking(effort="none")
    )
    assert body["messages"][1]["content"] == [{"type": "text", "text": "Hi."}]


async def test_the_stop_string_is_told(engine, fake, stream):
    answer = await collect(engine, ask("say one END two", stream=stream, sampling=Sampling(stop=("END", "x!"))))
    assert answer.text == "one "
    assert (answer.finished.reason, answer.finished.stop) == (FinishReason.STOP, "END")
    assert fake.bodies[0]["stop_sequences"] == ["END", "x!"]


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, InputError, "refused the request"),
        (401, EngineRefusedError, "api_key"),
        (402, EngineRefusedError, "money"),
        (404, EngineRefusedError, "upstream"),
        (413, InputError, "refused the request"),
        (429, EngineUnavailableError, "in 1 s"),
        (500, EngineError, "HTTP 500"),
        (504, EngineTimeoutError, "timed out"),
        (529, EngineUnavailableError, "in 1 s"),
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
    engine = AnthropicEngine(PROFILE, upstream)
    with pytest.raises(EngineRefusedError) as caught:
        await collect(engine, ask("hello"))
    assert "wrong-key" not in str(caught.value)
    await engine.aclose()


@pytest.mark.parametrize(
    ("question", "kind", "words", "before"),
    [
        ("break", EngineError, "broke", "half way"),
        ("malformed", EngineError, "no JSON", "half"),
        ("error", EngineUnavailableError, "Overloaded", "half"),
        ("stall", EngineTimeoutError, "nothing for 0.3 s", "half"),
    ],
)
async def test_a_stream_that_fails_in_the_middle(engine, fake, question, kind, words, before):
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
    assert engine.state().detail
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
            usage += event.usage
            break
    assert usage == Usage(prompt_tokens=10, completion_tokens=1, cached_tokens=4)
    async with asyncio.timeout(2):
        while fake.open:
            await asyncio.sleep(0.01)


async def test_after_closing_it_refuses(engine):
    await engine.aclose()
    with pytest.raises(EngineUnavailableError):
        await collect(engine, ask("hello"))


@pytest.fixture
async def client(fake):
    client = anthropic.AsyncAnthropic(api_key=KEY, base_url=fake.root, max_retries=0)
    yield client
    await client.close()


async def test_the_vendors_client_streams_from_the_fake(client):
    asked = {"model": "claude-fake", "max_tokens": 99, "messages": [{"role": "user", "content": "think"}]}
    async with client.messages.stream(**asked) as events:
        text = "".join([piece async for piece in events.text_stream])
        message = await events.get_final_message()
    assert text == "Done."
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].signature == SIGNATURE
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (6, 4)
    assert message.usage.output_tokens_details.thinking_tokens == 2


async def test_the_vendors_client_reads_calls_and_errors(client):
    asked = {"model": "claude-fake", "max_tokens": 99}
    tools = [{"name": "get_weather", "input_schema": {"type": "object"}}]
    question = {"role": "user", "content": "parallel"}
    async with client.messages.stream(**asked, messages=[question], tools=tools) as events:
        message = await events.get_final_message()
    assert [block.input for block in message.content] == [{"city": "Paris"}, {"city": "Rome"}]
    assert message.stop_reason == "tool_use"
    whole = await client.messages.create(**asked, messages=[question], tools=tools)
    assert whole.content == message.content
    with pytest.raises(anthropic.RateLimitError) as caught:
        await client.messages.create(**asked, messages=[{"role": "user", "content": "status 429"}])
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    with pytest.raises(anthropic.APIStatusError):
        async with client.messages.stream(**asked, messages=[{"role": "user", "content": "error"}]) as events:
            await events.get_final_message()
