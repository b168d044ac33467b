"""One HTTP endpoint that others run: its address and our key, timeouts by phase, errors that never show the key."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import orjson
from pydantic import SecretStr

from athanor.engines.http1 import BrokenError, Client, ConnectError, Response
from athanor.engines.refusals import body_message, error_message, refusal, retry_after
from athanor.engines.reply import DONE, Reply
from athanor.errors import AthanorError, ConfigError, EngineError, EngineTimeoutError, EngineUnavailableError

__all__ = ["DONE", "Reply", "Sign", "Timeouts", "Upstream", "error_message", "retry_after"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SAFE = "/?&=:@!$'()*+,;~%-._"
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
        self.timeouts = timeouts or Timeouts()
        self.sign = sign
        self.host = parts.hostname
        self._client = Client(parts, connect=self.timeouts.connect)
        self._path = parts.path.rstrip("/")
        self._query = f"?{parts.query}" if parts.query else ""
        # For messages: a URL may carry a password or a key in its query.
        self.shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._headers = {
            "host": self._client.authority,
            "accept": "application/json, text/event-stream",
            "accept-encoding": "identity",
            "content-type": "application/json",
        }
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        self._headers |= {name.lower(): value for name, value in (headers or {}).items()}
        self._secrets: tuple[str, ...] = ()
        if api_key is not None and (secret := api_key.get_secret_value()):
            if len(secret) >= _SECRET:
                self._secrets = (secret,)
            self._headers |= {key_header.lower(): secret} if key_header else {"authorization": f"Bearer {secret}"}
        self._common = head_of(self._headers)
        self._heads: dict[str, bytes] = {}

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
        times = self.timeouts
        first = asyncio.get_running_loop().time() + times.first_token
        try:
            if self.sign is not None:
                headers = {**(headers or {}), **(await self._signed())}
            response = await self._client.post(
                self._head(path, headers),
                orjson.dumps(body),
                silence=times.first_token if stream else None,
                total=times.total,
            )
            try:
                if not 200 <= response.status < 300:
                    raise await self._refusal(response)
                yield Reply(self, response, first)
            finally:
                response.close()
        except TimeoutError as error:
            raise EngineTimeoutError("The endpoint did not answer in time.", where=self.shown) from error
        except ConnectError as error:
            raise EngineUnavailableError(
                "The endpoint cannot be reached.", where=self.shown, hint="Is it running, and is the URL right?"
            ) from error
        except BrokenError as error:
            raise EngineError(f"The connection broke: {self.clean(str(error))}.", where=self.shown) from error

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
        await self._client.aclose()

    @property
    def connections(self) -> int:
        """Connections that are in use now."""
        return self._client.used

    def _head(self, path: str, headers: Mapping[str, str] | None) -> bytes:
        """The request's head; for a path it is made once."""
        if headers:
            return self._line(path) + head_of({**self._headers, **{n.lower(): v for n, v in headers.items()}})
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = self._line(path) + self._common
        return head

    def _line(self, path: str) -> bytes:
        target = f"{self._path}{path}"
        if self._query:
            target += f"&{self._query[1:]}" if "?" in path else self._query
        # Percent signs stay: what is encoded already is not encoded again.
        return b"POST %b HTTP/1.1\r\n" % quote(target, safe=_SAFE).encode()

    async def _refusal(self, response: Response) -> AthanorError:
        raw = b""
        try:
            async with asyncio.timeout(10):
                while len(raw) <= _ERROR_BODY and (chunk := await response.readany()):
                    raw += chunk
        except (TimeoutError, BrokenError):
            pass  # the status is known; its words are a courtesy
        said = self.clean(body_message(raw))
        return refusal(response.status, response.headers, raw, said, where=self.shown)


def head_of(headers: Mapping[str, str]) -> bytes:
    """Header fields as they are sent.

    Raises:
        ConfigError: a name or a value that would end its line, or that is not in Latin-1.
    """
    lines = []
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not value.isprintable():
            raise ConfigError("A header has a character that no header may have.", where=name[:60])
        lines.append(f"{name}: {value}\r\n")
    try:
        return "".join(lines).encode("latin-1")
    except UnicodeEncodeError as error:
        raise ConfigError("A header has a character that no header may have.") from error
