"""Who is in the browser: the session's cookie, and what is known of the sessions that are open."""

from __future__ import annotations

import time

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from athanor.config import AccessSettings
from athanor.errors import AuthenticationError
from athanor.gateway import App
from athanor.types import Principal, Visitor

COOKIE = "athanor_session"
HOST_COOKIE = "__Host-athanor_session"
"""Over https: a browser takes it from this host only, and no other name under the same domain can plant one
(RFC 6265bis, section 4.1.3.2)."""

FRESH_SECONDS = 5.0
"""How long a session is believed without asking the store again. A sign-out here is seen at once."""
_CACHED = 1000


class Sessions:
    """Finds the principal of a cookie."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._known: dict[str, tuple[Principal, float]] = {}

    async def principal(self, scope: Scope) -> Principal | None:
        """Whose session this request or socket belongs to, if it is a good one."""
        token = cookie(scope, self._app.settings.access)
        if not token:
            return None
        known = self._known.get(token)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        try:
            found = (await to_thread.run_sync(self._app.sessions.identify, token)).principal
        except AuthenticationError:
            self._known.pop(token, None)
            return None
        if len(self._known) > _CACHED:
            self._known.clear()
        self._known[token] = (found, time.monotonic() + FRESH_SECONDS)
        return found

    async def end(self, scope: Scope) -> None:
        """Sign out."""
        token = cookie(scope, self._app.settings.access)
        if token:
            await to_thread.run_sync(self._app.sessions.end, token)
            self._known.pop(token, None)

    def forget(self) -> None:
        """Ask the store again, whoever comes."""
        self._known.clear()


def is_secure(scope: Scope, settings: AccessSettings) -> bool:
    """Does the browser speak https: with the server, or with the proxy before it."""
    return scope["scheme"] in {"https", "wss"} or (settings.public_url or "").startswith("https://")


def cookie(scope: Scope, settings: AccessSettings) -> str:
    """The session's token, or an empty string."""
    return cookie_named(scope, HOST_COOKIE if is_secure(scope, settings) else COOKIE)


def cookie_named(scope: Scope, wanted: str) -> str:
    """The value of a cookie, or an empty string."""
    for part in Headers(scope=scope).get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return value
    return ""


def set_cookie(response: Response, token: str, scope: Scope, app: App) -> None:
    """Hand the session to the browser: out of reach of scripts, and never sent along from another site."""
    secure = is_secure(scope, app.settings.access)
    response.set_cookie(
        HOST_COOKIE if secure else COOKIE,
        token,
        max_age=int(app.sessions.lasts),
        path="/" if secure else "/console",  # the prefix asks for it
        httponly=True,
        samesite="strict",
        secure=secure,
    )


def clear_cookie(response: Response, scope: Scope, app: App) -> None:
    """Take the session out of the browser."""
    secure = is_secure(scope, app.settings.access)
    response.delete_cookie(
        HOST_COOKIE if secure else COOKIE,
        path="/" if secure else "/console",
        httponly=True,
        samesite="strict",
        secure=secure,
    )


def visitor_of(scope: Scope, settings: AccessSettings) -> Visitor:
    """Where a request comes from. A header is believed only if the settings name it, and then only its last entry:
    those before are what the browser itself may have sent."""
    headers = Headers(scope=scope)
    address = (scope.get("client") or ("",))[0]
    if settings.address_header is not None:
        given = headers.getlist(settings.address_header)
        address = given[-1].rpartition(",")[2].strip() if given else address
    return Visitor(address=address, agent=headers.get("user-agent", ""))
