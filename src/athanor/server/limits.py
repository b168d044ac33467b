"""Bounds on what a client may send, enforced before anything is parsed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from athanor.errors import AthanorError, InputError, PermissionDeniedError, RequestTimeoutError, TooLargeError
from athanor.gateway import App
from athanor.server.door import BODY_SECONDS, read
from athanor.server.enforce import enforce, refuse
from athanor.server.errors import error_body
from athanor.server.sse import JSON
from athanor.server.wire.decoding import check_json

SLOWEST = 16 << 10
"""Bytes a second at which an upload has to come, after its first minute."""
_BARE = {"GET", "HEAD", "OPTIONS"}
"""Methods whose bodies nobody reads."""


class BodyLimit:
    """For what is no door: nothing is read of a stranger, and no body is too large, too slow, or JSON in name only.

    The framework decodes a body before it asks who sends it, its JSON may hold lone surrogates and NaN, and PostgreSQL
    has no NUL in a text.
    """

    def __init__(self, others: ASGIApp, app: App) -> None:
        self._others = others
        self._app = app
        self._limit = app.settings.server.max_body_mb << 20
        self._json_limit = min(app.settings.server.max_request_mb << 20, self._limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _BARE:
            return await self._others(scope, receive, send)
        request = Request(scope, receive)
        try:
            enforce(scope, self._app)
            if _is_json(request.headers.get("content-type", "")):
                raw = await read(request, self._json_limit)
                _check(raw)
                return await self._others(scope, _again(raw, receive), send)
            declared = request.headers.get("content-length", "")
            if declared.isdigit() and int(declared) > self._limit:
                raise self._too_large()
        except (AthanorError, HTTPException) as error:
            return await refuse(error, scope, receive, send)
        except ClientDisconnect:
            return None  # nobody reads an answer
        return await self._bounded(scope, receive, send)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count and time the body while it is read, and answer for whoever reads it if it goes too far."""
        seen, more, began, started = 0, True, time.monotonic(), False
        problem: AthanorError | None = None

        async def counted() -> Message:
            nonlocal seen, more, problem
            if not more:
                return await receive()
            try:
                async with asyncio.timeout(began + BODY_SECONDS + seen / SLOWEST - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                problem = RequestTimeoutError("The body arrives too slowly.")
                return {"type": "http.disconnect"}
            seen += len(message.get("body", b""))
            more = message.get("more_body", False)
            if seen > self._limit:
                problem = self._too_large()
                return {"type": "http.disconnect"}
            return message

        async def guarded(message: Message) -> None:
            nonlocal started
            if problem is None or started:
                started = True
                await send(message)

        try:
            await self._others(scope, counted, guarded)
        except ClientDisconnect:
            if problem is None:
                raise
        if problem is not None and not started:
            await refuse(problem, scope, receive, send)

    def _too_large(self) -> TooLargeError:
        hint = "Raise server.max_body_mb, or send less."
        return TooLargeError(f"The request is larger than {self._limit >> 20} MiB.", hint=hint)


def _is_json(kind: str) -> bool:
    kind = kind.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _check(raw: bytes) -> None:
    if not raw:
        return
    check_json(raw)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InputError(f"Invalid JSON: {error}.", where="body") from None
    if b"\\u0000" in raw and _has_nul(body):
        raise InputError("A text holds the character NUL.", where="body", hint="Leave it out.")


def _has_nul(body: Any) -> bool:
    waiting = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "\0" in value:
                return True
        elif isinstance(value, dict):
            waiting += (*value, *value.values())
        elif isinstance(value, list):
            waiting += value
    return False


def _again(raw: bytes, receive: Receive) -> Receive:
    """The body that was read, in one piece; then what `receive` says."""
    told = False

    async def repeated() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return repeated


_HERE = {"localhost", "127.0.0.1", "[::1]", ""}


class SameOrigin:
    """Refuses what a foreign page makes a browser send: an `Origin` that is not this server's own host.

    Keys never travel by themselves, but the console's cookie does, and a page elsewhere could also reach a loopback
    server by a rebound name: hence the check on `Host` while the server is bound to loopback.
    """

    def __init__(self, app: ASGIApp, loopback: bool, public_url: str | None = None) -> None:
        self._app = app
        self._loopback = loopback
        self._public = public_url
        # A proxy of ours may hand the name on that browsers use.
        self._names = _HERE if public_url is None else _HERE | {_name(public_url.partition("://")[2])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            headers = dict(scope["headers"])
            host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
            foreign_host = self._loopback and _name(host) not in self._names
            own = origin == self._public or origin.partition("://")[2] == host
            foreign_origin = bool(origin) and not own and b"authorization" not in headers
            if foreign_host or foreign_origin:
                if scope["type"] == "websocket":
                    await send({"type": "websocket.close", "code": 1008})
                    return
                error = PermissionDeniedError("This request comes from another site.", where=origin or host)
                await JSON(error_body(error), status_code=error.status)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _name(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host
