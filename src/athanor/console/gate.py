"""The gate before every page, socket and upload of the console: session, headers, nonce.

The policy (`Content-Security-Policy`) is as strict as NiceGUI permits. Its page has inline scripts and styles of its
own, so each page gets a nonce; nothing else inline runs, no other host is reached, and `unsafe-eval` is not needed
because our pages use neither JavaScript handlers nor `run_javascript`. Text of documents and models reaches the page as
JSON and becomes text nodes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from athanor.console import signin, theme, upload
from athanor.console.session import Sessions, clear_cookie
from athanor.gateway import App
from athanor.types import Principal

OPEN = ("/_nicegui/",)
OPEN_KINDS = {"static", "libraries", "components", "resources", "esm"}
"""NiceGUI's own files: the same for everyone, so they need no session."""

STATIC: Mapping[str, tuple[str, Callable[[], str]]] = {
    "/static/console.css": ("text/css", theme.stylesheet),
    "/static/console.js": ("text/javascript", lambda: theme.asset("console.js")),
    "/static/icon.svg": ("image/svg+xml", lambda: theme.svg("flame", theme.LIGHT["accent"])),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who asks for a page, and of which application."""

    app: App
    principal: Principal


def visit(request: Request) -> Visit:
    """The visit that the gate wrote into the request."""
    found: Visit = request.scope["athanor.visit"]
    return found


class Gate:
    """Lets in whoever has a session; everyone else gets the page that says how to get one."""

    def __init__(self, app: App, inner: ASGIApp) -> None:
        self._app = app
        self._inner = inner
        self._sessions = Sessions(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _Sealed(send, secrets.token_urlsafe(16)))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        if path in STATIC:
            kind, content = STATIC[path]
            response: Response = Response(content(), media_type=kind, headers={"cache-control": "no-cache"})
        elif _is_open(path):
            return await self._inner(scope, receive, _cached(send))
        elif path == "/login":
            response = await signin.login(Request(scope, receive), self._app)
        else:
            principal = await self._sessions.principal(scope)
            if principal is None:
                response = _refusal(scope)
            elif path == "/logout" and scope["method"] == "POST":
                await self._sessions.end(scope)
                response = RedirectResponse("/console/", status_code=303)
                clear_cookie(response)
            elif path.startswith("/upload/"):
                response = await upload.answer(Request(scope, receive), self._app, principal)
            else:
                scope["athanor.visit"] = Visit(app=self._app, principal=principal)
                return await self._inner(scope, receive, send)
        return await response(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await self._sessions.principal(scope) is None:
            await receive()
            return await send({"type": "websocket.close", "code": 1008})

        async def checked() -> Message:
            # A socket outlives its page: once the session is over, the next message is the last.
            message = await receive()
            if message["type"] == "websocket.receive" and await self._sessions.principal(scope) is None:
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        return await self._inner(scope, checked, send)


class _Sealed:
    """Adds the headers of every answer, and the nonce to the scripts and styles of a page."""

    def __init__(self, send: Send, nonce: str) -> None:
        self._send = send
        self._nonce = nonce
        self._start: Message | None = None
        self._page: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in security_headers(self._nonce).items():
                headers[name] = value
            if headers.get("content-type", "").startswith("text/html"):
                self._start = message  # its length is known when the nonce is in
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._page.append(message.get("body", b""))
            if message.get("more_body"):
                return
            await self._send_page(self._start, b"".join(self._page))
            self._start = None
            return
        await self._send(message)

    async def _send_page(self, start: Message, page: bytes) -> None:
        # A raw `<` in the page is the template's: NiceGUI escapes the ones in our text.
        nonce = f' nonce="{self._nonce}"'.encode()
        body = page.replace(b"<script", b"<script" + nonce).replace(b"<style", b"<style" + nonce)
        body = body.replace(b' style="display: none"', b" hidden")  # the only style attribute of the template
        MutableHeaders(scope=start)["content-length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def security_headers(nonce: str) -> dict[str, str]:
    """What the browser is told of every answer of the console."""
    policy = {
        "default-src": "'none'",
        "script-src": f"'self' 'nonce-{nonce}'",
        "style-src": f"'self' 'nonce-{nonce}'",
        "img-src": "'self' data:",  # the icons of the style sheet
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def _is_open(path: str) -> bool:
    # /_nicegui/VERSION/KIND/…
    parts = path.split("/")
    return path.startswith(OPEN) and len(parts) > 4 and parts[3] in OPEN_KINDS


def _cached(send: Send) -> Send:
    """NiceGUI's files carry its version in their path, so they never change."""

    async def cached(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            MutableHeaders(scope=message)["cache-control"] = "private, max-age=31536000, immutable"
        await send(message)

    return cached


def _refusal(scope: Scope) -> Response:
    if "text/html" in Headers(scope=scope).get("accept", ""):
        return signin.locked()
    error = {"message": "The console needs a session.", "code": "unauthenticated", "hint": signin.COMMAND}
    return JSONResponse({"error": error}, status_code=401)
