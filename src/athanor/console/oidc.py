"""Sign-in by an OpenID provider: authorization code with PKCE, as RFC 9700 wants it.

Each start makes a state, a nonce and a verifier of its own, remembers them once and for ten minutes, and binds them to
the browser by a cookie. What comes back is checked in this order: the state, the browser, who answers (RFC 9207), and
the token (see `tokens`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import urlencode

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from athanor.config import AccessSettings
from athanor.console import signin
from athanor.console.provider import Client, role_of, subject_of
from athanor.console.session import cookie, cookie_named, is_secure, visitor_of
from athanor.errors import AthanorError, AuthenticationError
from athanor.gateway import App
from athanor.governance import Secret
from athanor.types import RoleName

log = logging.getLogger(__name__)

PENDING_SECONDS = 600.0
_PENDING = 10_000
_COOKIE = "athanor_oidc"


@dataclass(frozen=True, slots=True)
class _Pending:
    nonce: str
    verifier: str
    browser: str
    """SHA-256 of the cookie that binds it."""
    redirect: str
    at: float
    """Seconds of the monotonic clock."""


@dataclass(slots=True)
class Provider:
    """The provider of the settings, and who is on the way there and back."""

    settings: AccessSettings
    client: Client = field(init=False)
    pending: OrderedDict[str, _Pending] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        assert self.settings.oidc is not None
        self.client = Client(self.settings.oidc)


async def start(request: Request, app: App, provider: Provider) -> Response:
    """Send the browser to the provider."""
    try:
        metadata = await provider.client.metadata()
    except AthanorError as error:
        return await _failed(app, error)
    state, nonce, verifier, browser = (secrets.token_urlsafe(32) for _ in range(4))
    redirect = f"{_site(request, app)}/console/oidc/callback"
    _forget_old(provider)
    provider.pending[state] = _Pending(nonce, verifier, _hash(browser), redirect, time.monotonic())
    asked = {
        "response_type": "code",
        "client_id": provider.client.settings.client_id,
        "redirect_uri": redirect,
        "scope": " ".join(provider.client.settings.scopes),
        "state": state,
        "nonce": nonce,
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    joint = "&" if "?" in metadata.authorization else "?"
    response = RedirectResponse(f"{metadata.authorization}{joint}{urlencode(asked)}", status_code=303)
    secure = is_secure(request.scope, app.settings.access)
    # Lax: the way back begins at the provider, and a strict cookie would stay behind.
    response.set_cookie(
        _name(secure=secure), browser, max_age=int(PENDING_SECONDS), path="/" if secure else "/console/oidc",
        httponly=True, samesite="lax", secure=secure,
    )  # fmt: skip
    return response


async def callback(request: Request, app: App, provider: Provider) -> Response:
    """Take the browser back from the provider, and let it in if all is as it was asked for."""
    access = app.settings.access
    try:
        claims = await _claims(request, provider, secure=is_secure(request.scope, access))
        role, first = _roles(claims, provider)
        issuer, subject, name = subject_of(claims, provider.client.settings)
        visitor, before = visitor_of(request.scope, access), cookie(request.scope, access)
        session, _ = await to_thread.run_sync(
            lambda: app.users.vouched(issuer, subject, name, role, first=first, visitor=visitor, instead=before)
        )
    except AthanorError as error:
        return await _failed(app, error)
    response = signin.entered(request, app, session)
    secure = is_secure(request.scope, access)
    response.delete_cookie(_name(secure=secure), path="/" if secure else "/console/oidc", secure=secure, httponly=True)
    return response


async def sign_out(request: Request, app: App, provider: Provider) -> tuple[str, str] | None:
    """The provider's name and its page to sign out, for a session that it has opened."""
    token = cookie(request.scope, app.settings.access)
    try:
        session = await to_thread.run_sync(app.sessions.identify, token)
        if session.way != "oidc":
            return None
        metadata = await provider.client.metadata()
    except AthanorError:
        return None
    if metadata.end_session is None:
        return None
    asked = {
        "client_id": provider.client.settings.client_id,
        "post_logout_redirect_uri": f"{_site(request, app)}/console/login",
    }
    joint = "&" if "?" in metadata.end_session else "?"
    return provider.client.settings.name, f"{metadata.end_session}{joint}{urlencode(asked)}"


async def _claims(request: Request, provider: Provider, *, secure: bool) -> dict[str, object]:
    """What the provider says of whoever comes back.

    Raises:
        AuthenticationError: it is not the answer to what this browser asked.
    """
    query = request.query_params
    _forget_old(provider)
    pending = provider.pending.pop(query.get("state", ""), None)  # once, whatever comes of it
    browser = cookie_named(request.scope, _name(secure=secure))
    if pending is None or not hmac.compare_digest(pending.browser, _hash(browser)):
        raise AuthenticationError("This sign-in was not begun in this browser, is too old, or was used already.")
    client = provider.client
    metadata = await client.metadata()
    said = query.get("iss")
    if (said is None and metadata.names_itself) or (said is not None and said != client.settings.issuer):
        raise AuthenticationError("Another provider answered than the one that was asked.")
    if "error" in query or not query.get("code"):
        log.warning("the provider refused a sign-in: %s", query.get("error", "no code")[:100].encode("unicode_escape"))
        raise AuthenticationError("The provider did not let you in.")
    token = await client.exchange(Secret(query["code"]), pending.verifier, pending.redirect)
    return await client.verify(token, pending.nonce)


def _roles(claims: dict[str, object], provider: Provider) -> tuple[RoleName | None, RoleName]:
    """The role by the claims, `None` where roles are given here; and that of somebody new.

    Raises:
        AuthenticationError: no role is for them.
    """
    settings = provider.client.settings
    found = role_of(claims, settings)
    if settings.roles:
        found = found or settings.default_role
        if found is None:
            raise AuthenticationError("None of your groups may use this console.", hint="Ask an administrator.")
        return found, found
    return None, settings.default_role or RoleName.USER


async def _failed(app: App, error: AthanorError) -> Response:
    log.warning("a sign-in by the provider failed: %s", error)
    problem = f"{error.message} {error.hint or ''}".strip()
    return await signin.locked(app, problem=problem, status=error.status if error.status < 500 else 502)


def _forget_old(provider: Provider) -> None:
    pending, now = provider.pending, time.monotonic()
    while pending and (len(pending) >= _PENDING or next(iter(pending.values())).at < now - PENDING_SECONDS):
        pending.popitem(last=False)


def _site(request: Request, app: App) -> str:
    return app.settings.access.public_url or f"{request.url.scheme}://{request.url.netloc}"


def _name(*, secure: bool) -> str:
    return f"__Host-{_COOKIE}" if secure else _COOKIE


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
