"""An endpoint's answer: whole, or as a stream of events, and never for longer than it may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from athanor.engines.sse import EventTooLargeError, SSEDecoder
from athanor.errors import EngineError, EngineTimeoutError

if TYPE_CHECKING:
    from athanor.engines.upstream import Upstream

_ANSWER = 64 << 20
"""Bytes of one answer, at most."""

DONE: Mapping[str, Any] = {"[DONE]": True}
"""Stands for the line that ends a stream of OpenAI's."""


@dataclass(slots=True)
class Reply:
    """A response whose status is good."""

    headers: Mapping[str, str]
    upstream: Upstream
    _response: aiohttp.ClientResponse
    _first: float
    """When the first piece must have come, by the loop's clock."""
    _end: float
    """When all must have come."""

    @property
    def streams(self) -> bool:
        """It comes as events. Some servers answer in one piece although they were asked to stream."""
        return "json" not in self.headers.get("content-type", "")

    async def json(self) -> Any:
        """The whole body.

        Raises:
            EngineError: it is too large or no JSON.
        """
        raw = await self._read()
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise self._no_json(raw) from error

    async def payloads(self) -> AsyncGenerator[Mapping[str, Any], None]:
        """The JSON objects of a stream of server-sent events as they come; `DONE` last, where the stream says so.

        Raises:
            EngineTimeoutError: the first piece, the next, or the whole took too long.
            EngineError: an event without an end, or one that is no JSON object.
        """
        upstream, content = self.upstream, self._response.content
        decoder = SSEDecoder()
        watch = _Watch(self._response, self._first, upstream.timeouts.between_tokens, self._end)
        try:
            chunk = b"x"
            while chunk:
                chunk = await content.readany()
                events = decoder.feed(chunk) if chunk else decoder.flush()
                watch.heard(piece=bool(events))
                for data in events:
                    if data[:1] == b"[" and data.strip() == b"[DONE]":
                        await self._drain()
                        yield DONE
                        return
                    if data:  # an empty one keeps the connection alive
                        yield self._parse(data)
        except EventTooLargeError as error:
            raise EngineError("The endpoint sent an event without an end.", where=upstream.shown) from error
        except aiohttp.ClientError as error:
            if not watch.late:
                raise
            raise EngineTimeoutError(f"The endpoint sent {watch.late}.", where=upstream.shown) from error
        finally:
            watch.stop()

    async def _read(self) -> bytes:
        length = self._response.content_length
        if length is not None and length <= _ANSWER:
            return await self._response.read()
        raw = bytearray()
        async for chunk in self._response.content.iter_any():
            raw += chunk
            if len(raw) > _ANSWER:
                raise EngineError("The endpoint's answer is too large.", where=self.upstream.shown)
        return bytes(raw)

    async def _drain(self) -> None:
        """Read what follows the last event, so that the connection can be used again."""
        content = self._response.content
        try:
            async with asyncio.timeout(0.2):
                while not content.at_eof():
                    await content.readany()
        except (TimeoutError, aiohttp.ClientError):
            return  # then it is closed, which costs the next request a handshake

    def _parse(self, data: bytes) -> Mapping[str, Any]:
        try:
            payload = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise self._no_json(data) from error
        if type(payload) is not dict:
            raise EngineError("The endpoint sent JSON that is no object.", where=self.upstream.shown)
        return payload

    def _no_json(self, raw: bytes) -> EngineError:
        said = self.upstream.clean(raw.decode("utf-8", "replace"), limit=80)
        return EngineError(f"The endpoint sent no JSON: {said}", where=self.upstream.shown)


class _Watch:
    """Hangs up when a stream says nothing for too long: one timer, not one for each piece.

    Comments that keep a connection alive are no first piece, but count between pieces.
    """

    __slots__ = ("_end", "_heard", "_loop", "_response", "_spoken", "_timer", "_until", "_wait", "late")

    def __init__(self, response: aiohttp.ClientResponse, first: float, wait: float, end: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._response, self._wait, self._end = response, wait, end
        self._spoken = False
        self._heard = 0.0
        self._until = min(first, end)
        self.late = ""
        """What was too late, once the connection is closed for it."""
        if response.connection is not None and response.connection.protocol is not None:
            # From here on the HTTP client's own timer, which watched over the head, is not needed.
            response.connection.protocol.read_timeout = None
            response.connection.protocol.start_timeout()
        self._timer = self._loop.call_at(self._until, self._look)

    def heard(self, *, piece: bool) -> None:
        """Something came."""
        self._heard = self._loop.time()
        if piece and not self._spoken:
            self._spoken = True
            self._timer.cancel()
            self._look()

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        if self._spoken:
            self._until = min(self._heard + self._wait, self._end)
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._look)
            return
        silence = f"nothing for {self._wait:g} s" if self._spoken else "no first piece in time"
        self.late = "no end of its answer in time" if self._until == self._end else silence
        self._response.close()
