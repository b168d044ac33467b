"""Who is asking: a key on every request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request

from athanor.errors import AuthenticationError
from athanor.gateway import App
from athanor.types import Context, Principal, new_id


async def application(request: Request) -> App:
    """The application that the server was made for."""
    app: App = request.app.state.athanor
    return app


async def principal(request: Request) -> Principal:
    """The owner of the key in `Authorization: Bearer …` or `x-api-key`.

    Raises:
        AuthenticationError: no key, or one that is unknown, expired or revoked.
    """
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        secret = request.headers.get("x-api-key", "")
    if not secret:
        raise AuthenticationError(
            "This request carries no key.", hint="Send 'Authorization: Bearer KEY'; 'athanor keys create' makes one."
        )
    return (await application(request)).keys.identify(secret.strip())


def context_for(door: str) -> Callable[[Request], Awaitable[Context]]:
    """A dependency that identifies the caller and opens a trace for `door`."""

    async def context(request: Request) -> Context:
        return Context(principal=await principal(request), trace=new_id("tr"), door=door)

    return context
