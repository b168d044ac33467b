"""Did this server's own page send it: what keeps other sites from using the session of whoever visits them."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

from athanor.config import AccessSettings
from athanor.console.session import is_secure

SAFE = {"GET", "HEAD", "OPTIONS"}
"""Methods that change nothing here."""


def is_foreign(scope: Scope, settings: AccessSettings) -> bool:
    """Is it a change, or a socket, that no page of ours asked for.

    A browser says who sent it, in `Sec-Fetch-Site` or in `Origin`, and no page can change what it says. Who says
    neither is no browser of today, and has no business with a session's cookie.
    """
    if scope["type"] == "http" and scope["method"] in SAFE:
        return False
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is None and origin is None:
        return True
    if site is not None and site != "same-origin":
        return True
    return origin is not None and not _is_own(origin, headers.get("host", ""), scope, settings)


def _is_own(origin: str, host: str, scope: Scope, settings: AccessSettings) -> bool:
    if settings.public_url is not None and origin == settings.public_url:
        return True
    scheme, _, place = origin.partition("://")
    return place == host and (scheme == "https" or not is_secure(scope, settings))
