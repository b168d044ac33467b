"""The HTTP client against servers that keep, cut, pack, delay and overdo."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from athanor.engines import http1
from athanor.engines.http1 import BrokenError, Client, ConnectError, Response, SilenceError
from tests.upstreams.ending import hang_up

pytestmark = pytest.mark.anyio

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Stage:
    """A server that plays one function for each connection."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self.connections = 0
        self.requests: list[bytes] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._play(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            await hang_up(writer)

    async def take(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r")[0])
        self.requests.append(head + await reader.readexactly(length))
        return self.requests[-1]


@asynccontextmanager
async def staged(play: Callable[[Stage], Play], *, connect: float = 5) -> AsyncIterator[tuple[Stage, Client]]:
    stage: Stage

    async def delegate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await play(stage)(reader, writer)

    stage = Stage(delegate)
    server = await asyncio.start_server(stage._serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = Client(urlsplit(f"http://127.0.0.1:{port}/v1"), connect=connect)
    try:
        yield stage, client
    finally:
        await client.aclose()
        server.close()


def answering(*answers: bytes, close: bool = False) -> Callable[[Stage], Play]:
    """Each request gets the next of `answers`, the last one again and again."""

    def of(stage: Stage) -> Play:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await stage.take(reader)
                writer.write(answers[min(len(stage.requests), len(answers)) - 1])
                await writer.drain()
                if close:
                    return

        return play

    return of


async def post(client: Client, *, silence: float | None = None, total: float = 5) -> Response:
    head = f"POST /v1/x HTTP/1.1\r\nhost: {client.authority}\r\n".encode()
    return await client.post(head, b"{}", silence=silence, total=total)


async def whole(client: Client, **times: float) -> bytes | None:
    return await (await post(client, **times)).read(1 << 20)


async def test_a_request_is_what_rfc_9112_says_and_connections_are_kept() -> None:
    async with staged(answering(OK)) as (stage, client):
        assert [await whole(client) for _ in range(3)] == [b"ok"] * 3
        assert stage.connections == 1
        assert stage.requests[0].startswith(b"POST /v1/x HTTP/1.1\r\nhost: 127.0.0.1:")
        assert stage.requests[0].endswith(b"content-length: 2\r\n\r\n{}")
        assert client.used == 0


async def test_requests_at_once_have_connections_of_their_own() -> None:
    async with staged(answering(OK)) as (stage, client):
        assert await asyncio.gather(*(whole(client) for _ in range(8))) == [b"ok"] * 8
        assert 1 < stage.connections <= 8


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b"
        % (len(gzip.compress(b"hello")), gzip.compress(b"hello")),
    ],
    ids=["chunked", "continue", "hints", "gzip"],
)
async def test_a_body_arrives_however_it_is_framed(answer: bytes) -> None:
    async with staged(answering(answer)) as (stage, client):
        assert await whole(client) == b"hello"
        assert await whole(client) == b"hello"
        assert stage.connections == 1


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with staged(answering(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True)) as (stage, client):
        assert await whole(client) == b"hello"
        assert await whole(client) == b"hello"
        assert stage.connections == 2


async def test_connection_close_is_heeded() -> None:
    answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
    async with staged(answering(answer)) as (stage, client):
        assert await whole(client) == b"ok"
        assert await whole(client) == b"ok"
        assert stage.connections == 2


async def test_a_connection_that_was_closed_while_idle_is_replaced() -> None:
    def of(stage: Stage) -> Play:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stage.take(reader)
            writer.write(OK)
            await writer.drain()
            if stage.connections == 1:
                await reader.readexactly(1)  # the next request has begun: too late for it

        return play

    async with staged(of) as (stage, client):
        assert await whole(client) == b"ok"
        assert await whole(client) == b"ok"
        assert stage.connections == 2


async def test_an_idle_connection_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "_IDLE", 0.05)
    gone = asyncio.Event()

    def of(stage: Stage) -> Play:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stage.take(reader)
            writer.write(OK)
            assert await reader.read() == b""
            gone.set()

        return play

    async with staged(of) as (_, client):
        assert await whole(client) == b"ok"
        async with asyncio.timeout(5):
            await gone.wait()
        assert client._idle == []


async def test_a_new_connection_that_breaks_is_not_tried_again() -> None:
    def of(stage: Stage) -> Play:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stage.take(reader)

        return play

    async with staged(of) as (stage, client):
        with pytest.raises(BrokenError) as caught:
            await whole(client)
        assert caught.value.early
        assert stage.connections == 1
        assert client.used == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nx: %b\r\n\r\n" % (b"y" * 100_000),
    ],
    ids=["short", "chunks cut", "no http", "bad chunk", "no gzip", "endless head"],
)
async def test_what_is_broken_says_so(answer: bytes) -> None:
    async with staged(answering(answer, close=True)) as (_, client):
        with pytest.raises(BrokenError):
            await whole(client)
        assert client.used == 0


async def test_a_bomb_does_not_go_off() -> None:
    packed = gzip.compress(b"\0" * (64 << 20))
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(packed), packed)
    async with staged(answering(answer)) as (_, client):
        with pytest.raises(BrokenError, match="expands"):
            await (await post(client)).read(1 << 30)


async def test_what_follows_an_answer_is_never_taken_for_the_next() -> None:
    evil = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
    async with staged(answering(OK + evil, OK)) as (stage, client):
        assert await whole(client) == b"ok"
        assert await whole(client) == b"ok"
        assert stage.connections == 2


async def test_silence_and_length_have_times_of_their_own() -> None:
    def of(stage: Stage) -> Play:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stage.take(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(100):
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.02 if len(stage.requests) == 1 else 5)

        return play

    async with staged(of) as (_, client):
        with pytest.raises(TimeoutError) as caught:
            await whole(client, silence=1, total=0.2)
        assert not isinstance(caught.value, SilenceError)
        with pytest.raises(SilenceError):
            await whole(client, silence=0.1, total=5)
        assert client.used == 0


async def test_the_allowed_silence_can_change_on_the_way() -> None:
    def of(stage: Stage) -> Play:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stage.take(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(5)

        return play

    async with staged(of) as (_, client):
        response = await post(client, silence=0.3, total=60)
        assert await response.readany() == b"x"
        response.allow(0.05)
        with pytest.raises(SilenceError, match=r"0\.05"):
            await response.readany()


async def test_a_slow_reader_holds_the_sender_back_and_loses_nothing() -> None:
    size = 8 << 20

    def of(stage: Stage) -> Play:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stage.take(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            for _ in range(size >> 16):
                writer.write(b"z" * 65536)
                await writer.drain()
            await reader.read()

        return play

    async with staged(of) as (_, client):
        response = await post(client, silence=0.2)
        await asyncio.sleep(0.5)  # longer than the endpoint may be silent: it is not it that waits
        first = await response.readany()
        assert len(first) < 2 << 20
        rest = await response.read(size)
        assert rest is not None
        assert len(first) + len(rest) == size


async def test_closing_early_and_cancelling_close_the_connection() -> None:
    def of(stage: Stage) -> Play:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stage.take(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
            await writer.drain()
            assert await reader.read() == b""
            gone.set()

        return play

    gone = asyncio.Event()
    async with staged(of) as (_, client):
        response = await post(client)
        assert await response.readany() == b"x"
        response.close()
        async with asyncio.timeout(2):
            await gone.wait()
        assert client.used == 0
        gone.clear()
        task = asyncio.create_task(whole(client))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_answer_that_is_too_large_is_not_read_on() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000
    async with staged(answering(answer)) as (_, client):
        assert await (await post(client)).read(1000) is None
        assert client.used == 0


async def test_nobody_there() -> None:
    async with staged(answering(OK)) as (_, client):
        pass
    with pytest.raises(ConnectError):
        await whole(client)
    nowhere = Client(urlsplit("http://no-such-host.invalid/v1"), connect=2)
    with pytest.raises((ConnectError, TimeoutError)):
        await whole(nowhere)


async def test_a_plain_server_does_not_answer_to_tls() -> None:
    async with staged(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", close=True)) as (_, client):
        port = client.authority.partition(":")[2]
        with pytest.raises((ConnectError, TimeoutError)):
            await whole(Client(urlsplit(f"https://127.0.0.1:{port}/"), connect=2))
