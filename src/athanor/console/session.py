"""Who is in the browser: the session's cookie, and what is known of the sessions that are open."""

from __future__ import annotations

import time

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from athanor.errors import AuthenticationError
from athanor.gateway import App
from athanor.types import Principal

COOKIE = "athanor_session"
COOKIE_SECONDS = 30 * 86400
"""How long a browser keeps the cookie. Whether it is still good is the store's word."""

FRESH_SECONDS = 5.0
"""How long a session is believed without asking the store again. A log-out here is seen at once."""


class Sessions:
    """Finds the principal of a cookie."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._known: dict[str, tuple[Principal, float]] = {}

    async def principal(self, scope: Scope) -> Principal | None:
        """Whose session this request or socket belongs to, if it is a good one."""
        token = cookie(scope)
        if not token:
            return None
        known = self._known.get(token)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        try:
            found = await to_thread.run_sync(self._app.links.identify, token)
        except AuthenticationError:
            self._known.pop(token, None)
            return None
        if len(self._known) > 1000:
            self._known.clear()
        self._known[token] = (found, time.monotonic() + FRESH_SECONDS)
        return found

    async def end(self, scope: Scope) -> None:
        """Log out."""
        token = cookie(scope)
        if token:
            await to_thread.run_sync(self._app.links.end, token)
            self._known.pop(token, None)


def cookie(scope: Scope) -> str:
    """The session's token, or an empty string."""
    for part in Headers(scope=scope).get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def set_cookie(response: Response, token: str, *, secure: bool) -> None:
    """Hand the session to the browser: out of reach of scripts, and never sent along from another site."""
    response.set_cookie(
        COOKIE, token, max_age=COOKIE_SECONDS, path="/console", httponly=True, samesite="strict", secure=secure
    )


def clear_cookie(response: Response) -> None:
    """Take the session out of the browser."""
    response.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
