"""Doors: the routes that lead to models. They skip what makes a framework's route slow, and nothing else.

A door is a FastAPI route, so that it is in the API's description; but a request goes from its path straight to its
function, without routing and dependency resolution: identify, decode once, call. See design/gateway.md for what that
saves. The function takes the body, the application and the context, in this order; and, where it has a parameter of
that name, the `cache` use that the caller allows.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from athanor.errors import (
    AthanorError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
    RateLimitError,
    RequestTimeoutError,
    TooLargeError,
)
from athanor.gateway import App
from athanor.server.auth import cache_of
from athanor.server.enforce import enforce, identified
from athanor.server.errors import error_body, error_headers
from athanor.server.sse import JSON
from athanor.server.wire import Incoming, parse
from athanor.types import Context, new_id

log = logging.getLogger(__name__)

BODY_SECONDS = 60.0
"""For a client to send its body."""


class Door(APIRoute):
    """A route to models, whose name is the door's: `chat.completions`, `messages`, …"""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._takes_cache = "cache" in inspect.signature(endpoint).parameters
        self._body = self._model()

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.answer

    def refusal(self, error: AthanorError) -> Mapping[str, Any]:
        """How an error looks in the words of this API."""
        return error_body(error)

    def headers(self, error: AthanorError, trace: str) -> dict[str, str]:
        """What is told of an error beside it."""
        return {**error_headers(error), "x-athanor-trace": trace, "x-request-id": trace}

    async def answer(self, request: Request) -> Response:
        """Identify, decode, call; errors in the words of this API."""
        app: App = request.app.state.athanor
        trace = new_id("tr")
        try:
            enforce(request.scope, app)
            who, key = identified(request.scope)
            body = parse(self._body, await read(request, app.settings.server.max_request_mb << 20))
            ctx = Context(principal=who, key=key, trace=trace, door=self.name)
            more = (cache_of(request.headers.get("cache-control")),) if self._takes_cache else ()
            found: Response = await self.endpoint(body, app, ctx, *more)
        except AthanorError as error:
            return JSON(self.refusal(error), status_code=error.status, headers=self.headers(error, trace))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception:
            log.exception("trace %s failed", trace)
            problem = AthanorError("Something failed that should not have; the server's log has the details.")
            return JSON(self.refusal(problem), status_code=500, headers=self.headers(problem, trace))
        return found

    async def line(self, app: App, raw: bytes, ctx: Context) -> tuple[int, bytes]:
        """Answer one line of a batch: the status and the body of the answer.

        Raises:
            RateLimitError, EngineUnavailableError, EngineTimeoutError: the line may be asked again.
        """
        try:
            body = parse(self._body, raw)
            if getattr(body, "stream", None):
                raise InputError("A line of a batch is not streamed.", where="stream", hint="Leave it out.")
            more = (cache_of(None),) if self._takes_cache else ()
            found: Response = await self.endpoint(body, app, ctx, *more)
        except (RateLimitError, EngineUnavailableError, EngineTimeoutError):
            raise
        except AthanorError as error:
            return error.status, orjson.dumps(self.refusal(error))
        return found.status_code, bytes(found.body)

    def _model(self) -> type[Incoming]:
        assert self.body_field is not None
        model: type[Incoming] = self.body_field.field_info.annotation  # type: ignore[assignment]
        return model


class Express:
    """Takes a request to its door by the exact path; everything else goes on to `others`."""

    def __init__(self, others: ASGIApp, http: FastAPI, doors: Iterable[Door]) -> None:
        self._others = others
        self._http = http
        self._doors = {door.path: door for door in doors}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            door = self._doors.get(scope["path"])
            if door is not None:
                scope["app"] = self._http
                response = await door.answer(Request(scope, receive))
                return await response(scope, receive, send)
        return await self._others(scope, receive, send)


async def read(request: Request, limit: int) -> bytes:
    """The body, of at most `limit` bytes.

    Raises:
        TooLargeError: it is longer; at once where its length is declared.
        RequestTimeoutError: it did not arrive in time.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            message = await request.receive()
            parts, size = [message.get("body", b"")], 0
            while message.get("more_body"):
                message = await request.receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise RequestTimeoutError(f"The body did not arrive within {BODY_SECONDS:g} s.") from None
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return b"".join(parts)


def _too_large(limit: int) -> TooLargeError:
    hint = "Raise server.max_request_mb, or send less."
    return TooLargeError(f"The request is larger than {limit >> 20} MiB.", hint=hint)
