"""What no client that means well sends: each is answered with a 4xx and a reason, and nothing of it stays."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from athanor.server import door, protocol
from athanor.types import RoleName
from tests.server.inside import Inside, inside

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
WITHIN = 10.0
"""Seconds in which every answer here has come, whatever the machine is doing."""


@asynccontextmanager
async def connection(live: Inside) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    made = socket.create_connection(("127.0.0.1", urlsplit(live.url).port or 0))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what is not read stays with its sender
    reader, writer = await asyncio.open_connection(sock=made)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(live: Inside, *pieces: bytes) -> list[tuple[int, dict[str, Any]]]:
    """Send, and read answers until the server closes: their statuses and bodies."""
    async with connection(live) as (reader, writer):
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass  # it has heard enough
        return answers(await asyncio.wait_for(reader.read(), WITHIN))


def answers(raw: bytes) -> list[tuple[int, dict[str, Any]]]:
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        found.append((int(head.split()[1]), json.loads(rest[:length])))
        raw = rest[length:]
    return found


def request(
    headers: dict[str, str], body: bytes = b"", *more: bytes, path: str = CHAT, length: int | None = None
) -> bytes:
    lines = [f"POST {path} HTTP/1.1".encode(), b"host: localhost", b"content-type: application/json"]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    if not any(line.startswith(b"transfer-encoding") for line in more):
        lines.append(b"content-length: %d" % (len(body) if length is None else length))
    return b"\r\n".join((*lines, *more, b"", body))


def question(text: str = "x", **more: Any) -> bytes:
    return json.dumps({"model": "priced", "messages": [{"role": "user", "content": text}], **more}).encode()


def chunks(size: int, count: int) -> Iterable[bytes]:
    return [b"%x\r\n%s\r\n" % (size, b" " * size)] * count


CLOSE = b"connection: close"


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "invalid_request"),
        (b"FROB / HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid_request"),
        (b"CONNECT a.example:443 HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        (b"GET /health HTTP/1.1\r\na: b\x00c\r\n\r\n", 400, "invalid_request"),
        (b"GET /health HTTP/1.1\r\na: b\r\n c\r\n\r\n", 400, "invalid_request"),
        (b"GET /v1/files/a%00b HTTP/1.1\r\n\r\n", 400, "invalid_request"),
        (b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 9_000), 414, "url_too_long"),
        (b"GET /%s" % (b"a" * 300_000), 414, "url_too_long"),
        (
            b"GET /health HTTP/1.1\r\n%s\r\n" % b"".join(b"x-%d: 1\r\n" % i for i in range(200)),
            431,
            "headers_too_large",
        ),
        (b"GET /health HTTP/1.1\r\nx: %s\r\n\r\n" % (b"a" * 70_000), 431, "headers_too_large"),
        (b"GET /health HTTP/1.1\r\nx: %s" % (b"a" * 3_000_000), 431, "headers_too_large"),
        (
            b"POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "invalid_request",
        ),
        (b"POST / HTTP/1.1\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\n", 400, "invalid_request"),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400, "invalid_request"),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", 400, "invalid_request"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", 400, "invalid_request"),
    ],
)
async def test_what_is_no_request_is_refused_in_the_shape_of_all_errors(
    tmp_path: Path, raw: bytes, status: int, code: str
) -> None:
    async with inside(tmp_path) as live:
        [(found, body)] = await exchange(live, raw)
        assert (found, body["error"]["code"]) == (status, code)
        assert body["error"]["message"]
        assert [s for s, _ in await exchange(live, b"GET /health HTTP/1.0\r\n\r\n")] == [200]


@pytest.mark.parametrize("sent", [b"", b"GE", b"GET /health HTTP/1.1\r\nhost: loc"])
async def test_who_does_not_finish_a_head_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    async with inside(tmp_path) as live:
        [(status, body)] = await exchange(live, sent)
        assert (status, body["error"]["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("path", [CHAT, "/api/keys", "/v1/files"])
async def test_a_body_that_never_ends_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(door, "BODY_SECONDS", 0.05)
    monkeypatch.setattr("athanor.server.limits.BODY_SECONDS", 0.05)
    async with inside(tmp_path) as live:
        _, headers = live.key(role=RoleName.ADMIN)
        raw = request(headers, b"--x\r\n" if path == "/v1/files" else b'{"model"', path=path, length=1000)
        if path == "/v1/files":
            raw = raw.replace(b"application/json", b"multipart/form-data; boundary=x")
        [(status, body)] = await exchange(live, raw)
        assert (status, body["error"]["code"]) == (408, "request_timeout")


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages", "/v1/embeddings", "/api/keys"])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused_and_the_answer_can_be_read(
    tmp_path: Path, path: str, declared: bool
) -> None:
    async with inside(tmp_path) as live:
        _, headers = live.key(role=RoleName.ADMIN)
        if declared:  # all of it is on its way before the answer is looked for
            [(status, body)] = await exchange(live, request(headers, b" " * (33 << 20), path=path))
        else:
            head = request(headers, b"", b"transfer-encoding: chunked", path=path)
            [(status, body)] = await exchange(live, head, *chunks(1 << 20, 34))
        assert status == 413
        assert "32 MiB" in body["error"]["message"]
        assert not [task for task in asyncio.all_tasks() if "run_asgi" in repr(task)]


async def test_nothing_is_read_of_who_has_no_key(tmp_path: Path) -> None:
    async with inside(tmp_path) as live:
        for path in (CHAT, "/api/keys", "/v1/files", "/v1/vector_stores"):
            for secret in ("", "x", "ath_" + "y" * 30_000, "\xff\xfe"):
                headers = {"authorization": f"Bearer {secret}"} if secret else {}
                raw = request(headers, b"[" * 1000, path=path, length=10 << 20)
                [(status, body)] = await exchange(live, raw)
                assert (status, body["error"]["type"]) == (401, "authentication_error")
        assert not live.app.store.requests.list(limit=10)


async def test_an_answer_before_the_end_of_its_request_ends_the_connection(tmp_path: Path) -> None:
    async with inside(tmp_path) as live:
        smuggled = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
        found = await exchange(live, request({}, smuggled, length=10_000), b" " * 20_000, smuggled)
        assert [status for status, _ in found] == [401]


async def test_pipelined_requests_are_answered_in_order_and_not_without_bound(tmp_path: Path) -> None:
    async with inside(tmp_path) as live:
        _, headers = live.key()
        few = [request(headers, question(f"number {i}")) for i in range(4)]
        last = request(headers, question("last"), CLOSE)
        found = await exchange(live, b"".join([*few, last]))
        texts = [body["choices"][0]["message"]["content"] for _, body in found]
        assert texts == ["number 0", "number 1", "number 2", "number 3", "last"]
        flood = await exchange(live, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n" * 2000)
        assert 1 <= len(flood) <= protocol.PIPELINED + 1
        assert {status for status, _ in flood} == {200}


async def test_trailers_do_not_become_headers(tmp_path: Path) -> None:
    async with inside(tmp_path) as live:
        _, headers = live.key()
        head = request({}, b"", b"transfer-encoding: chunked", CLOSE)
        body = question()
        trailer = f"authorization: {headers['authorization']}".encode()
        [(status, _)] = await exchange(live, head, b"%x\r\n%s\r\n0\r\n%s\r\n\r\n" % (len(body), body, trailer))
        assert status == 401


async def test_connections_over_the_limit_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.BoundedProtocol, "max_connections", 3)
    monkeypatch.setattr("tests.server.inside.bounded", lambda _: protocol.BoundedProtocol)
    async with inside(tmp_path) as live:
        async with connection(live), connection(live), connection(live):
            await asyncio.sleep(0.05)
            [(status, body)] = await exchange(live)
            assert (status, body["error"]["code"]) == (503, "overloaded")
        await asyncio.sleep(0.05)
        assert [status for status, _ in await exchange(live, b"GET /health HTTP/1.0\r\n\r\n")] == [200]


async def test_a_stream_that_nobody_reads_waits_and_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALL_SECONDS", 0.2)
    async with inside(
        tmp_path, rules=[{"pattern": "long", "answer": f"{'w' * 16_000} " * 700, "delay": 0.0001}]
    ) as live:
        _, headers = live.key()
        async with connection(live) as (_, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(request(headers, question("long", stream=True, max_tokens=700)))
            for _ in range(200):
                await asyncio.sleep(0.05)
                rows = live.app.store.requests.list(limit=10)
                if rows:
                    break
        assert [row.status for row in rows] == ["cancelled"]


def repr_(text: str) -> str:
    return repr(text)[:20]


DEEP = 100_000
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "tools": lambda v: question()[:-1] + b',"tools":[{"type":"function","function":{"name":"f","parameters":%s}}]}' % v,
    "schema": lambda v: (
        question()[:-1] + b',"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":%s}}}' % v
    ),
    "metadata": lambda v: question()[:-1] + b',"metadata":%s}' % v,
    "whole": lambda v: v,
}


@pytest.mark.parametrize("place", PLACES)
async def test_json_that_is_too_much_is_refused(tmp_path: Path, place: str) -> None:
    async with inside(tmp_path) as live:
        _, headers = live.key(role=RoleName.ADMIN)
        for value in (
            b"[" * DEEP + b"]" * DEEP,
            b'{"a":' * DEEP + b"1" + b"}" * DEEP,
            b'{"a":%s}' % (b"9" * 5000),
            b'{"a":18446744073709551616}',
            b'{"a":NaN}',
            b'{"a":-Infinity}',
            b'{"a":"\\ud800"}',
            b'{"a":"\xff"}',
            b"\xef\xbb\xbf{}",
            b'{"a":[%s]}' % b",".join([b"1"] * 300_000),
            b"{%s}" % b",".join(b'"k%d":1' % i for i in range(2000)) if place != "tools" else b"1",
        ):
            for path in (CHAT, "/api/keys"):
                [(status, body)] = await exchange(live, request(headers, PLACES[place](value), CLOSE, path=path))
                assert status in {400, 413}, (path, value[:40])
                assert 0 < len(body["error"]["message"]) < 4500


@pytest.mark.parametrize("name", ["a\r\nx-evil: 1", "a\0b", "m" * 1_000_000, "\x1b[31m"], ids=repr_)
async def test_a_models_name_is_a_name(tmp_path: Path, name: str) -> None:
    async with inside(tmp_path) as live:
        _, headers = live.key()
        bodies = {
            CHAT: {"messages": [{"role": "user", "content": "x"}]},
            "/v1/responses": {"input": "x"},
            "/v1/messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5},
            "/v1/embeddings": {"input": "x"},
        }
        for path, body in bodies.items():
            raw = json.dumps({"model": name, **body}).encode()
            [(status, found)] = await exchange(live, request(headers, raw, CLOSE, path=path))
            assert status == 400, path
            assert len(found["error"]["message"]) < 4500
        assert not live.app.store.requests.list(limit=10)


@pytest.mark.parametrize(
    "text", ["\0", "a\r\nb", "\x1b[31m", "😀" * 100, "../../etc/passwd", "x" * 1_000_000], ids=repr_
)
async def test_any_text_may_be_said(tmp_path: Path, text: str) -> None:
    async with inside(tmp_path, settings={"guards.mode": "observe"}) as live:
        _, headers = live.key()
        status, body, _ = await live.chat(headers, text)
        assert status == 200
        assert body["choices"][0]["message"]["content"].strip() == text.strip() or len(text) > 10_000


async def test_clients_that_leave_at_any_moment_leave_nothing_open(tmp_path: Path) -> None:
    async with inside(tmp_path, rules=[{"pattern": "slow", "answer": "a b c d e f", "delay": 0.01}]) as live:
        _, headers = live.key()
        raw = request(headers, question("slow", stream=True))
        for cut in (1, 20, raw.index(b"\r\n\r\n") + 2, raw.index(b"\r\n\r\n") + 4, len(raw) - 3, len(raw)):
            async with connection(live) as (reader, writer):
                writer.write(raw[:cut])
                await writer.drain()
                if cut == len(raw):
                    await reader.read(10)
        for _ in range(100):
            await asyncio.sleep(0.02)
            if not [task for task in asyncio.all_tasks() if "run_asgi" in repr(task)]:
                break
        else:
            raise AssertionError("a request is still under way")
        assert [row.status for row in live.app.store.requests.list(limit=10)] == ["cancelled"]
