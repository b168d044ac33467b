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

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from athanor.console import oidc, signin, theme, upload
from athanor.console.oidc import Provider
from athanor.console.origin import is_foreign
from athanor.console.rules import REQUESTS
from athanor.console.session import Sessions, is_secure
from athanor.errors import PermissionDeniedError
from athanor.gateway import App
from athanor.governance import Rule, admit
from athanor.types import Principal

YEAR = 365 * 86400
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
        self._provider = None if app.settings.access.oidc is None else Provider(app.settings.access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            sealed = _Sealed(send, secrets.token_urlsafe(16), secure=is_secure(scope, self._app.settings.access))
            await self._http(scope, receive, sealed)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        if path in STATIC:
            kind, content = STATIC[path]
            response: Response = Response(content(), media_type=kind, headers={"cache-control": "no-cache"})
        elif _is_open(path):
            return await self._inner(scope, receive, _cached(send))
        elif is_foreign(scope, self._app.settings.access):
            response = _refusal(403, "This request comes from another site.", "permission_denied")
        else:
            found = await self._answer(path, Request(scope, receive))
            if found is None:
                return await self._inner(scope, receive, send)
            response = found
        return await response(scope, receive, send)

    async def _answer(self, path: str, request: Request) -> Response | None:
        """The answer to a request that is no page; `None` where one shall be drawn."""
        scope = request.scope
        rule = REQUESTS.get(f"{scope['method']} {path}")
        if rule is not None and rule.public:
            return await self._public(path, request)
        principal = await self._sessions.principal(scope)
        if principal is not None:
            if rule is not None:
                return await self._ruled(path, rule, request, principal)
            scope["athanor.visit"] = Visit(app=self._app, principal=principal)
            return None
        if "text/html" in request.headers.get("accept", ""):
            return await signin.locked(self._app)
        return _refusal(401, "The console needs a session.", "unauthenticated")

    async def _ruled(self, path: str, rule: Rule, request: Request, principal: Principal) -> Response:
        try:
            admit(rule, principal, None)
        except PermissionDeniedError as error:
            return _refusal(error.status, error.message, error.code)
        if path == "/logout":
            return await self._sign_out(request)
        if path == "/password":
            return await signin.change_password(request, self._app, principal)
        return await upload.answer(request, self._app, principal)

    async def _public(self, path: str, request: Request) -> Response:
        if path == "/login":
            return await signin.login(request, self._app)
        if self._provider is None:
            return await signin.locked(self._app, status=404)
        if path == "/oidc/start":
            return await oidc.start(request, self._app, self._provider)
        return await oidc.callback(request, self._app, self._provider)

    async def _sign_out(self, request: Request) -> Response:
        provider = None
        if self._provider is not None:
            provider = await oidc.sign_out(request, self._app, self._provider)
        await self._sessions.end(request.scope)
        return signin.signed_out(request, self._app, provider)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        foreign = is_foreign(scope, self._app.settings.access)
        if foreign or await self._sessions.principal(scope) is None:
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

    def __init__(self, send: Send, nonce: str, *, secure: bool) -> None:
        self._send = send
        self._nonce = nonce
        self._secure = secure
        self._start: Message | None = None
        self._page: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in security_headers(self._nonce, secure=self._secure).items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")  # whatever shows data: the next person at the machine
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


def security_headers(nonce: str, *, secure: bool) -> dict[str, str]:
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
    strict = {"strict-transport-security": f"max-age={YEAR}"} if secure else {}
    return {
        **strict,
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


def _refusal(status: int, message: str, code: str) -> Response:
    error = {"message": message, "code": code, "hint": signin.COMMAND if status == 401 else None}
    return JSONResponse({"error": error}, status_code=status)
