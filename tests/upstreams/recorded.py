"""An exchange written down by hand: the bytes that a vendor answers, and what it was asked, byte by byte."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson

from tests.upstreams.ending import hang_up


class Recorded:
    """A server that gives the same bytes to whoever asks, in pieces of `size`. `async with Recorded(…) as vendor`."""

    def __init__(self, answer: bytes, *, kind: str = "text/event-stream", size: int = 37) -> None:
        self._answer = answer
        self._kind = kind
        self._size = size
        self._server: asyncio.Server | None = None
        self.url = ""
        self.heads: list[str] = []
        self.raw: list[bytes] = []

    @property
    def bodies(self) -> list[Any]:
        return [orjson.loads(raw) for raw in self.raw]

    async def __aenter__(self) -> Recorded:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            length = int(re.search(r"content-length: (\d+)", head, re.IGNORECASE).group(1))
            self.raw.append(await reader.readexactly(length))
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {self._kind}\r\nconnection: close\r\n\r\n".encode())
            for at in range(0, len(self._answer), self._size):
                writer.write(self._answer[at : at + self._size])
                await writer.drain()
                await asyncio.sleep(0)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            await hang_up(writer)
