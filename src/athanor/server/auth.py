"""What routes are told of who asks. Whether they may is decided before: see `rules`."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Request

from athanor.gateway import App
from athanor.gateway.cache.directives import parse_cache_control
from athanor.server.enforce import identified
from athanor.types import CacheUse, Context, Principal, new_id

ANY_USE = CacheUse()


async def application(request: Request) -> App:
    """The application that the server was made for."""
    app: App = request.app.state.athanor
    return app


async def principal(request: Request) -> Principal:
    """Who asks, for routes that are no doors to a model."""
    return identified(request.scope)[0]


async def context(request: Request) -> Context:
    """Who asks, by which key. Replaced by `Door`, which knows its own name."""
    who, key = identified(request.scope)
    return Context(principal=who, key=key, trace=new_id("tr"), door="api")


def cache_of(header: str | None) -> CacheUse:
    """What a `cache-control` header lets our cache of answers do."""
    return ANY_USE if header is None else parse_cache_control(header)


async def cache_use(cache_control: Annotated[str | None, Header()] = None) -> CacheUse:
    """What the caller lets our cache of answers do: `no-cache`, `no-store`, `max-age=SECONDS`."""
    return cache_of(cache_control)
