"""Who is asking: a key on every request."""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import Headers

from athanor.errors import AuthenticationError
from athanor.gateway import App
from athanor.types import ApiKey, Context, Principal, new_id


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
    """Who asks, for routes that are no doors to a model. Raises as `caller`."""
    return caller(request.headers, await application(request))[0]


async def context(request: Request) -> Context:
    """Who asks, by which key. Replaced by `Door`, which knows its own name; raises as `caller`."""
    who, key = caller(request.headers, await application(request))
    return Context(principal=who, key=key, trace=new_id("tr"), door="api")
