"""What makes the table of rules hold.

A route without a rule does not start; a path without one is not there. The rule is applied before a body is read and
before anything is looked up, so that a refusal tells nothing of what exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from athanor.errors import AthanorError, NotFoundError
from athanor.gateway import App
from athanor.governance import Rule, admit
from athanor.server.errors import answer_error
from athanor.server.identity import caller
from athanor.server.rules import ANY, PROTECTED, RULES
from athanor.types import ApiKey, Principal

_CALLER = "athanor.caller"


class Table:
    """Finds the rule of a request."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._exact: dict[str, Rule] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Rule]] = []
        for route, rule in rules.items():
            method, _, path = route.partition(" ")
            if "{" in path:
                self._patterns.append((method, compile_path(path)[0], rule))
            else:
                self._exact[route] = rule

    def find(self, method: str, path: str) -> Rule | None:
        """The rule of a request; `None` where there is no such route."""
        method = "GET" if method == "HEAD" else method
        found = self._exact.get(f"{method} {path}") or self._exact.get(f"{ANY} {path}")
        if found is not None:
            return found
        for name, pattern, rule in self._patterns:
            if name in (method, ANY) and pattern.match(path):
                return rule
        return None

    def methods(self, path: str) -> list[str]:
        """The methods that a path has, sorted; none where it is not there."""
        exact = {route.partition(" ")[0] for route in self._exact if route.partition(" ")[2] == path}
        return sorted(exact | {name for name, pattern, _ in self._patterns if pattern.match(path)})


TABLE = Table(RULES)


def enforce(scope: Scope, app: App) -> None:
    """Let a request pass by the rule of its path. Asked twice about one request, it answers once.

    Raises:
        AuthenticationError: it carries no good key, wherever a stranger must not learn what there is.
        PermissionDeniedError: its key, or the role of its owner, is not for this.
        NotFoundError: there is no rule, so there is nothing.
        HTTPException: 405, there is one for other methods.
    """
    if _CALLER in scope:
        return
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    method = scope.get("method", "WEBSOCKET")
    rule = TABLE.find(method, path)
    if rule is not None and (rule.public or rule.session):
        return
    if rule is None and not path.startswith(PROTECTED):
        raise NotFoundError("There is nothing at this path.")
    found = caller(Headers(scope=scope), app)
    if rule is None:
        # A path with a slash too many is redirected to the one that has a rule.
        methods = TABLE.methods(path)
        if methods:
            raise HTTPException(405, headers={"allow": ", ".join(methods)})
        if TABLE.find(method, path.rstrip("/")) is None:
            raise NotFoundError("There is nothing at this path.")
    else:
        admit(rule, *found)
    scope[_CALLER] = found


def identified(scope: Scope) -> tuple[Principal, ApiKey]:
    """The principal and the key of a request that was let in."""
    found: tuple[Principal, ApiKey] = scope[_CALLER]  # without `enforce` there is none, and the request fails
    return found


class Enforced:
    """Puts `enforce` before every route of an application but the doors, which refuse in their own words."""

    def __init__(self, inner: ASGIApp, app: App, doors: frozenset[str]) -> None:
        self._inner = inner
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            return await self._inner(scope, receive, send)
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._doors:
            return await self._inner(scope, receive, send)
        try:
            enforce(scope, self._app)
        except (AthanorError, HTTPException) as error:
            return await refuse(error, scope, receive, send)
        return await self._inner(scope, receive, send)


async def refuse(error: AthanorError | HTTPException, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the error; a socket is closed."""
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008})
    return await answer_error(error)(scope, receive, send)


def endpoints(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of every route; `*` where a route takes them all."""
    for route in routes:
        inner = getattr(route, "original_router", None)  # newer versions of FastAPI keep routers that were included
        if inner is not None:
            yield from endpoints(inner.routes)
            continue
        path = getattr(route, "path", "")
        methods = route.methods if isinstance(route, Route) else None
        for method in sorted(methods or {ANY}):
            if method != "HEAD":
                yield method, path


def check_rules(http: FastAPI) -> None:
    """See to it that every route has a rule.

    Raises:
        RuntimeError: one has none; the server must not start with it.
    """
    missing = [f"{method} {path}" for method, path in endpoints(http.router.routes) if f"{method} {path}" not in RULES]
    if missing:
        raise RuntimeError(f"No rule says who may use {', '.join(missing)}: see athanor.server.rules.")
