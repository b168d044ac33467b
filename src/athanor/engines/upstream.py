"""One HTTP endpoint that others run: a pooled client, timeouts by phase, errors that name it and never show its key.

aiohttp and not httpx: a request costs a tenth of the processor time (see design/gateway.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import orjson
from pydantic import SecretStr
from yarl import URL

from athanor.engines.refusals import body_message, error_message, refusal, retry_after
from athanor.engines.sse import EventTooLargeError, SSEDecoder
from athanor.errors import AthanorError, ConfigError, EngineError, EngineTimeoutError, EngineUnavailableError

__all__ = ["DONE", "Reply", "Sign", "Timeouts", "Upstream", "error_message", "retry_after"]

_ERROR_BODY = 64 << 10
_ANSWER = 64 << 20
"""Bytes of one answer, at most."""

DONE: Mapping[str, Any] = {"[DONE]": True}
"""Stands for the line that ends a stream of OpenAI's."""
T = TypeVar("T")
Sign = Callable[[], Awaitable[Mapping[str, str]]]
"""Gives the headers that authorise a request. Called for each, so that a token can be renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """All in seconds."""

    connect: float = 10.0
    first_token: float = 120.0
    """From the request to the first piece of the answer: a local server may have to load its model."""
    between_tokens: float = 60.0
    total: float = 600.0


@dataclass(slots=True)
class Reply:
    """A response whose status is good."""

    headers: Mapping[str, str]
    upstream: Upstream
    _response: aiohttp.ClientResponse
    _deadline: float

    async def json(self) -> Any:
        """The whole body.

        Raises:
            EngineError: it is too large or no JSON.
            EngineTimeoutError: it did not come within `total`.
        """
        # A short answer has come with its head.
        come = self._response.content.is_eof()
        raw = await (self._read() if come else self.upstream.within(self._deadline, self._read()))
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
        upstream, timeouts = self.upstream, self.upstream.timeouts
        decoder, content = SSEDecoder(), self._response.content
        wait, now = timeouts.first_token, asyncio.get_running_loop().time
        while True:
            until = min(now() + wait, self._deadline)
            try:
                async with asyncio.timeout_at(until):
                    chunk = await content.readany()
            except TimeoutError as error:
                said = f"nothing for {wait:g} s" if until < self._deadline else "no end of its answer in time"
                raise EngineTimeoutError(f"The endpoint sent {said}.", where=upstream.shown) from error
            wait = timeouts.between_tokens
            try:
                events = decoder.feed(chunk) if chunk else decoder.flush()
            except EventTooLargeError as error:
                raise EngineError("The endpoint sent an event without an end.", where=upstream.shown) from error
            for data in events:
                if data[:1] == b"[" and data.strip() == b"[DONE]":
                    await self._drain()
                    yield DONE
                    return
                if data:  # an empty one keeps the connection alive
                    yield self._parse(data)
            if not chunk:
                return

    @property
    def streams(self) -> bool:
        """It comes as events. Some servers answer in one piece although they were asked to stream."""
        return "json" not in self.headers.get("content-type", "")

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

    def _no_json(self, raw: bytes) -> EngineError:
        said = self.upstream.clean(raw.decode("utf-8", "replace"), limit=80)
        return EngineError(f"The endpoint sent no JSON: {said}", where=self.upstream.shown)

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


class Upstream:
    """A base URL (such as `https://host/v1`), the headers that authorise, and a pool of connections.

    Args:
        api_key: sent as `Authorization: Bearer …` unless `key_header` names another header, which then holds it bare.
        headers: sent with every request.
        sign: further headers for each request, instead of a key; for tokens that expire.

    Raises:
        ConfigError: the URL is not http(s).
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: SecretStr | None = None,
        key_header: str | None = None,
        headers: Mapping[str, str] | None = None,
        sign: Sign | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError("An endpoint is an http(s) URL, such as http://127.0.0.1:11434/v1.", where=parts.netloc)
        self.timeouts = timeouts or Timeouts()
        self.sign = sign
        self.host = parts.hostname
        self._base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self._query = f"?{parts.query}" if parts.query else ""
        # For messages: a URL may carry a password or a key in its query.
        self.shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._headers = {"content-type": "application/json", "accept-encoding": "identity", **(headers or {})}
        self._secrets: tuple[str, ...] = ()
        if api_key is not None and (secret := api_key.get_secret_value()):
            self._secrets = (secret,)
            self._headers |= {key_header: secret} if key_header else {"authorization": f"Bearer {secret}"}
        self._urls: dict[str, URL] = {}
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def post(
        self, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None, stream: bool = False
    ) -> AsyncIterator[Reply]:
        """Send JSON; give the reply, whose body may be a stream, once its status is known to be good.

        Args:
            path: behind the base URL; may have a query.
            headers: besides those of every request.
            stream: the answer comes in pieces, so that its head must come within `first_token`.

        Raises:
            AthanorError: see `_refusal`; also for a connection that fails or breaks inside the block.
        """
        now = asyncio.get_running_loop().time()
        deadline = now + self.timeouts.total
        first = min(deadline, now + self.timeouts.first_token) if stream else deadline
        try:
            if self.sign is not None:
                headers = {**(headers or {}), **(await self._signed())}
            response = await self._send(self._url(path), orjson.dumps(body), headers, first)
            try:
                if not 200 <= response.status < 300:
                    raise await self._refusal(response)
                yield Reply(response.headers, self, response, deadline)
            finally:
                # A body that was read to its end has given its connection back; any other must not be used again.
                response.close()
        except (aiohttp.ServerTimeoutError, aiohttp.ConnectionTimeoutError) as error:
            raise EngineTimeoutError("The endpoint did not answer in time.", where=self.shown) from error
        except aiohttp.ClientConnectorError as error:
            raise EngineUnavailableError(
                "The endpoint cannot be reached.", where=self.shown, hint="Is it running, and is the URL right?"
            ) from error
        except (aiohttp.ClientError, UnicodeError, ConnectionError) as error:
            raise EngineError(f"The connection broke: {self.clean(str(error))}.", where=self.shown) from error

    async def _send(
        self, url: URL, body: bytes, headers: Mapping[str, str] | None, deadline: float
    ) -> aiohttp.ClientResponse:
        session = self._session_now()
        # An endpoint may close an idle connection in the moment in which we take it for the next request.
        kept = bool(getattr(session.connector, "_conns", None))
        try:
            request = session.post(url, data=body, headers=headers, allow_redirects=False)
            return await self.within(deadline, request)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not kept or isinstance(error, aiohttp.ClientConnectorError):
                raise
        request = session.post(url, data=body, headers=headers, allow_redirects=False)
        return await self.within(deadline, request)

    async def _signed(self) -> Mapping[str, str]:
        assert self.sign is not None
        headers = await self.sign()
        fresh = {value.removeprefix("Bearer ") for value in headers.values()} - set(self._secrets)
        # A few older tokens too: a request that they signed may still be under way.
        self._secrets = (*fresh, *self._secrets)[:8]
        return headers

    async def within(self, deadline: float, work: Awaitable[T]) -> T:
        """Await `work`, but not beyond `deadline` (of the loop's clock).

        Raises:
            EngineTimeoutError: it took longer.
        """
        try:
            async with asyncio.timeout_at(deadline):
                return await work
        except TimeoutError as error:
            raise EngineTimeoutError("The endpoint did not answer in time.", where=self.shown) from error

    def clean(self, text: str, *, limit: int = 400) -> str:
        """One short line without our key or token, whoever quoted it."""
        text = " ".join(text.split())
        # Before it is cut: half a key must not stay.
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text if len(text) <= limit else f"{text[:limit]} …"

    async def aclose(self) -> None:
        """Close the pool. Streams that are open break."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def connections(self) -> int:
        """Connections that are in use now."""
        connector = self._session.connector if self._session is not None else None
        return len(connector._acquired) if connector is not None else 0

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            joined = f"{self._base}{path}"
            if self._query:
                joined += f"&{self._query[1:]}" if "?" in path else self._query
            url = self._urls[path] = URL(joined, encoded=True)
        return url

    def _session_now(self) -> aiohttp.ClientSession:
        # Made on first use: it belongs to the event loop that it first ran on.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=None, connect=self.timeouts.connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=True,
                headers=self._headers,
                skip_auto_headers=("user-agent",),
            )
        return self._session

    async def _refusal(self, response: aiohttp.ClientResponse) -> AthanorError:
        raw = b""
        try:
            async with asyncio.timeout(10):
                async for chunk in response.content.iter_any():
                    raw += chunk
                    if len(raw) > _ERROR_BODY:
                        break
        except (TimeoutError, aiohttp.ClientError):
            pass  # the status is known; its words are a courtesy
        said = self.clean(body_message(raw))
        return refusal(response.status, response.headers, raw, said, where=self.shown)
