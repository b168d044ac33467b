"""One HTTP endpoint that others run: a pooled client, timeouts, and errors that name it and never show its key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import orjson
from pydantic import SecretStr

from athanor.errors import (
    AthanorError,
    ConfigError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
)

_ERROR_BODY = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """All in seconds."""

    connect: float = 10.0
    first_token: float = 120.0
    """From the request to the first piece of the answer: a local server may have to load its model."""
    between_tokens: float = 60.0


class Upstream:
    """A base URL (ending in `/v1`) and its key.

    Raises:
        ConfigError: the URL is not http(s).
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: SecretStr | None = None,
        timeouts: Timeouts | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError("An endpoint is an http(s) URL, such as http://127.0.0.1:11434/v1.", where=parts.netloc)
        self.timeouts = timeouts or Timeouts()
        self._key = api_key
        self._url = url.rstrip("/")
        # For messages: a URL may carry a password or a key in its query.
        self.shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def post(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[httpx.Response]:
        """Send JSON; give the response, whose body may be a stream, once its status is known to be good.

        Raises:
            AthanorError: see `_refusal`; also for a connection that fails or breaks inside the block.
        """
        headers = {"content-type": "application/json"}
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        try:
            request = self._client_now().build_request(
                "POST", self._url + path, content=orjson.dumps(body), headers=headers
            )
            response = await self._client_now().send(request, stream=True)
            try:
                if response.status_code != 200:
                    raise await self._refusal(response)
                yield response
            finally:
                await response.aclose()
        except httpx.ConnectError as error:
            raise EngineUnavailableError(
                "The endpoint cannot be reached.", where=self.shown, hint="Is it running, and is the URL right?"
            ) from error
        except httpx.TimeoutException as error:
            raise EngineTimeoutError("The endpoint did not answer in time.", where=self.shown) from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise EngineError(f"The connection broke: {self.clean(str(error))}.", where=self.shown) from error

    def clean(self, text: str) -> str:
        """One short line without the key, whoever quoted it."""
        text = " ".join(text.split())
        if self._key is not None and (secret := self._key.get_secret_value()):
            text = text.replace(secret, "[key]")
        return text if len(text) <= 400 else f"{text[:400]} …"

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _client_now(self) -> httpx.AsyncClient:
        # Made on first use: a client belongs to the event loop that it first ran on.
        if self._client is None:
            timeouts = self.timeouts
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(timeouts.first_token, connect=timeouts.connect, pool=timeouts.first_token),
                limits=httpx.Limits(max_connections=256, max_keepalive_connections=32),
                transport=self._transport,
                follow_redirects=False,
            )
        return self._client

    async def _refusal(self, response: httpx.Response) -> AthanorError:
        status = response.status_code
        said = self.clean(await _message(response))
        where = self.shown
        if status in {401, 403}:
            return EngineError(
                f"The endpoint refused our key (HTTP {status}): {said}",
                where=where,
                hint="Check the model's `api_key`.",
            )
        if status == 404:
            return EngineError(
                f"The endpoint knows no such model or path: {said}", where=where, hint="Check `upstream` and the URL."
            )
        if status in {400, 413, 422}:
            return InputError(f"The endpoint refused the request: {said}", where=where)
        if status in {429, 503}:
            after = response.headers.get("retry-after", "")
            hint = f"Ask again in {after} s." if after.isdecimal() else "Ask again in a moment."
            return EngineUnavailableError(f"The endpoint is busy (HTTP {status}): {said}", where=where, hint=hint)
        if status in {408, 504}:
            return EngineTimeoutError(f"The endpoint timed out (HTTP {status}): {said}", where=where)
        return EngineError(f"The endpoint answered HTTP {status}: {said}", where=where)


async def _message(response: httpx.Response) -> str:
    """What an error body says: `error.message` of JSON, or the beginning of the text."""
    raw = b""
    async for chunk in response.aiter_bytes():
        raw += chunk
        if len(raw) > _ERROR_BODY:
            break
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw[:400].decode("utf-8", "replace") or "no reason given"
    return error_message(body) or "no reason given"


def error_message(body: object) -> str:
    """The text of an error object in any of the shapes that are in use; empty if there is none."""
    if isinstance(body, Mapping):
        error = body.get("error", body.get("detail", body.get("message", "")))
        if isinstance(error, Mapping):
            error = error.get("message", "")
        return str(error)
    return ""
