"""The HTTP application: all doors over one `App`."""

from __future__ import annotations

import ipaddress
from functools import partial

from fastapi import FastAPI
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from athanor import __version__
from athanor.gateway import App
from athanor.server import (
    admin,
    batches,
    chat,
    completions,
    evaluations,
    files,
    grade,
    guards,
    mcp,
    messages,
    models,
    moderations,
    own,
    permissions,
    responses,
    routes,
    sources,
    traces,
    tuning,
    upkeep,
    users,
    vector_store_batches,
    vector_store_files,
    vector_stores,
    vectors,
)
from athanor.server.door import Door, Express
from athanor.server.enforce import Enforced, check_rules
from athanor.server.errors import install_error_handlers
from athanor.server.limits import BodyLimit, SameOrigin
from athanor.server.sse import JSON
from athanor.types import EngineStatus

ROOMS = (
    chat,
    completions,
    responses,
    messages,
    vectors,
    moderations,
    batches,
    models,
    files,
    vector_stores,
    vector_store_files,
    vector_store_batches,
    own,
    sources,
    permissions,
    tuning,
    evaluations,
    upkeep,
    grade,
    guards,
    admin,
    users,
    routes,
    traces,
)


def create_app(app: App) -> FastAPI:
    """Build the HTTP application. It owns nothing: `app` is opened and closed by the caller."""
    http = FastAPI(
        title="Athanor",
        version=__version__,
        description="Cited answers from your own documents, behind the APIs your clients already speak.",
        docs_url=None,  # its page loads scripts from another site
        redoc_url=None,
    )
    http.state.athanor = app
    install_error_handlers(http)
    for room in ROOMS:
        http.include_router(room.router)
    http.state.doors = [route for room in ROOMS for route in room.router.routes if isinstance(route, Door)]
    for door in http.state.doors:
        if door.path in batches.ENDPOINTS:
            app.batches.speak(door.path, partial(door.line, app))

    http.router.routes.extend(mcp.routes(app))
    tuning.install(app)
    evaluations.install(app)
    upkeep.install(app)

    @http.get("/health", tags=["system"], summary="Is the server up, and are its models loaded")
    async def health() -> Response:
        states = app.router.states()
        found = {state.status for state in states.values()}
        status = "ready" if found == {EngineStatus.READY} else "loading"
        if EngineStatus.FAILED in found:
            status = "degraded"  # it serves what it can; the models' states say what it cannot
        body = {
            "status": status,
            "version": __version__,
            "models": {name: state.status for name, state in states.items()},
            "console": any(getattr(route, "path", "") == "/console" for route in http.routes),
        }
        return JSON(body, headers={"x-athanor-instance": app.instance})

    @http.get("/metrics", tags=["system"], summary="Prometheus metrics")
    async def metrics() -> Response:
        return PlainTextResponse(app.metrics.render(), media_type="text/plain; version=0.0.4")

    check_rules(http)
    http.add_middleware(Enforced, app=app, doors=frozenset(door.path for door in http.state.doors))
    return http


def front(http: FastAPI) -> ASGIApp:
    """What the server serves: the bounds on every request, the short way to the doors, and `http` for all the rest."""
    settings = http.state.athanor.settings
    # Doors bound their bodies themselves.
    others = BodyLimit(http, http.state.athanor)
    inner = Express(others, http, http.state.doors)
    return SameOrigin(inner, loopback=is_loopback(settings.server.host), public_url=settings.access.public_url)


def is_loopback(host: str) -> bool:
    """Is `host` reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
