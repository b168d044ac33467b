"""The way in: a one-time link, made on the server's own machine. The pages here are plain HTML without a script."""

from __future__ import annotations

import html

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from athanor.console.session import set_cookie
from athanor.errors import AuthenticationError
from athanor.gateway import App

COMMAND = "athanor up"
"""Prints a new link; run beside a server that is up, it only does that."""


async def login(request: Request, app: App) -> Response:
    """Exchange the link's token for a session; the token is used up whether or not anyone looks at the page."""
    token = request.query_params.get("token", "")
    if request.method != "GET" or not token:
        return locked()
    try:
        session, _ = await to_thread.run_sync(app.links.exchange, token)
    except AuthenticationError:
        return _page(
            "This link does not work any more",
            "A link works once, for ten minutes. This one was used already, is too old, or is not complete.",
            status=403,
        )
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A browser keeps a strict cookie back on a redirect that began on another site: one more step of our own.
        response: Response = _page("One moment", "The console opens.", refresh=True)
    else:
        response = RedirectResponse("/console/", status_code=303)
    set_cookie(response, session.reveal(), secure=request.url.scheme == "https")
    response.headers["cache-control"] = "no-store"
    return response


def locked() -> Response:
    """What someone without a session sees."""
    return _page(
        "The console is locked", "It opens with a link that works once, made on the machine it runs on.", status=401
    )


def _page(title: str, text: str, *, status: int = 200, refresh: bool = False) -> Response:
    again = '<meta http-equiv="refresh" content="0;url=/console/">' if refresh else ""
    how = "" if refresh else f'<p>For a new link, run</p><code class="a-command">{html.escape(COMMAND)}</code>'
    return HTMLResponse(
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)} · Athanor</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{again}
<link rel="icon" href="/console/static/icon.svg"><link rel="stylesheet" href="/console/static/console.css">
<script src="/console/static/console.js"></script></head>
<body class="a-gate"><div class="a-card">
<div class="a-brand"><span class="a-i a-i-flame"></span><span>Athanor</span></div>
<h1>{html.escape(title)}</h1><p class="a-muted">{html.escape(text)}</p>{how}</div></body></html>""",
        status_code=status,
        headers={"cache-control": "no-store"},
    )
