"""Bounds on what a client may send, enforced before anything is parsed."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from athanor.errors import PermissionDeniedError, TooLargeError
from athanor.server.errors import error_body
from athanor.server.sse import JSON


class BodyLimit:
    """Refuses bodies over `limit` bytes: at once by their length, or while they stream in."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            await self._refuse(scope, receive, send)
            return
        seen, over, started = 0, False, False

        async def counted() -> Message:
            nonlocal seen, over
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                over = True
                return {"type": "http.disconnect"}
            return message

        async def guarded(message: Message) -> None:
            nonlocal started
            if not over or started:
                started = True
                await send(message)

        try:
            await self._app(scope, counted, guarded)
        except ClientDisconnect:
            if not over:
                raise
        if over and not started:
            await self._refuse(scope, receive, send)

    def _error(self) -> TooLargeError:
        return TooLargeError(
            f"The request is larger than {self._limit >> 20} MiB.", hint="Raise server.max_body_mb, or send less."
        )

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = self._error()
        await JSON(error_body(error), status_code=error.status)(scope, receive, send)


_HERE = {"localhost", "127.0.0.1", "[::1]", ""}


class SameOrigin:
    """Refuses what a foreign page makes a browser send: an `Origin` that is not this server's own host.

    Keys never travel by themselves, but the console's cookie does, and a page elsewhere could also reach a loopback
    server by a rebound name: hence the check on `Host` while the server is bound to loopback.
    """

    def __init__(self, app: ASGIApp, loopback: bool) -> None:
        self._app = app
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            headers = dict(scope["headers"])
            host, origin = (headers.get(name, b"").decode("latin-1") for name in (b"host", b"origin"))
            foreign_host = self._loopback and _name(host) not in _HERE
            foreign_origin = bool(origin) and origin.partition("://")[2] != host and b"authorization" not in headers
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
