"""What every fake vendor does, free of any wire format, and the HTTP that carries it.

The user's last message chooses: `say TEXT`, `tools`, `parallel`, `think`, `json`, `long`, `filter`, `status N`,
`break`, `malformed`, `error`, `slow`, `stall`, `image`, `file`, `echo`.
After a tool's result R the answer is "It is R.".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.upstreams.ending import hang_up

KEY = "sk-test-0123456789"
PROMPT, CACHED, COMPLETION, REASONING = 10, 4, 6, 2
_TOKEN = re.compile(r"\s*\S+|\s+")
_CUTS = (1, 7, 2, 31, 3, 64, 5, 128, 11)


@dataclass(slots=True, kw_only=True)
class Asked:
    """A request, as far as the behaviour depends on it."""

    text: str = ""
    """Of the user's last message."""
    result: str | None = None
    """Of the tool, where that came last."""
    image: bool = False
    file: bool = False
    stop: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Scene:
    """An answer."""

    thoughts: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ()
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    """Id, name and arguments."""
    reason: str = "stop"
    """`stop`, `stop_string`, `length`, `tool_calls` or `filter`."""
    stop: str | None = None
    completion: int = COMPLETION
    """Tokens that it is counted as."""
    how: str = ""
    """`break`, `malformed`, `error`, `slow` or `stall`: what happens after the pieces, or between them."""

    @property
    def reasoning(self) -> int:
        return REASONING if self.thoughts else 0


class Refused(Exception):
    """The vendor answers with an HTTP status and its own error body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def pieces_of(text: str) -> tuple[str, ...]:
    found = _TOKEN.findall(text)
    if len(found) == 1 and len(text) > 1:
        return (text[: len(text) // 2], text[len(text) // 2 :])
    return tuple(found)


_PARIS = ("call_1", "get_weather", {"city": "Paris"})
_ROME = ("call_2", "get_weather", {"city": "Rome"})
_FIXED = {
    "tools": Scene(pieces=("Let me ", "look."), calls=(_PARIS,), reason="tool_calls"),
    "parallel": Scene(calls=(_PARIS, _ROME), reason="tool_calls"),
    "think": Scene(thoughts=("I ", "think."), pieces=("Done", ".")),
    "json": Scene(pieces=('{"value"', ': "x"}')),
    "long": Scene(pieces=("c", "ut"), reason="length"),
    "filter": Scene(reason="filter"),
    "break": Scene(pieces=("half ", "way"), how="break"),
    "malformed": Scene(pieces=("half",), how="malformed"),
    "error": Scene(pieces=("half",), how="error"),
    "stall": Scene(pieces=("half",), how="stall"),
    "slow": Scene(pieces=("one ", "two ", "three"), how="slow"),
}


def scene_of(asked: Asked, body: Mapping[str, Any]) -> Scene:
    if asked.result is not None:
        return Scene(pieces=pieces_of(f"It is {asked.result}."))
    word, _, rest = asked.text.partition(" ")
    if word == "status":
        raise Refused(int(rest), f"No, and your key is {KEY}.")
    if word in _FIXED:
        return _FIXED[word]
    said = {
        "say": rest,
        "image": "image" if asked.image else "no image",
        "file": "file" if asked.file else "no file",
        "echo": orjson.dumps(body).decode(),
    }
    text = said.get(word, asked.text)
    for stop in asked.stop:
        if stop in text:
            return Scene(pieces=pieces_of(text.split(stop)[0]), reason="stop_string", stop=stop)
    return Scene(pieces=pieces_of(text))


@dataclass(slots=True, kw_only=True)
class Call:
    """An HTTP request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True, eq=False)
class FakeVendor:
    """An HTTP/1.1 server with a vendor's format. `async with FakeX() as fake: fake.url`."""

    prefix = ""
    """Of the paths, such as `/v1`."""
    root: str = ""
    """Where it listens, without the prefix."""
    url: str = ""
    """The base URL."""
    calls: list[Call] = field(default_factory=list)
    open: int = 0
    """Requests that are being answered."""
    connections: int = 0
    """All that were ever made."""
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def bodies(self) -> list[Any]:
        return [call.body for call in self.calls]

    @property
    def headers(self) -> list[dict[str, str]]:
        return [call.headers for call in self.calls]

    async def __aenter__(self) -> Any:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.root = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.url = self.root + self.prefix
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    # What a vendor adds.

    def key(self, headers: Mapping[str, str]) -> str:
        """The key of a request."""
        raise NotImplementedError

    def asked(self, call: Call) -> Asked:
        """Read a request, or raise `Refused` as the vendor would."""
        raise NotImplementedError

    def scene(self, call: Call, asked: Asked) -> Scene:
        """What to answer."""
        return scene_of(asked, call.body)

    def streams(self, call: Call) -> bool:
        raise NotImplementedError

    def events(self, scene: Scene) -> Iterator[bytes]:
        """The stream of an answer, to its regular end. Where it goes wrong, up to its last piece."""
        raise NotImplementedError

    def whole(self, scene: Scene) -> Any:
        raise NotImplementedError

    def error(self, status: int, message: str) -> Any:
        """The body of an error."""
        raise NotImplementedError

    def late_error(self) -> bytes:
        """The event of an error in the middle of a stream."""
        raise NotImplementedError

    # HTTP.

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while call := await self._read(reader):
                self.calls.append(call)
                self.open += 1
                try:
                    await self._answer(call, reader, writer)
                finally:
                    self.open -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            await hang_up(writer)

    async def _read(self, reader: asyncio.StreamReader) -> Call | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split(" ")
        return Call(method=method, path=path, headers=headers, body=orjson.loads(raw) if raw else None)

    async def _answer(self, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.key(call.headers) != KEY:
                raise Refused(401, f"Wrong key: {self.key(call.headers)}.")
            asked = self.asked(call)
            scene = self.scene(call, asked)
            if scene.how == "error" and not self.streams(call):
                raise Refused(500, "It failed.")
        except Refused as refused:
            extra = "retry-after: 1\r\n" if refused.status in {429, 503, 529} else ""
            await self._plain(writer, refused.status, self.error(refused.status, str(refused)), extra)
            return
        if self.streams(call):
            await self._stream(writer, reader, scene)
        elif scene.how == "stall":
            await _hung_up(reader)
        else:
            await self._plain(writer, 200, self.whole(scene), how=scene.how)

    async def _plain(
        self, writer: asyncio.StreamWriter, status: int, body: Any, extra: str = "", *, how: str = ""
    ) -> None:
        raw = b"{nonsense" if how == "malformed" else orjson.dumps(body)
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n{extra}\r\n"
        writer.write(head.encode() + (raw[:9] if how == "break" else raw))
        await writer.drain()
        if how == "break":
            writer.transport.abort()

    async def _stream(self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader, scene: Scene) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        async for raw in _cut(self._events(scene)):
            if reader.at_eof():  # the client has hung up
                return
            writer.write(b"%x\r\n%b\r\n" % (len(raw), raw))
            await writer.drain()
        if scene.how == "stall":
            await _hung_up(reader)
            return
        if scene.how == "break":
            await asyncio.sleep(0.02)  # so that what was sent arrives before the reset
            writer.transport.abort()
            return
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _events(self, scene: Scene) -> AsyncIterator[bytes]:
        for event in self.events(scene):
            yield event
            if scene.how == "slow":
                await asyncio.sleep(0.05)
        if scene.how == "malformed":
            yield b"data: {nonsense " + KEY.encode() + b"\r\n\r\n"
        elif scene.how == "error":
            yield self.late_error()


async def _hung_up(reader: asyncio.StreamReader) -> None:
    while not reader.at_eof():
        await asyncio.sleep(0.01)


async def _cut(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in other pieces: cut inside characters, and between CR and LF."""
    turn = 0
    async for raw in events:
        at = 0
        while at < len(raw):
            size = _CUTS[turn % len(_CUTS)]
            turn += 1
            # The last byte of an event comes alone: it is the LF of a CRLF.
            size = min(size, len(raw) - 1 - at) or 1
            yield raw[at : at + size]
            at += size
            await asyncio.sleep(0)
