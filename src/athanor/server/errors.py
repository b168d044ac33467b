"""How an error looks to a client: OpenAI's shape, with our code and hint."""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from athanor.errors import (
    AthanorError,
    AuthenticationError,
    BlockedError,
    BudgetError,
    EngineUnavailableError,
    InputError,
    RateLimitError,
)
from athanor.server.sse import JSON

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def error_body(error: AthanorError) -> dict[str, Any]:
    """`{"error": {"message", "type", "code", "param", "hint"}}`, and more of a refusal by policy."""
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    if isinstance(error, BudgetError):
        kind = "insufficient_quota"  # as OpenAI's SDKs know it: asking again at once is no use
    message = f"{error.message} {error.hint}" if error.hint else error.message
    body = {"message": message, "type": kind, "code": error.code, "param": error.where, "hint": error.hint}
    return {"error": body | blocked_fields(error) if isinstance(error, BlockedError) else body}


def blocked_fields(error: BlockedError) -> dict[str, Any]:
    """A refusal by policy, as clients of OpenAI and Azure know it (`content_filter`), with our own code and what was
    found."""
    found = {category: {"filtered": True} for category in error.categories}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": found}
    own = {"code": error.code, "categories": [*error.categories]}
    return {"code": "content_filter", "innererror": inner, "athanor": own}


def error_headers(error: AthanorError) -> dict[str, str]:
    """`Retry-After` in whole seconds (RFC 9110, section 10.2.3), and what is left of the caller's limits; of a missing
    or wrong key, how to send one (section 11.6.1)."""
    if isinstance(error, AuthenticationError):
        return {"www-authenticate": "Bearer"}
    after = error.retry_after
    if after is None and isinstance(error, EngineUnavailableError):
        after = 1.0
    headers = {"retry-after": str(math.ceil(after))} if after is not None else {}
    return headers | error.headers if isinstance(error, RateLimitError) else headers


def answer_error(error: AthanorError | HTTPException) -> JSON:
    """The answer that tells of an error."""
    if isinstance(error, AthanorError):
        return JSON(error_body(error), status_code=error.status, headers=error_headers(error))
    kind = _TYPES.get(error.status_code, "invalid_request_error" if error.status_code < 500 else "server_error")
    code = f"http_{error.status_code}"
    body = {"message": str(error.detail), "type": kind, "code": code, "param": None, "hint": None}
    return JSON({"error": body}, status_code=error.status_code, headers=error.headers)


def install_error_handlers(app: FastAPI) -> None:
    """Answer every failure in one shape. What was not foreseen says so, and keeps its details to the log."""

    @app.exception_handler(AthanorError)
    async def _known(_: Request, error: AthanorError) -> JSON:
        return answer_error(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSON:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        problem = InputError(f"{first['msg']}.", where=where or "body")
        return JSON(error_body(problem), status_code=400)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSON:
        return answer_error(error)

    @app.exception_handler(Exception)
    async def _unknown(_: Request, error: Exception) -> JSON:
        problem = AthanorError("Something failed that should not have; the server's log has the details.")
        return JSON(error_body(problem), status_code=500)
