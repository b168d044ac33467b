"""People who sign in to the console, and the sessions they have there."""

from __future__ import annotations

from dataclasses import dataclass

from athanor.types.records import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A principal who may sign in. Never holds the password or its hash."""

    principal: Principal
    has_password: bool
    issuer: str | None
    """The OpenID provider that vouches for them."""
    subject: str | None
    """What that provider calls them, for ever."""
    created_at: float
    changed_at: float | None
    """When the password was last changed."""
    disabled_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """What is known of a browser before anybody has signed in there."""

    address: str = ""
    agent: str = ""
    """As the browser calls itself; told by it, so worth nothing as a proof."""


NOBODY_KNOWN = Visitor()
"""Nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser in which somebody is signed in. Never holds its token."""

    id: str
    principal: Principal
    way: str
    """`link`, `password` or `oidc`."""
    agent: str
    address: str
    created_at: float
    seen_at: float
    expires_at: float
