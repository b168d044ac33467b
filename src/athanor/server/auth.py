"""Who is asking: a key on every request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Request
from starlette.datastructures import Headers

from athanor.errors import AuthenticationError
from athanor.gateway import App
from athanor.gateway.cache.directives import parse_cache_control
from athanor.governance import check_door
from athanor.types import ApiKey, CacheUse, Context, Principal, new_id

ANY_USE = CacheUse()
ROOMS = ("api", "batches", "files", "mcp", "metrics", "responses", "vector_stores")
"""Parts of the API beside the doors to models, under the names that a key's scopes use."""


async def application(request: Request) -> App:
    """The application that the server was made for."""
    app: App = request.app.state.athanor
    return app


def caller(headers: Headers, app: App) -> tuple[Principal, ApiKey]:
    """The owner of the key in `Authorization: Bearer …`, `x-api-key` or `api-key`, and the key.

    Raises:
        AuthenticationError: no key, or one that is unknown, expired or revoked.
    """
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        secret = headers.get("x-api-key") or headers.get("api-key") or ""
    if not secret:
        raise AuthenticationError(
            "This request carries no key.", hint="Send 'Authorization: Bearer KEY'; 'athanor keys create' makes one."
        )
    return app.keys.identify(secret.strip())


async def principal(request: Request) -> Principal:
    """Who asks, for routes that are no doors to a model.

    Raises:
        AuthenticationError: as `caller`.
        PermissionDeniedError: the key is not for this part of the API. Models may be listed with any key.
    """
    who, key = caller(request.headers, await application(request))
    room = room_of(request.url.path)
    if room != "models":
        check_door(key, room)
    return who


def room_of(path: str) -> str:
    """What a part of the API is called among the doors of a key: one of `ROOMS`, or `models`."""
    return path.removeprefix("/v1").strip("/").partition("/")[0]


async def context(request: Request) -> Context:
    """Who asks, by which key. Replaced by `Door`, which knows its own name; raises as `caller`."""
    who, key = caller(request.headers, await application(request))
    return Context(principal=who, key=key, trace=new_id("tr"), door="api")


def cache_of(header: str | None) -> CacheUse:
    """What a `cache-control` header lets our cache of answers do."""
    return ANY_USE if header is None else parse_cache_control(header)


async def cache_use(cache_control: Annotated[str | None, Header()] = None) -> CacheUse:
    """What the caller lets our cache of answers do: `no-cache`, `no-store`, `max-age=SECONDS`."""
    return cache_of(cache_control)
