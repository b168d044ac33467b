"""A client of HTTP/1.1 (RFC 9112) for one host: POST, kept connections, streamed bodies, one timer a request.

Written here because it is on the path of every request: a general client costs 0.2 ms of processor time for one, this
one a third of that (see design/gateway.md). What it leaves out, an endpoint of models does not use: redirects,
cookies, proxies, other methods, trailers. Parsing is llhttp's, by way of `httptools`.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections import deque
from collections.abc import Mapping
from typing import cast
from urllib.parse import SplitResult

import httptools

_HIGH = 256 << 10
"""Bytes that wait to be read, above which the socket is not read."""
_HEAD = 64 << 10
"""Bytes of a response's head, at most."""
_IDLE = 55.0
"""Seconds that a connection is kept for the next request; common servers and proxies close after 60."""


class ConnectError(OSError):
    """No connection: refused, unreachable, no such name, or a certificate that is not trusted."""


class BrokenError(OSError):
    """The connection ended, or what came over it is no HTTP. `early`: before anything of the response had come."""

    def __init__(self, message: str, *, early: bool = False) -> None:
        super().__init__(message)
        self.early = early


class SilenceError(TimeoutError):
    """Nothing came for as long as the phase allows."""


class Response:
    """A response whose head is there. Read it to its end, or close it."""

    def __init__(self, connection: _Connection) -> None:
        self._connection: _Connection | None = connection
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers

    @property
    def complete(self) -> bool:
        """All of it has arrived."""
        return self._connection is None or self._connection.complete

    def allow(self, seconds: float) -> None:
        """Change how long the endpoint may be silent from now on."""
        if self._connection is not None:
            self._connection.allow(seconds)

    async def readany(self) -> bytes:
        """What has come since; empty at the end.

        Raises:
            SilenceError: nothing came in time.
            TimeoutError: the whole took too long.
            BrokenError: the connection broke in the middle.
        """
        connection = self._connection
        if connection is None:
            return b""
        try:
            data = await connection.take()
        except BaseException:
            self.close()
            raise
        if not data:
            self._connection = None
            connection.pool.give_back(connection)
        return data

    async def read(self, limit: int) -> bytes | None:
        """The whole body; `None` where it is longer than `limit` bytes. Raises as `readany`."""
        parts, size = [], 0
        while data := await self.readany():
            parts.append(data)
            size += len(data)
            if size > limit:
                self.close()
                return None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Give the connection back if the body was read or has arrived, else close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pool.give_back(connection)


class Client:
    """Requests to one host.

    Args:
        url: scheme and host; a path is not looked at.
        connect: seconds for a connection, its TLS handshake included.
    """

    def __init__(self, url: SplitResult, *, connect: float) -> None:
        assert url.hostname is not None
        self._host = url.hostname
        self._tls = url.scheme == "https"
        self._port = url.port or (443 if self._tls else 80)
        self._connect = connect
        self._context: ssl.SSLContext | None = None
        self._idle: list[_Connection] = []
        self._used: set[_Connection] = set()
        name = f"[{self._host}]" if ":" in self._host else self._host
        self.authority = name if url.port is None else f"{name}:{url.port}"
        """For the `Host` header."""

    @property
    def used(self) -> int:
        """Connections that carry a request now."""
        return len(self._used)

    async def post(self, head: bytes, body: bytes, *, silence: float | None, total: float) -> Response:
        """Send a request and wait for the head of its response.

        Args:
            head: request line and header fields, without `Content-Length` and the empty line.
            silence: seconds without a byte that are allowed; None allows as many as `total`.
            total: seconds for everything, the body of the response included.

        Raises:
            ConnectError: no connection was to be had.
            SilenceError, TimeoutError, BrokenError: see `Response.readany`.
        """
        raw = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
        while True:
            connection, kept = self._idle_one(), True
            if connection is None:
                connection, kept = await self._open(), False
            self._used.add(connection)
            try:
                await connection.send(raw, silence, total)
            except BrokenError as error:
                self.give_back(connection)
                # The endpoint closed an idle connection in the moment in which we took it.
                if kept and error.early:
                    continue
                raise
            except BaseException:
                self.give_back(connection)
                raise
            return Response(connection)

    def give_back(self, connection: _Connection) -> None:
        """Keep a connection whose response has come whole; close any other."""
        self._used.discard(connection)
        if connection.reusable:
            connection.rest()
            self._idle.append(connection)
        else:
            connection.close()

    def forget(self, connection: _Connection) -> None:
        """Keep an idle connection no longer."""
        if connection in self._idle:
            self._idle.remove(connection)

    async def aclose(self) -> None:
        """Close all connections. Streams that are open break."""
        for connection in [*self._idle, *self._used]:
            connection.close()
        self._idle.clear()

    def _idle_one(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and connection.loop.time() - connection.rested < _IDLE:
                return connection
            connection.close()
        return None

    async def _open(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if self._tls and self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        try:
            async with asyncio.timeout(self._connect):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, self), self._host, self._port, ssl=self._context if self._tls else None
                )
        except TimeoutError:
            raise TimeoutError("no connection in time") from None
        except (OSError, UnicodeError) as error:
            raise ConnectError(str(error)) from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Client) -> None:
        self.loop = loop
        self.pool = pool
        self.closed = False
        self.rested = 0.0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.wait: float | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None
        self._problem: Exception | None = None
        self._busy = self._begun = self._headed = self._paused = False
        self._keep = True
        self._head_bytes = 0
        self._unzip: zlib._Decompress | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = self._deadline = 0.0

    @property
    def reusable(self) -> bool:
        return self.complete and self._keep and not self.closed and self._problem is None

    async def send(self, raw: bytes, silence: float | None, total: float) -> None:
        """Write a request, and wait for the head of its response."""
        assert self._transport is not None
        self._stop_timer()
        self._busy, self._begun, self._headed, self.complete = True, False, False, False
        self.status, self.headers, self._head_bytes, self._unzip = 0, {}, 0, None
        self.wait, self._heard = silence, self.loop.time()
        self._deadline = self._heard + total
        self._timer = self.loop.call_at(self._due(), self._check)
        self._transport.write(raw)
        while not self._headed:
            await self._more()

    async def take(self) -> bytes:
        """What has come of the body; empty at its end."""
        while not self._chunks and not self.complete:
            await self._more()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def rest(self) -> None:
        """Wait for the next request."""
        self._stop_timer()
        self._busy = False
        self._chunks.clear()
        self._buffered = 0
        self.rested = self.loop.time()
        self._timer = self.loop.call_later(_IDLE, self._expire)

    def _expire(self) -> None:
        self.pool.forget(self)
        self.close()

    def close(self) -> None:
        self._stop_timer()
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    async def _more(self) -> None:
        self._complain()
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if not self._chunks:
            self._complain()

    def _complain(self) -> None:
        if self._problem is not None:
            raise self._problem

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, problem: Exception) -> None:
        if self._problem is None:
            self._problem = problem
        self.close()
        self._wake()

    # Time

    def _due(self) -> float:
        # An endpoint whose pieces wait here for a slow reader is not silent.
        if self.wait is None or self._paused:
            return self._deadline
        return min(self._deadline, self._heard + self.wait)

    def allow(self, seconds: float) -> None:
        """Change how long the endpoint may be silent."""
        self.wait = seconds
        if self._timer is not None and self._due() < self._timer.when():
            self._stop_timer()
            self._timer = self.loop.call_at(self._due(), self._check)

    def _check(self) -> None:
        now, due = self.loop.time(), self._due()
        if now < due:
            self._timer = self.loop.call_at(due, self._check)
        elif due == self._deadline:
            self._fail(TimeoutError("the whole took too long"))
        else:
            self._fail(SilenceError(f"nothing for {self.wait:g} s"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self.close()  # nobody asked: what follows could be taken for the next answer
            return
        self._heard = self.loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self.complete:
                self._keep = False  # what follows the answer is nobody's
            else:
                cause = error.__context__
                said = str(cause) if isinstance(cause, _TooMuchError) else f"it is no HTTP ({error})"
                self._fail(BrokenError(said))
        if self._buffered > _HIGH and not self._paused and not self.closed and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._transport = None
        self.pool.forget(self)
        if not self._busy or self.complete:
            return
        framed = "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "")
        if self._headed and not framed and exc is None:
            self.complete = True  # a body without a length ends with its connection
            self._wake()
        else:
            said = str(exc) if exc else "the endpoint closed it"
            self._fail(BrokenError(said, early=not self._begun))

    # httptools

    def on_message_begin(self) -> None:
        if self.complete:
            raise _TooMuchError("more than one response")
        self._begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _HEAD:
            raise _TooMuchError("the head of the response is too large")
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        self._keep = self._parser.should_keep_alive()
        if self.headers.get("content-encoding", "identity") in {"gzip", "deflate"}:
            self._unzip = zlib.decompressobj(47)  # not asked for, and sent all the same
        self._headed = True
        self._wake()

    def on_body(self, body: bytes) -> None:
        data = body
        if self._unzip is not None:
            try:
                data = self._unzip.decompress(body, 8 << 20)
            except zlib.error as error:
                raise _TooMuchError(f"the body cannot be unpacked: {error}") from error
            if self._unzip.unconsumed_tail:
                raise _TooMuchError("the body expands too much")
        if data:
            self._chunks.append(data)
            self._buffered += len(data)
            self._wake()

    def on_message_complete(self) -> None:
        if self.status < 200:  # an interim response (RFC 9110, section 15.2)
            self.headers, self._head_bytes = {}, 0
            return
        self.complete = True
        self._stop_timer()
        self._wake()


class _TooMuchError(Exception):
    """More than we take. The parser hides it in the context of an error of its own."""
