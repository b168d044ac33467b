"""One HTTP endpoint that others run: a pooled client, timeouts by phase, errors that name it and never show its key.

aiohttp and not httpx: a request costs a tenth of the processor time (see design/gateway.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import orjson
from pydantic import SecretStr
from yarl import URL

from athanor.engines.refusals import body_message, error_message, refusal, retry_after
from athanor.engines.reply import DONE, Reply
from athanor.errors import AthanorError, ConfigError, EngineError, EngineTimeoutError, EngineUnavailableError

__all__ = ["DONE", "Reply", "Sign", "Timeouts", "Upstream", "error_message", "retry_after"]

_ERROR_BODY = 64 << 10
_SECRET = 4
"""Characters of a key that is one: `x` is written where a server wants any, and would be cut out of every word."""
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
        self.timeouts = times = timeouts or Timeouts()
        # The HTTP client's own timers: `asyncio.timeout` around each piece would cost more than its JSON.
        self._whole_timeout = aiohttp.ClientTimeout(total=times.total, connect=times.connect)
        first = min(times.first_token, times.total)
        self._stream_timeout = aiohttp.ClientTimeout(total=None, connect=times.connect, sock_read=first)
        self.sign = sign
        self.host = parts.hostname
        self._base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self._query = f"?{parts.query}" if parts.query else ""
        # For messages: a URL may carry a password or a key in its query.
        self.shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._headers = {"content-type": "application/json", "accept-encoding": "identity", **(headers or {})}
        self._secrets: tuple[str, ...] = ()
        if api_key is not None and (secret := api_key.get_secret_value()):
            if len(secret) >= _SECRET:
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
        first, end = now + self.timeouts.first_token, now + self.timeouts.total
        try:
            if self.sign is not None:
                headers = {**(headers or {}), **(await self._signed())}
            response = await self._send(self._url(path), orjson.dumps(body), headers, stream=stream)
            try:
                if not 200 <= response.status < 300:
                    raise await self._refusal(response)
                yield Reply(response.headers, self, response, first, end)
            finally:
                # A body that was read to its end has given its connection back; any other must not be used again.
                response.close()
        except TimeoutError as error:  # the HTTP client's own are of this kind too
            raise EngineTimeoutError("The endpoint did not answer in time.", where=self.shown) from error
        except aiohttp.ClientConnectorError as error:
            raise EngineUnavailableError(
                "The endpoint cannot be reached.", where=self.shown, hint="Is it running, and is the URL right?"
            ) from error
        except (aiohttp.ClientError, UnicodeError, ConnectionError) as error:
            raise EngineError(f"The connection broke: {self.clean(str(error))}.", where=self.shown) from error

    async def _send(
        self, url: URL, body: bytes, headers: Mapping[str, str] | None, *, stream: bool
    ) -> aiohttp.ClientResponse:
        session = self._session_now()
        timeout = self._stream_timeout if stream else self._whole_timeout
        # An endpoint may close an idle connection in the moment in which we take it for the next request.
        kept = bool(getattr(session.connector, "_conns", None))
        try:
            return await session.post(url, data=body, headers=headers, allow_redirects=False, timeout=timeout)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if not kept or isinstance(error, aiohttp.ClientConnectorError | TimeoutError):
                raise
        return await session.post(url, data=body, headers=headers, allow_redirects=False, timeout=timeout)

    async def _signed(self) -> Mapping[str, str]:
        assert self.sign is not None
        headers = await self.sign()
        tokens = {value.removeprefix("Bearer ") for value in headers.values()}
        fresh = {token for token in tokens if len(token) >= _SECRET and token not in self._secrets}
        # A few older tokens too: a request that they signed may still be under way.
        self._secrets = (*fresh, *self._secrets)[:8]
        return headers

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
