from __future__ import annotations

import orjson
import pytest

from athanor.errors import (
    EngineError,
    EngineRefusedError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
)
from athanor.testing.engines import collect
from athanor.types import (
    FinishReason,
    Message,
    ReasoningDelta,
    Role,
    Sampling,
    Thinking,
    Usage,
)
from tests.engines.anthropic_engine import make
from tests.engines.vendors import WEATHER, ask, calls_of, stream_of
from tests.upstreams.recorded import Recorded
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio


STREAM = b"""event: message_start
data: {"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","model":"claude-opus-5-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":472,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":2}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"EmwKAhgB"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"EqQB"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x8c\x8d"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":"char_location"}}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_01","name":"now","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: content_block_start
data: {"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_02","name":"get_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{\\"city\\": \\"San"}}

event: content_block_delta
data: {"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":" Francisco\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":4}

event: something_new
data: {"type":"something_new","field":[1]}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89,"output_tokens_details":{"thinking_tokens":30}}}

event: message_stop
data: {"type":"message_stop"}

"""  # noqa: E501


@pytest.mark.parametrize("size", [1, 37, 100_000])
async def test_a_recorded_stream(size):
    async with Recorded(STREAM.replace(b"\n", b"\r\n"), size=size) as vendor:
        engine = make(vendor.url)
        answer = await collect(
            engine,
            ask(
                Message(role=Role.SYSTEM, content="Be brief.", cache=True),
                "Weather in San Francisco?",
                sampling=Sampling(max_tokens=1024),
                thinking=Thinking(effort="medium"),
                tools=(WEATHER,),
            ),
        )
        await engine.aclose()
    assert vendor.heads[0].startswith("POST /messages HTTP/1.1\r\n")
    assert vendor.raw[0] == (
        b'{"model":"claude-test","max_tokens":1024,"messages":[{"role":"user","content":[{"type":"text",'
        b'"text":"Weather in San Francisco?"}]}],"system":[{"type":"text","text":"Be brief.","cache_control":'
        b'{"type":"ephemeral"}}],"stream":true,"tools":[{"name":"get_weather","input_schema":{"type":"object",'
        b'"properties":{"city":{"type":"string"}},"required":["city"]},"description":"Get the weather."}],'
        b'"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}}'
    )
    thoughts = [event for event in answer.events if isinstance(event, ReasoningDelta)]
    assert [(t.text, t.signature, t.redacted) for t in thoughts] == [
        ("", "anthropic:EmwKAhgB", True),
        ("", "anthropic:EqQB", False),
    ]
    assert answer.text == "Grüße 🌍"
    assert calls_of(answer.events) == [
        ("toolu_01", "now", "{}"),
        ("toolu_02", "get_weather", '{"city": "San Francisco"}'),
    ]
    assert answer.finished.reason is FinishReason.TOOL_CALLS
    assert answer.usage == Usage(
        prompt_tokens=1572, completion_tokens=89, cached_tokens=1000, written_tokens=100, reasoning_tokens=30
    )


WHOLE = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5",
    "content": [
        {"type": "thinking", "thinking": "", "signature": "EqQB"},
        {"type": "text", "text": "Hi."},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "toolu_01", "name": "now", "input": {"zone": "CET"}},
    ],
    "stop_reason": "stop_sequence",
    "stop_sequence": "END",
    "usage": {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": None},
}


async def test_a_recorded_message():
    async with Recorded(orjson.dumps(WHOLE), kind="application/json") as vendor:
        engine = make(vendor.url)
        answer = await collect(engine, ask("hello", stream=False))
        # A server that does not stream although it was asked to.
        again = await collect(engine, ask("hello"))
        await engine.aclose()
    assert again.events == answer.events
    assert answer.text == "Hi."
    assert calls_of(answer.events) == [("toolu_01", "now", '{"zone":"CET"}')]
    assert (answer.finished.reason, answer.finished.stop) == (FinishReason.STOP, "END")
    assert answer.usage == Usage(prompt_tokens=5, completion_tokens=7)


START = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
PIECE = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "half"}}


@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("pause_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.FILTERED),
        ("something_new", FinishReason.STOP),
    ],
)
async def test_reasons(reason, meant):
    raw = stream_of(START, PIECE, {"type": "message_delta", "delta": {"stop_reason": reason}})
    async with Recorded(raw) as vendor:
        engine = make(vendor.url)
        answer = await collect(engine, ask("hello"))
        await engine.aclose()
    assert answer.finished.reason is meant
    assert answer.usage == Usage(prompt_tokens=9, completion_tokens=1)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", EngineUnavailableError),
        ("rate_limit_error", EngineUnavailableError),
        ("timeout_error", EngineTimeoutError),
        ("authentication_error", EngineRefusedError),
        ("invalid_request_error", InputError),
        ("api_error", EngineError),
        ("something_new", EngineError),
        (None, EngineError),
    ],
)
async def test_errors_in_the_middle(kind, error):
    failure = {"type": "error", "error": {"type": kind, "message": f"no {KEY}"}}
    for raw, how, streams in (
        (stream_of(START, PIECE, failure), "text/event-stream", True),
        (orjson.dumps(failure), "application/json", False),
    ):
        async with Recorded(raw, kind=how) as vendor:
            engine = make(vendor.url)
            with pytest.raises(error) as caught:
                await collect(engine, ask("hello", stream=streams))
            await engine.aclose()
        assert type(caught.value) is error
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "middle of the answer"),
        (stream_of(START, PIECE), "middle of the answer"),
        (stream_of(START, PIECE, {"type": "message_stop"}), "middle of the answer"),
        (stream_of(START) + b"data: [1]\n\n", "no object"),
        (b"<html>", "middle of the answer"),
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
        {"type": 7},
        {"type": "message_start", "message": [1]},
        {"type": "content_block_start", "content_block": None},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": 5}},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "content_block_delta", "delta": "x"},
        {"type": "content_block_stop", "index": 4},
        PIECE,
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": "many"}},
    ]
    async with Recorded(stream_of(*odd)) as vendor:
        engine = make(vendor.url)
        answer = await collect(engine, ask("hello"))
        await engine.aclose()
    assert answer.text == "half"
    assert answer.usage.prompt_tokens > 0


@pytest.mark.parametrize("raw", [b"[]", b"7", b"{}"])
async def test_answers_that_are_none(raw):
    async with Recorded(raw, kind="application/json") as vendor:
        engine = make(vendor.url)
        with pytest.raises(EngineError):
            await collect(engine, ask("hello", stream=False))
        await engine.aclose()
