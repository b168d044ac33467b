"""HTTP/1.1 with bounds: what uvicorn's fast protocol lets a client do without end, ends here.

httptools parses and uvicorn answers; both take heads of any size and wait for them for ever. A request that is as it
should be pays for the bounds with a few comparisons: timers are set only for what did not come in one piece.
"""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from athanor.errors import (
    AthanorError,
    HeadTooLargeError,
    InputError,
    OverloadedError,
    RequestTimeoutError,
    UrlTooLongError,
)
from athanor.server.errors import error_body, error_headers
from athanor.server.sse import JSON

HEAD_BYTES = 64 << 10
"""Request line and headers; also what may come between two pieces of a body (chunks' extensions, trailers)."""
HEADERS = 128
"""Number of headers."""
URL_BYTES = 8 << 10
"""Path and query."""
HEAD_SECONDS = 15.0
"""For a request's head, from the connection or from its first byte."""
STALL_SECONDS = 120.0
"""For which a client may read nothing while an answer waits for it."""
PIPELINED = 16
"""Requests that may wait on one connection."""
LINGER_SECONDS = 5.0
"""For which a client that was refused may go on sending, so that it can read why."""
LINGER_BYTES = 64 << 20
"""How much of that is taken in, and thrown away."""
REFUSED = 256
"""Connections over the limit that are told so; more are dropped without a word."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Every refusal is in the shape of all errors of the API, and closes."""

    max_connections = 1000
    """Open at once, over all connections of a server; see `bounded`."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.url = b""
        self._quiet = 0
        """Bytes that came since the parser last made something of them."""
        self._timer: TimerHandle | None = None
        """Ends the connection if what is under way does not get on."""
        self._stall: TimerHandle | None = None
        self._keep = True
        """Whether the connection stays open after a request whose body is still coming."""
        self._deaf = False
        """Nothing more is parsed; `_left` bytes are thrown away."""
        self._left = LINGER_BYTES

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        over = len(self.connections) - self.max_connections
        if over > REFUSED:
            self._deaf = True
            transport.abort()
        elif over > 0:
            self._refuse(OverloadedError("There are too many connections.", hint="Ask again, on one that is open."))
        else:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._stall is not None:
            self._stall.cancel()
        # uvicorn lets these timers go only where the client said goodbye.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self.pipeline.clear()  # nobody waits for these answers

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._left -= len(data)
            if self._left < 0:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        self._quiet += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, AthanorError) else _malformed(error))
            return
        if self._quiet:
            self._incomplete()
        elif self.cycle.more_body and self.cycle.transport is self.transport:
            # An answer before the request's end must end the connection too, and does so unless the end comes first.
            self._keep = self.cycle.keep_alive
            self._last(self.cycle)

    def on_headers_complete(self) -> None:
        if self._timer is not None:
            self._disarm()
        if len(self.url) > URL_BYTES:
            raise _url_too_long()
        if b"%00" in self.url:
            raise InputError("The URL holds the character NUL.", hint="Leave it out.")
        if len(self.headers) > HEADERS:
            raise HeadTooLargeError(f"There are more than {HEADERS} headers.", hint="Send fewer.")
        if self._quiet > HEAD_BYTES:  # a piece of the body may have come with it
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > HEAD_BYTES:
                raise _head_too_large()
        self._quiet = 0
        if self.parser.should_upgrade() and self.parser.get_method() != b"GET" and self._should_upgrade():
            raise InputError("A WebSocket begins with GET.")
        if len(self.pipeline) >= PIPELINED:
            raise InputError(f"More than {PIPELINED} requests wait on one connection.")
        super().on_headers_complete()
        if self.cycle is not None and self.cycle.scope is self.scope:
            self.headers = []  # for trailers, which must not become headers of the request

    def on_body(self, body: bytes) -> None:
        self._quiet = 0
        if self._timer is not None:
            self._disarm()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._quiet = 0
        if self._timer is not None:
            self._disarm()
        super().on_message_complete()
        cycle = self.cycle
        if cycle is not None and cycle.transport is not self.transport and not cycle.response_started:
            cycle.keep_alive, cycle.transport = self._keep, self.transport

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._flush()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._flush()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def linger(self) -> None:
        """Close, but let the client read what was said: closed on unread bytes, a connection takes its answer along."""
        self._deaf = True
        self._disarm()
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _incomplete(self) -> None:
        """After bytes that completed nothing: a piece of a head, or of what surrounds the pieces of a body."""
        if self._quiet > HEAD_BYTES:
            self._refuse(_url_too_long() if len(self.url) > URL_BYTES else _head_too_large())
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def _late(self) -> None:
        self._timer = None
        self._refuse(RequestTimeoutError(f"The request's head did not arrive within {HEAD_SECONDS:g} s."))

    def _refuse(self, error: AthanorError) -> None:
        """Tell the client, if no other answer is on its way, and close."""
        self._disarm()
        self._deaf = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:  # what came before was in order: it is answered, and what came after it is not
                self._last(cycle)
                return
            cycle.disconnected = True  # its answer is this one
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:
                self.transport.abort()
                return
        status = HTTPStatus(error.status)
        headers = {**error_headers(error), "connection": "close"}
        answer = JSON(error_body(error), status_code=status, headers=headers)
        head = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
        head += [b"%s: %s" % header for header in (*self.server_state.default_headers, *answer.raw_headers)]
        self.transport.write(b"\r\n".join((*head, b"", bytes(answer.body))))
        self.linger()

    def _upgrade(self) -> None:
        if self._should_upgrade():
            self._disarm()
            self.handle_websocket_upgrade()
        else:  # it is answered as it stands; the parser has given up on what follows it
            self._last(self.cycle)
            self._deaf = True

    def _last(self, cycle: RequestResponseCycle) -> None:
        """The connection ends with the answer to this request."""
        cycle.keep_alive = False
        cycle.transport = cast("asyncio.Transport", _Lingering(self))

    def _flush(self) -> None:
        """A transport that is closed sends what it has first, and waits for that without end."""
        if self._stall is None and self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Lingering:
    """A connection as the answer to an unfinished request sees it: closed only after `linger`."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()

    def close(self) -> None:
        self._protocol.linger()


def bounded(max_connections: int) -> type[BoundedProtocol]:
    """The protocol of a server that holds at most so many connections."""
    return type("BoundedProtocol", (BoundedProtocol,), {"max_connections": max_connections})


def _malformed(error: httptools.HttpParserError) -> InputError:
    # What fails while a head is taken over, rather than parsed, is its URL.
    why = "its URL cannot be read" if isinstance(error, httptools.HttpParserCallbackError) else str(error)
    return InputError(f"This is no HTTP request: {why}.", hint="Send HTTP/1.1 as in RFC 9112.")


def _url_too_long() -> UrlTooLongError:
    return UrlTooLongError(f"The URL is longer than {URL_BYTES >> 10} KiB.", hint="Send less in the query.")


def _head_too_large() -> HeadTooLargeError:
    return HeadTooLargeError(f"The headers are larger than {HEAD_BYTES >> 10} KiB.", hint="Send less in them.")
