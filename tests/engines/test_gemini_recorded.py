"""Exchanges written down by hand from the vendor's reference."""

from __future__ import annotations

import orjson
import pytest

from athanor.errors import EngineError, EngineRefusedError, EngineTimeoutError, EngineUnavailableError, InputError
from athanor.testing.engines import collect
from athanor.types import (
    FinishReason,
    ReasoningDelta,
    Sampling,
    TextDelta,
    Thinking,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from tests.engines.gemini_engine import make
from tests.engines.vendors import WEATHER, ask, calls_of, stream_of, system
from tests.upstreams.raw import RawServer, whole
from tests.upstreams.recorded import Recorded
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio

STREAM = b"""data: {"candidates": [{"content": {"parts": [{"text": "**Weather**\\n","thought": true}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 72,"totalTokenCount": 98,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 72}],"thoughtsTokenCount": 26},"modelVersion": "gemini-3.8-flash","responseId": "r1"}

data: {"candidates": [{"content": {"parts": [{"text": "Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x8c\x8d"}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 72,"candidatesTokenCount": 4,"totalTokenCount": 102,"thoughtsTokenCount": 26}}

data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": "get_weather","args": {"city": "San Francisco"},"id": "k3f9"},"thoughtSignature": "CrwC"},{"functionCall": {"name": "now","args": {}}},{"executableCode": {"code": "x"}}],"role": "model"},"finishReason": "STOP","index": 0}],"usageMetadata": {"promptTokenCount": 72,"candidatesTokenCount": 29,"totalTokenCount": 127,"cachedContentTokenCount": 64,"toolUsePromptTokenCount": 3,"thoughtsTokenCount": 26}}

"""  # noqa: E501


@pytest.mark.parametrize("size", [1, 37, 100_000])
async def test_a_recorded_stream(size):
    async with Recorded(STREAM.replace(b"\n", b"\r\n"), size=size) as vendor:
        engine = make(vendor.url)
        answer = await collect(
            engine,
            ask(
                system("Be brief."),
                "Weather in San Francisco?",
                sampling=Sampling(max_tokens=1024),
                thinking=Thinking(effort="medium", summary=True),
                tools=(WEATHER,),
            ),
        )
        await engine.aclose()
    assert vendor.heads[0].startswith("POST /models/gemini-test:streamGenerateContent?alt=sse HTTP/1.1\r\n")
    assert vendor.raw[0] == (
        b'{"contents":[{"role":"user","parts":[{"text":"Weather in San Francisco?"}]}],"systemInstruction":'
        b'{"parts":[{"text":"Be brief."}]},"tools":[{"functionDeclarations":[{"name":"get_weather","description":'
        b'"Get the weather.","parametersJsonSchema":{"type":"object","properties":{"city":{"type":"string"}},'
        b'"required":["city"]}}]}],"generationConfig":{"maxOutputTokens":1024,"thinkingConfig":{"thinkingLevel":'
        b'"MEDIUM","includeThoughts":true}}}'
    )
    assert answer.events[0] == ReasoningDelta(
        text="**Weather**\n", usage=Usage(prompt_tokens=72, completion_tokens=26, reasoning_tokens=26)
    )
    assert answer.text == "Grüße 🌍"
    first, second = [event for event in answer.events if isinstance(event, ToolCallDelta)]
    assert (first.id, first.name, first.signature) == ("k3f9", "get_weather", "gemini:CrwC")
    assert second.id.startswith("unnamed_")
    assert calls_of(answer.events)[1][1:] == ("now", "{}")
    assert answer.finished.reason is FinishReason.TOOL_CALLS
    assert answer.usage == Usage(prompt_tokens=75, completion_tokens=55, cached_tokens=64, reasoning_tokens=26)


async def test_recorded_logprobs():
    answered = {
        "candidates": [
            {
                "content": {"parts": [{"text": "Hi!"}], "role": "model"},
                "finishReason": "STOP",
                "logprobsResult": {
                    "topCandidates": [
                        {
                            "candidates": [
                                {"token": "Hi", "logProbability": -0.1},
                                {"token": "Ho", "logProbability": -2},
                            ]
                        },
                        {"candidates": [{"token": "!", "logProbability": -0.2}]},
                    ],
                    "chosenCandidates": [
                        {"token": "Hi", "tokenId": 7, "logProbability": -0.1},
                        {"token": "!", "tokenId": 8, "logProbability": -0.2},
                    ],
                },
            }
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2},
    }
    async with Recorded(orjson.dumps(answered), kind="application/json") as vendor:
        engine = make(vendor.url)
        answer = await collect(engine, ask("hello", stream=False, logprobs=2))
        await engine.aclose()
    assert answer.events[0] == TextDelta(
        text="Hi!",
        usage=Usage(prompt_tokens=3, completion_tokens=2),
        logprobs=(
            TokenLogprob(token="Hi", logprob=-0.1, top=(("Hi", -0.1), ("Ho", -2.0))),
            TokenLogprob(token="!", logprob=-0.2, top=(("!", -0.2),)),
        ),
    )


def chunk(text="half", **candidate):
    return {"candidates": [{"content": {"parts": [{"text": text}]}, **candidate}]}


@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("STOP", FinishReason.STOP),
        ("FINISH_REASON_UNSPECIFIED", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("CONTINUATION", FinishReason.LENGTH),
        ("SAFETY", FinishReason.FILTERED),
        ("RECITATION", FinishReason.FILTERED),
        ("PROHIBITED_CONTENT", FinishReason.FILTERED),
        ("OTHER", FinishReason.FILTERED),
    ],
)
async def test_reasons(reason, meant):
    async with Recorded(stream_of(chunk(), {"candidates": [{"finishReason": reason}]})) as vendor:
        engine = make(vendor.url)
        answer = await collect(engine, ask("hello"))
        await engine.aclose()
    assert answer.text == "half"
    assert answer.finished.reason is meant


async def test_a_prompt_that_is_blocked():
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 8}}
    for raw, kind, streams in (
        (stream_of(blocked), "text/event-stream", True),
        (orjson.dumps(blocked), "application/json", False),
    ):
        async with Recorded(raw, kind=kind) as vendor:
            engine = make(vendor.url)
            answer = await collect(engine, ask("hello", stream=streams))
            await engine.aclose()
        assert answer.finished.reason is FinishReason.FILTERED
        assert answer.usage == Usage(prompt_tokens=8)


@pytest.mark.parametrize(
    ("reason", "error", "words"),
    [
        ("MALFORMED_FUNCTION_CALL", EngineError, "cannot be read. bad call"),
        ("UNEXPECTED_TOOL_CALL", EngineError, "not given"),
        ("MISSING_THOUGHT_SIGNATURE", InputError, "signature"),
    ],
)
async def test_what_the_model_did_wrong(reason, error, words):
    raw = stream_of({"candidates": [{"finishReason": reason, "finishMessage": "bad call"}]})
    async with Recorded(raw) as vendor:
        engine = make(vendor.url)
        with pytest.raises(error, match=words):
            await collect(engine, ask("hello"))
        await engine.aclose()


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (503, "UNAVAILABLE", EngineUnavailableError),
        (429, "RESOURCE_EXHAUSTED", EngineUnavailableError),
        (None, "UNAVAILABLE", EngineUnavailableError),
        (504, "DEADLINE_EXCEEDED", EngineTimeoutError),
        (403, "PERMISSION_DENIED", EngineRefusedError),
        (400, "INVALID_ARGUMENT", InputError),
        (500, "INTERNAL", EngineError),
    ],
)
async def test_errors_in_the_middle(code, status, error):
    failure = {"error": {"code": code, "status": status, "message": f"no {KEY}"}}
    async with Recorded(stream_of(chunk(), failure)) as vendor:
        engine = make(vendor.url)
        with pytest.raises(error) as caught:
            await collect(engine, ask("hello"))
        await engine.aclose()
    assert type(caught.value) is error
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "seconds"), [("29.5s", 29.5), ("7s", 7.0), ("soon", None), (7, None), (None, None), ("inf", None)]
)
async def test_when_to_come_back_is_said_in_the_body(said, seconds):
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": said}
    failure = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota", "details": [7, detail]}}
    async with RawServer([whole(failure, status=429)], prefix="") as vendor:
        engine = make(vendor.url)
        with pytest.raises(EngineUnavailableError) as caught:
            await collect(engine, ask("hello"))
        await engine.aclose()
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "middle of the answer"),
        (stream_of(chunk()), "middle of the answer"),
        (stream_of(chunk()) + b"data: [1]\n\n", "no object"),
        (stream_of(chunk(finishReason=7)), "middle of the answer"),
    ],
)
async def test_streams_without_an_end(raw, words):
    async with Recorded(raw) as vendor:
        engine = make(vendor.url)
        with pytest.raises(EngineError, match=words):
            await collect(engine, ask("hello"))
        await engine.aclose()


async def test_odd_shapes_are_survived():
    odd = [
        {"candidates": "x"},
        {"candidates": [None]},
        {"candidates": [{"content": {"parts": [7, {"text": 5}, {"functionCall": "f"}]}}]},
        {"usageMetadata": [1]},
        chunk(finishReason="STOP"),
        {"usageMetadata": {"promptTokenCount": "many", "candidatesTokenCount": -3}},
    ]
    async with Recorded(stream_of(*odd)) as vendor:
        engine = make(vendor.url)
        answer = await collect(engine, ask("hello"))
        await engine.aclose()
    assert answer.text == "half"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens == 1


@pytest.mark.parametrize("raw", [b"[]", b"7", b"{}"])
async def test_answers_that_are_none(raw):
    async with Recorded(raw, kind="application/json") as vendor:
        engine = make(vendor.url)
        with pytest.raises(EngineError):
            await collect(engine, ask("hello", stream=False))
        await engine.aclose()
