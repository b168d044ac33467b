"""Whose key a request carries."""

from __future__ import annotations

from starlette.datastructures import Headers

from athanor.errors import AuthenticationError
from athanor.gateway import App
from athanor.types import ApiKey, Principal


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
