"""An endpoint's answer: whole, or as a stream of events, and never for longer than it may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from athanor.engines.http1 import Response, SilenceError
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

    upstream: Upstream
    _response: Response
    _first: float
    """When the first piece must have come, by the loop's clock."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in lower case."""
        return self._response.headers

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
        upstream, response, decoder = self.upstream, self._response, SSEDecoder()
        spoken, chunk = False, b"x"
        try:
            while chunk:
                chunk = await response.readany()
                events = decoder.feed(chunk) if chunk else decoder.flush()
                if not spoken:
                    spoken = bool(events)
                    # Comments that keep a connection alive are no first piece, but count between pieces.
                    response.allow(upstream.timeouts.between_tokens if spoken else self._left())
                for data in events:
                    if data[:1] == b"[" and data.strip() == b"[DONE]":
                        await self._drain()
                        yield DONE
                        return
                    if data:  # an empty one keeps the connection alive
                        yield self._parse(data)
        except EventTooLargeError as error:
            raise EngineError("The endpoint sent an event without an end.", where=upstream.shown) from error
        except SilenceError as error:
            said = f"nothing for {upstream.timeouts.between_tokens:g} s" if spoken else "no first piece in time"
            raise EngineTimeoutError(f"The endpoint sent {said}.", where=upstream.shown) from error
        except TimeoutError as error:
            raise EngineTimeoutError("The endpoint sent no end of its answer in time.", where=upstream.shown) from error

    def _left(self) -> float:
        """Seconds that remain for the first piece."""
        return max(0.0, self._first - asyncio.get_running_loop().time())

    async def _read(self) -> bytes:
        raw = await self._response.read(_ANSWER)
        if raw is None:
            raise EngineError("The endpoint's answer is too large.", where=self.upstream.shown)
        return raw

    async def _drain(self) -> None:
        """Read what follows the last event, so that the connection can be used again."""
        if self._response.complete:
            return
        try:
            async with asyncio.timeout(0.2):
                while await self._response.readany():
                    pass
        except (TimeoutError, OSError):
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
