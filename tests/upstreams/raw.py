"""An endpoint that answers with bytes written by hand, one answer after the other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.upstreams.ending import hang_up
from tests.upstreams.scenes import Call


def whole(body: Any, *, status: int = 200, head: str = "", kind: str = "application/json") -> bytes:
    """An answer in one piece."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n{head}\r\n".encode() + raw


def stream(*events: Any, end: bytes = b"data: [DONE]\n\n", complete: bool = True) -> bytes:
    """An answer as one chunk of events; bytes are taken as they are."""
    lines = [e if isinstance(e, bytes) else b"data: " + orjson.dumps(e) + b"\n\n" for e in events]
    raw = b"".join(lines) + end
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n" % (len(raw), raw) + (b"0\r\n\r\n" if complete else b"")


@dataclass(slots=True, eq=False)
class RawServer:
    """`async with RawServer(answer, …) as server: server.url`. After the last answer it gives the last again."""

    answers: list[bytes]
    hang_up: bool = False
    """Close the connection after each answer."""
    prefix: str = "/v1"
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    connections: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def body(self) -> Any:
        """Of the last request."""
        return self.calls[-1].body

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self.prefix}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = (line.partition(":") for line in lines if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = first.split(" ")
                self.calls.append(Call(method=method, path=path, headers=headers, body=orjson.loads(raw)))
                writer.write(self.answers[min(len(self.calls), len(self.answers)) - 1])
                await writer.drain()
                if self.hang_up:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            await hang_up(writer)
