from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from pydantic import SecretStr

from athanor.engines import Upstream
from athanor.errors import (
    ConfigError,
    EngineError,
    EngineRefusedError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
)
from athanor.testing.engines import collect, context
from tests.engines.asking import answered, ask, make
from tests.upstreams.ending import hang_up
from tests.upstreams.raw import RawServer, stream, whole
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio


def delta(reason=None, **fields):
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": reason}]}


@pytest.mark.parametrize(
    "raw",
    [
        stream(delta(content="half"), end=b""),
        stream(delta(content="half"), end=b"", complete=False) + b"5\r\nda",
        b'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\ndata: {"choices":[{"delta":{"content":"half"}}]}\n\ndata: {"choi',
    ],
)
async def test_a_cut_stream_is_an_error_after_its_pieces(raw):
    async with RawServer([raw], hang_up=True) as server:
        engine = make(server.url, first_token=1.0)
        events = engine.run(ask("x"), context())
        assert (await anext(events)).text == "half"
        with pytest.raises(EngineError):
            await anext(events)
        await engine.aclose()


@pytest.mark.parametrize("body", [b"[1, 2]", b'"x"', b"null", b'{"choices": []}', b'{"choices": [{}]}', b"<html>"])
@pytest.mark.parametrize("streamed", [True, False])
async def test_an_answer_that_is_none_is_an_error(body, streamed):
    with pytest.raises(EngineError):
        await answered(whole(body), ask("x", streamed=streamed))


async def test_an_error_with_a_good_status_is_an_error():
    body = {"error": {"message": f"Busy; your key is {KEY}.", "code": 429}}
    for raw, streamed in ((whole(body), False), (whole(body), True), (stream(body), True)):
        with pytest.raises(EngineUnavailableError) as caught:
            await answered(raw, ask("x", streamed=streamed))
        assert KEY not in str(caught.value)
    with pytest.raises(EngineError, match="out of memory"):
        await answered(stream(delta(content="a"), {"error": "out of memory"}))
    with pytest.raises(EngineError, match="failed"):
        await answered(stream(delta(content="a"), delta("error")))


async def test_a_stream_answered_in_one_piece_is_taken():
    body = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}
    answer, server = await answered(whole(body), ask("x"))
    assert (answer.text, server.body["stream"]) == ("Hello.", True)


async def test_half_a_key_is_not_shown():
    # The message is cut in the middle of the key.
    for length in (60, 70, 75):
        with pytest.raises(EngineError) as caught:
            await answered(stream(b"data: " + b"x" * length + KEY.encode() + b"\n\n"))
        assert KEY[:6] not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "head", "body", "kind", "after"),
    [
        (429, "retry-after: 7\r\n", {"error": {"message": "slow down"}}, EngineUnavailableError, 7.0),
        (429, "retry-after-ms: 1500\r\nretry-after: 2\r\n", {}, EngineUnavailableError, 1.5),
        (429, "retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n", {}, EngineUnavailableError, 0.0),
        (503, "retry-after: soon\r\n", b"<html>down</html>", EngineUnavailableError, None),
        (429, "", {"error": {"code": "insufficient_quota", "message": "You exceeded it."}}, EngineRefusedError, None),
        (307, "location: https://evil.example/v1\r\n", b"", EngineRefusedError, None),
        (400, "", [{"error": {"message": "no", "status": "INVALID_ARGUMENT"}}], InputError, None),
        (422, "", {"detail": [{"loc": ["body", "x"], "msg": "extra"}]}, InputError, None),
        (500, "", b"", EngineError, None),
        (502, "", b"\xff\xfe", EngineError, None),
    ],
)
async def test_error_bodies_in_every_dialect(status, head, body, kind, after):
    with pytest.raises(kind) as caught:
        await answered(whole(body, status=status, head=head))
    assert type(caught.value) is kind
    assert caught.value.retry_after == after


async def test_a_redirect_is_not_followed_with_the_key():
    async with RawServer([whole({})]) as other:
        head = f"location: {other.url}/chat/completions\r\n"
        with pytest.raises(EngineRefusedError, match="redirects"):
            await answered(whole(b"", status=307, head=head))
        assert not other.calls


async def test_an_event_without_an_end_is_an_error():
    raw = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\ndata: " + b"x" * (5 << 20)
    with pytest.raises(EngineError, match="without an end"):
        await answered(raw, hang_up=True)


async def test_an_answer_without_an_end_is_an_error(monkeypatch):
    monkeypatch.setattr("athanor.engines.reply._ANSWER", 1 << 16)
    raw = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + b"x" * (1 << 20)
    with pytest.raises(EngineError, match="too large"):
        await answered(raw, ask("x", streamed=False), hang_up=True)


async def test_a_connection_that_the_endpoint_has_closed_meanwhile_is_made_anew():
    body = whole({"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]})

    async def closing(reader, writer):
        """Answers once, and hangs up when it is asked again."""
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"}]")
            writer.write(body)
            await reader.readuntil(b"}]")
        await hang_up(writer)

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    engine = make(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    for _ in range(3):
        assert (await collect(engine, ask("x", streamed=False))).text == "Hello."
    await engine.aclose()
    server.close()


@pytest.mark.parametrize("url", ["ftp://x/v1", "localhost:11434", "http://"])
def test_an_endpoint_is_an_http_url(url):
    with pytest.raises(ConfigError):
        Upstream(url)


def test_a_password_in_the_url_is_not_shown():
    assert Upstream("https://me:pass@host/v1?key=1").shown == "https://host/v1"


@pytest.mark.parametrize(
    ("sent", "words", "times"),
    [
        (b"", "did not answer in time", {"first_token": 0.2}),
        (b"HTTP/1.1 200 OK\r\n\r\n", "no first piece", {"first_token": 0.2}),
        (b"HTTP/1.1 200 OK\r\n\r\n: wait\n\n", "no first piece", {"first_token": 0.2}),
        (b'HTTP/1.1 200 OK\r\n\r\ndata: {"choices":[]}\n\n', "nothing for 0.2 s", {"between_tokens": 0.2}),
        (b'HTTP/1.1 200 OK\r\n\r\ndata: {"choices":[]}\n\n', "no end", {"total": 0.2}),
        (b"HTTP/1.1 200 OK\r\n\r\n", "no end", {"total": 0.2}),
    ],
)
async def test_every_phase_has_its_timeout(sent, words, times):
    """Whatever else may take its time: comments that keep the connection alive come all the while."""

    async def slow(reader, writer):
        with suppress(ConnectionError):
            await reader.readuntil(b"}]")
            writer.write(sent)
            while not reader.at_eof():
                await asyncio.sleep(0.02)
                if b"wait" in sent or "total" in times:
                    writer.write(b": wait\n\n" if sent else b"")
                await writer.drain()
        await hang_up(writer)

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    engine = make(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", **times)
    with pytest.raises(EngineTimeoutError, match=words):
        await collect(engine, ask("x"), seconds=5)
    assert engine._upstream.connections == 0
    await engine.aclose()
    server.close()


async def test_a_keep_alive_between_pieces_is_waited_for():
    async def thinking(reader, writer):
        await reader.readuntil(b"}]")
        writer.write(b'HTTP/1.1 200 OK\r\n\r\ndata: {"choices":[{"delta":{"content":"a"}}]}\n\n')
        for _ in range(8):
            await asyncio.sleep(0.05)
            writer.write(b": keep-alive\n\n")
        writer.write(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
        await hang_up(writer)

    server = await asyncio.start_server(thinking, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    engine = make(url, first_token=1.0, between_tokens=0.2)
    assert (await collect(engine, ask("x"), seconds=5)).text == "a"
    await engine.aclose()
    server.close()


def test_a_key_that_is_none_does_not_spoil_the_message():
    assert Upstream("https://host/v1", api_key=SecretStr("x")).clean("an extra axis") == "an extra axis"
    assert Upstream("https://host/v1", api_key=SecretStr("sk-12")).clean("your sk-12") == "your [key]"


async def test_cancelled_requests_leave_no_connection():
    async with RawServer([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"]) as server:
        engine = make(server.url)
        tasks = [asyncio.create_task(collect(engine, ask("x", streamed=i % 2 == 0))) for i in range(8)]
        async with asyncio.timeout(5):
            while len(server.calls) < 8:
                await asyncio.sleep(0.01)
        assert engine._upstream.connections == 8
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert engine._upstream.connections == 0
        await engine.aclose()
