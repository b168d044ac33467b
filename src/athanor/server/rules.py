"""Who may use which route: the whole table, and what makes it hold.

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
from athanor.governance import Right
from athanor.governance.rules import Rule, admit
from athanor.server.errors import answer_error
from athanor.server.identity import caller
from athanor.types import ApiKey, Principal

ANY = "*"
"""In place of a method: all of them."""
PROTECTED = ("/v1", "/api", "/mcp", "/metrics")
"""What lies here says nothing to strangers, not even that it is not there."""
_CALLER = "athanor.caller"

_ASK, _BUILD, _OPERATE, _ADMINISTER = Right.ASK, Right.BUILD, Right.OPERATE, Right.ADMINISTER
_ONLY_OWN: tuple[Right, ...] = ()
_TRACES = (Right.REVIEW, Right.OPERATE)

_PUBLIC = ("GET /health", "GET /openapi.json")
_SESSION = (f"{ANY} /console", f"{ANY} /console/{{path:path}}")

# Door → path. Their door is their own name; all others are called by the first part of their path.
_DOORS = {
    "POST /v1/chat/completions": "chat.completions",
    "POST /v1/completions": "completions",
    "POST /v1/responses": "responses",
    "POST /v1/messages": "messages",
    "POST /v1/messages/count_tokens": "messages",
    "POST /v1/embeddings": "embeddings",
    "POST /v1/rerank": "rerank",
    "POST /v1/moderations": "moderations",
}

# Route → the right it takes, and the rights that show what belongs to others.
_ROUTES: Mapping[str, tuple[Right | None, tuple[Right, ...] | None]] = {
    "GET /metrics": (_OPERATE, None),
    f"{ANY} /mcp": (None, None),
    f"{ANY} /mcp/{{base}}": (None, None),
    # --- models
    "GET /v1/models": (None, None),
    "GET /v1/models/{model:path}": (None, None),
    "GET /api/models": (None, None),
    "GET /api/routes": (None, None),
    "POST /api/routes/{name:path}/replay/ask": (_OPERATE, None),
    "POST /api/routes/{name:path}/replay": (_OPERATE, None),
    "POST /api/routes/{name:path}/train": (_OPERATE, None),
    "GET /api/routes/{name:path}": (None, None),
    "GET /api/cache": (_OPERATE, None),
    # --- what a caller keeps here
    "GET /v1/responses/{response}": (None, _ONLY_OWN),
    "DELETE /v1/responses/{response}": (None, _ONLY_OWN),
    "GET /v1/responses/{response}/input_items": (None, _ONLY_OWN),
    "POST /v1/responses/{response}/cancel": (None, _ONLY_OWN),
    "POST /v1/files": (_ASK, _ONLY_OWN),
    "GET /v1/files": (None, (_ADMINISTER,)),
    "GET /v1/files/{file}": (None, (_ADMINISTER,)),
    "GET /v1/files/{file}/content": (None, (_ADMINISTER,)),
    "DELETE /v1/files/{file}": (None, (_ADMINISTER,)),
    "POST /v1/batches": (_BUILD, _ONLY_OWN),
    "GET /v1/batches": (_BUILD, _ONLY_OWN),
    "GET /v1/batches/{batch}": (_BUILD, _ONLY_OWN),
    "POST /v1/batches/{batch}/cancel": (_BUILD, _ONLY_OWN),
    "POST /api/feedback": (None, (Right.REVIEW,)),
    "POST /api/links": (None, None),
    # --- knowledge
    "POST /v1/vector_stores": (_BUILD, None),
    "GET /v1/vector_stores": (None, None),
    "GET /v1/vector_stores/{store}": (None, None),
    "POST /v1/vector_stores/{store}": (_BUILD, None),
    "DELETE /v1/vector_stores/{store}": (_BUILD, None),
    "POST /v1/vector_stores/{store}/search": (None, None),
    "POST /v1/vector_stores/{store}/files": (_BUILD, (_ADMINISTER,)),
    "GET /v1/vector_stores/{store}/files": (None, None),
    "GET /v1/vector_stores/{store}/files/{file}": (None, None),
    "POST /v1/vector_stores/{store}/files/{file}": (_BUILD, None),
    "DELETE /v1/vector_stores/{store}/files/{file}": (_BUILD, None),
    "GET /v1/vector_stores/{store}/files/{file}/content": (None, None),
    "POST /v1/vector_stores/{store}/file_batches": (_BUILD, (_ADMINISTER,)),
    "GET /v1/vector_stores/{store}/file_batches/{batch}": (None, None),
    "POST /v1/vector_stores/{store}/file_batches/{batch}/cancel": (_BUILD, None),
    "GET /v1/vector_stores/{store}/file_batches/{batch}/files": (None, None),
    "GET /api/knowledge": (None, None),
    "GET /api/knowledge/{base}/documents": (None, None),
    "GET /api/knowledge/{base}/search": (None, None),
    "GET /api/knowledge/{base}/suggestions": (None, None),
    "POST /api/knowledge/{base}/sync": (_ADMINISTER, None),
    "GET /api/documents/{document}": (None, None),
    "GET /api/documents/{document}/text": (None, None),
    "DELETE /api/documents/{document}": (_BUILD, None),
    "GET /api/knowledge/{base}/sources": (_BUILD, None),
    "POST /api/knowledge/{base}/sources": (_BUILD, None),
    "POST /api/knowledge/{base}/sources/sync": (_BUILD, None),
    "DELETE /api/knowledge/{base}/sources": (_BUILD, None),
    "GET /api/knowledge/{base}/access": (_BUILD, None),
    "POST /api/knowledge/{base}/access": (_BUILD, None),
    "GET /api/knowledge/{base}/rules": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/erase": (_ADMINISTER, None),
    "POST /api/grade": (_ASK, None),
    # --- how well a base does: figures of a whole base tell of documents that are closed to others
    "GET /api/knowledge/{base}/questions": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/questions": (_ADMINISTER, None),
    "DELETE /api/knowledge/{base}/questions": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/questions/generate": (_ADMINISTER, None),
    "DELETE /api/knowledge/{base}/questions/{question}": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/tune": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/evaluations": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/evaluations": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/evaluations/{evaluation}": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/evaluations/{evaluation}/compare": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/versions": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/rollback": (_ADMINISTER, None),
    "POST /api/knowledge/{base}/contexts": (_ADMINISTER, None),
    "DELETE /api/knowledge/{base}/contexts": (_ADMINISTER, None),
    "GET /api/knowledge/{base}/check": (_ADMINISTER, None),
    "PATCH /api/knowledge/{base}/settings": (_ADMINISTER, None),
    # --- how the system does
    "GET /api/jobs": (None, (_OPERATE,)),
    "GET /api/jobs/{job}": (None, (_OPERATE,)),
    "POST /api/jobs/{job}/cancel": (_BUILD, (_OPERATE,)),
    "GET /api/traces": (None, _TRACES),
    "GET /api/traces/{trace}": (None, _TRACES),
    "POST /api/traces/expire": (_ADMINISTER, None),
    # --- guards
    "GET /api/guards": (Right.REVIEW, None),
    "GET /api/guards/events": (Right.REVIEW, None),
    "GET /api/guards/events/counts": (Right.REVIEW, None),
    "POST /api/guards/check": (Right.REVIEW, None),
    "GET /api/guards/policy": (_ADMINISTER, None),
    "PUT /api/guards/policy": (_ADMINISTER, None),
    "POST /api/guards/policy/check": (_ADMINISTER, None),
    "POST /api/guards/policy/dry-run": (_ADMINISTER, None),
    "GET /api/guards/policy/{version}": (_ADMINISTER, None),
    # --- money
    "GET /api/costs": (None, (_OPERATE,)),
    "GET /api/spending": (_OPERATE, None),
    # --- who may do what
    "GET /api/keys": (_OPERATE, None),
    "POST /api/keys": (_ADMINISTER, None),
    "GET /api/keys/{key}": (_OPERATE, None),
    "PATCH /api/keys/{key}": (_ADMINISTER, None),
    "DELETE /api/keys/{key}": (_ADMINISTER, None),
    "POST /api/keys/{key}/rotate": (_ADMINISTER, None),
    "GET /api/teams": (_OPERATE, None),
    "POST /api/teams": (_ADMINISTER, None),
    "PATCH /api/teams/{team}": (_ADMINISTER, None),
    "DELETE /api/teams/{team}": (_ADMINISTER, None),
    "GET /api/principals": (_OPERATE, None),
    "PATCH /api/principals/{name}": (_ADMINISTER, None),
    "GET /api/users": (_OPERATE, None),
    "POST /api/users": (_ADMINISTER, None),
    "GET /api/users/{user}": (_OPERATE, None),
    "PATCH /api/users/{user}": (_ADMINISTER, None),
    "GET /api/sessions": (None, (_ADMINISTER,)),
    "DELETE /api/sessions/{session}": (None, (_ADMINISTER,)),
    "GET /api/groups": (_ADMINISTER, None),
    "POST /api/groups": (_ADMINISTER, None),
    "PATCH /api/groups/{group}": (_ADMINISTER, None),
    "DELETE /api/groups/{group}": (_ADMINISTER, None),
    "POST /api/groups/{group}/members": (_ADMINISTER, None),
    "DELETE /api/groups/{group}/members/{member}": (_ADMINISTER, None),
}


def room_of(path: str) -> str | None:
    """What a part of the API is called among the interfaces of a key: `api`, `files`, `mcp`, …

    Models may be listed with any key.
    """
    room = path.removeprefix("/v1").strip("/").partition("/")[0]
    return None if room == "models" else room


RULES: Mapping[str, Rule] = {
    **{route: Rule(public=True) for route in _PUBLIC},
    **{route: Rule(session=True) for route in _SESSION},
    **{route: Rule(right=_ASK, door=door) for route, door in _DOORS.items()},
    **{
        route: Rule(right=right, own=own, door=room_of(route.partition(" ")[2]))
        for route, (right, own) in _ROUTES.items()
    },
}
"""`METHOD /path` → its rule. Of several that match, the first counts, as in the router."""


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
