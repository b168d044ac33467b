"""NiceGUI, set up for us: its own sub-application, no fonts, no telemetry, no storage, no timers that run idle.

NiceGUI keeps its application in module globals, so there is one per process. The pages find the `App` that they serve
in the request (see `gate.visit`), so that one process may still mount several consoles one after the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache, wraps
from inspect import isawaitable
from typing import Any

from fastapi import FastAPI
from nicegui import core, ui
from starlette.requests import Request

from athanor.console import rules, signin
from athanor.console.account import show as account
from athanor.console.chat import show as chat
from athanor.console.costs import show as costs
from athanor.console.document import show as document
from athanor.console.gate import visit
from athanor.console.guards import show as guards
from athanor.console.guards_policy import show as guards_policy
from athanor.console.guards_try import show as guards_try
from athanor.console.keys import show as keys
from athanor.console.knowledge import show as knowledge
from athanor.console.lab import show as lab
from athanor.console.models import show as models
from athanor.console.quality import show as quality
from athanor.console.trace import show as trace
from athanor.console.traces import show as traces
from athanor.console.users import show as users
from athanor.errors import PermissionDeniedError
from athanor.governance import admit

PAGES: Mapping[str, Callable[..., Any]] = {
    "/": chat,
    "/knowledge": knowledge,
    "/document/{document}": document,
    "/lab": lab,
    "/quality": quality,
    "/models": models,
    "/costs": costs,
    "/guards": guards,
    "/guards/try": guards_try,
    "/guards/policy": guards_policy,
    "/keys": keys,
    "/users": users,
    "/account": account,
    "/traces": traces,
    "/traces/{trace}": trace,
}


@asynccontextmanager
async def running() -> AsyncIterator[FastAPI]:
    """The pages as an application, started; stopped at the end of the block."""
    inner = _interface()
    # The outer server runs without lifespan: what NiceGUI does at start and stop happens here.
    async with inner.router.lifespan_context(inner):
        yield inner


@cache
def _interface() -> FastAPI:
    inner = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for path, show in PAGES.items():
        ui.page(path)(_ruled(path, show))
    # WebSockets only: long polling would be a second transport to guard and to test.
    core.app.config.socket_io_js_transports = ["websocket"]
    ui.run_with(
        inner,
        title="Athanor",
        dark=None,
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=30.0,  # a phone that sleeps for a moment keeps its talk
        gzip_middleware_factory=None,  # the gate writes a nonce into the page; compression belongs to a proxy
        show_welcome_message=False,
    )
    return inner


def _ruled(path: str, show: Callable[..., Any]) -> Callable[..., Any]:
    """The page for those to whom it is open; for others the answer that it is not."""
    rule = rules.PAGES[path]  # a page without one does not start

    @wraps(show)
    async def page(request: Request, **fields: Any) -> Any:
        try:
            admit(rule, visit(request).principal, None)
        except PermissionDeniedError as error:
            return signin.denied(error)
        drawn = show(request, **fields)
        return await drawn if isawaitable(drawn) else drawn

    return page
