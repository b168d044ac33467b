"""The way in: a name and a password, a provider, or a one-time link. The pages here are plain HTML without a script of
their own, so that they work before anything else does."""

from __future__ import annotations

import html
from urllib.parse import parse_qs

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from athanor.console.session import clear_cookie, cookie, set_cookie, visitor_of
from athanor.errors import AthanorError, AuthenticationError, InputError, RateLimitError, TooLargeError
from athanor.gateway import App
from athanor.governance import Secret
from athanor.types import Principal

COMMAND = "athanor up"
"""Prints a new link; run beside a server that is up, it only does that."""
_FORM_BYTES = 16 << 10


async def login(request: Request, app: App) -> Response:
    """Sign in by the form, or by the token of a link; without either, the form."""
    if request.method == "POST":
        return await _by_password(request, app)
    token = request.query_params.get("token", "")
    if not token:
        return await locked(app, status=200)
    return await _by_link(request, app, token)


async def _by_password(request: Request, app: App) -> Response:
    name = ""
    try:
        fields = await form(request)
        name = fields.get("name", "")
        visitor, before = visitor_of(request.scope, app.settings.access), cookie(request.scope, app.settings.access)
        password = Secret(fields.get("password", ""))
        session, _ = await to_thread.run_sync(
            lambda: app.users.sign_in(name, password, visitor=visitor, instead=before)
        )
    except RateLimitError as error:
        page = await locked(app, problem=f"{error.message} {error.hint}", name=name, status=error.status)
        page.headers["retry-after"] = f"{error.retry_after or 1:.0f}"
        return page
    except AthanorError as error:
        return await locked(app, problem=error.message, name=name, status=error.status)
    return entered(request, app, session)


async def _by_link(request: Request, app: App, token: str) -> Response:
    """Exchange the link's token for a session; the token is used up whether or not anyone looks at the page."""
    visitor, before = visitor_of(request.scope, app.settings.access), cookie(request.scope, app.settings.access)
    try:
        session, _ = await to_thread.run_sync(lambda: app.links.exchange(token, visitor=visitor, instead=before))
    except AuthenticationError:
        text = "A link works once, for ten minutes. This one was used already, is too old, or is not complete."
        return card("This link does not work any more", text, more=_how(), status=403)
    return entered(request, app, session)


def entered(request: Request, app: App, session: Secret) -> Response:
    """Into the console, with the session's cookie."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A browser keeps a strict cookie back on a redirect that began on another site: one more step of our own.
        response: Response = card("One moment", "The console opens.", refresh=True)
    else:
        response = RedirectResponse("/console/", status_code=303)
    set_cookie(response, session.reveal(), request.scope, app)
    return response


async def change_password(request: Request, app: App, who: Principal) -> Response:
    """Change one's own password; the session goes on under a new token, all others end."""
    try:
        fields = await form(request)
        old, new = Secret(fields.get("old", "")), Secret(fields.get("new", ""))
        if fields.get("new", "") != fields.get("again", ""):
            raise InputError("The new password was not typed twice in the same way.")
        visitor, before = visitor_of(request.scope, app.settings.access), cookie(request.scope, app.settings.access)
        session = await to_thread.run_sync(
            lambda: app.users.change_password(who, old, new, session=before, visitor=visitor)
        )
    except AthanorError as error:
        text = f"{error.message} {error.hint or ''}".strip()
        back = '<p><a class="a-button" href="/console/account">Try again</a></p>'
        return card("The password was not changed", text, more=back, status=error.status)
    response = RedirectResponse("/console/account?changed=1", status_code=303)
    set_cookie(response, session.reveal(), request.scope, app)
    return response


def signed_out(request: Request, app: App, provider: tuple[str, str] | None) -> Response:
    """After the session has ended; `provider` is the name and the sign-out page of who vouched for them."""
    if provider is None:
        response: Response = RedirectResponse("/console/", status_code=303)
    else:
        name, url = (html.escape(part) for part in provider)
        more = f'<div class="a-actions"><a class="a-button" href="{url}">Sign out of {name}, too</a></div>'
        text = "The session here has ended. The one at the provider goes on, and opens the console again."
        response = card("You are signed out", text, more=more)
    clear_cookie(response, request.scope, app)
    return response


async def locked(app: App, *, problem: str = "", name: str = "", status: int = 401) -> Response:
    """What someone without a session sees: the ways in that there are."""
    users = any(user.has_password for user in await to_thread.run_sync(app.users.list))
    oidc = app.settings.access.oidc
    if not users and oidc is None and not problem:
        text = "It opens with a link that works once, made on the machine it runs on."
        return card("The console is locked", text, more=_how(), status=401)
    more = f'<p class="a-notice is-bad" role="alert">{html.escape(problem)}</p>' if problem else ""
    if users or problem:
        more += _FORM.format(name=html.escape(name[:100], quote=True))
    if oidc is not None:
        more += f'<p><a class="a-button" href="/console/oidc/start">Sign in with {html.escape(oidc.name)}</a></p>'
    more += f'<p class="a-small a-muted">Or by a link that works once: {html.escape(COMMAND)}</p>'
    return card("Sign in", "", more=more, status=status)


def denied(error: AthanorError, *, status: int | None = None) -> Response:
    """A page, or an address, that is not for them."""
    back = '<p><a class="a-button" href="/console/">Back</a></p>'
    text = f"{error.message} {error.hint or ''}".strip()
    return card("This is not open to you", text, more=back, status=status or error.status, alert=True)


async def form(request: Request) -> dict[str, str]:
    """The fields of a plain form, the first of each name.

    Raises:
        TooLargeError: it has more than 16 KiB.
        InputError: it has more than 20 fields.
    """
    raw = b""
    async for part in request.stream():
        raw += part
        if len(raw) > _FORM_BYTES:
            raise TooLargeError("The form is too large.")
    try:
        fields = parse_qs(raw.decode(errors="replace"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise InputError("The form has too many fields.") from None
    return {name: values[0] for name, values in fields.items()}


_FORM = """<form class="a-stack" method="post" action="/console/login">
<label class="a-label">Name<input class="a-input" name="name" value="{name}" autocomplete="username" maxlength="100"
 required autofocus></label>
<label class="a-label">Password<input class="a-input" name="password" type="password" autocomplete="current-password"
 maxlength="1024" required></label>
<button class="a-button is-main" type="submit">Sign in</button></form>"""


def _how() -> str:
    return f'<p>For a new link, run</p><code class="a-command">{html.escape(COMMAND)}</code>'


def card(
    title: str, text: str, *, more: str = "", status: int = 200, refresh: bool = False, alert: bool = False
) -> Response:
    """A page with one card. `title` and `text` are plain; `more` is HTML of ours."""
    again = '<meta http-equiv="refresh" content="0;url=/console/">' if refresh else ""
    said = f'<p class="a-muted">{html.escape(text)}</p>' if text else ""
    if alert:
        said = f'<div role="alert">{said}</div>'
    return HTMLResponse(
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)} · Athanor</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{again}
<link rel="icon" href="/console/static/icon.svg"><link rel="stylesheet" href="/console/static/console.css">
<script src="/console/static/console.js"></script></head>
<body class="a-gate"><div class="a-card">
<div class="a-brand"><span class="a-i a-i-flame"></span><span>Athanor</span></div>
<h1>{html.escape(title)}</h1>{said}{more}</div></body></html>""",
        status_code=status,
        headers={"cache-control": "no-store"},
    )
