"""What an endpoint's error answer means: which of our errors it is, when to come back, and what it says."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from athanor.errors import (
    AthanorError,
    EngineError,
    EngineRefusedError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
)

_KEY = "Check the model's `api_key`, or its `token_command`."
# Money that is spent does not come back in a moment: OpenAI says so with 429, which otherwise means "too fast".
_SPENT = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}


def refusal(status: int, headers: Mapping[str, str], raw: bytes, said: str, *, where: str) -> AthanorError:  # noqa: PLR0911
    """The error that stands for an answer whose HTTP status is not good.

    Args:
        raw: the body, for the vendor's own code; never shown.
        said: what the body says, without any secret.
    """
    codes = _codes(raw)
    if status in {401, 403} or (status == 400 and "API_KEY_INVALID" in codes):
        return EngineRefusedError(f"The endpoint refused our key (HTTP {status}): {said}", where=where, hint=_KEY)
    if status == 402 or (status == 429 and codes & _SPENT):
        hint = "The account at the vendor has no money left."
        return EngineRefusedError(f"The endpoint refused to bill us (HTTP {status}): {said}", where=where, hint=hint)
    if status in {404, 405}:
        return EngineRefusedError(
            f"The endpoint knows no such model or path: {said}", where=where, hint="Check `upstream` and the URL."
        )
    if 300 <= status < 400:
        # Followed, it would carry the key to wherever it points.
        hint = "Put the URL that it points to into the model's `source`."
        return EngineRefusedError(f"The endpoint redirects (HTTP {status}).", where=where, hint=hint)
    if status in {400, 413, 422}:
        return InputError(f"The endpoint refused the request: {said}", where=where)
    if status in {429, 503, 529}:
        after = retry_after(headers)
        after = _delay(raw) if after is None else after
        hint = f"Ask again in {after:g} s." if after is not None else "Ask again in a moment."
        return EngineUnavailableError(
            f"The endpoint is busy (HTTP {status}): {said}", where=where, hint=hint, retry_after=after
        )
    if status in {408, 504}:
        return EngineTimeoutError(f"The endpoint timed out (HTTP {status}): {said}", where=where)
    return EngineError(f"The endpoint answered HTTP {status}: {said}", where=where)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an endpoint asks us to wait (RFC 9110, section 10.2.3, and the vendors' `retry-after-ms`)."""
    try:
        milliseconds = headers.get("retry-after-ms", "")
        if milliseconds.replace(".", "", 1).isdecimal():
            return float(milliseconds) / 1000
        value = headers.get("retry-after", "")
        if not value:
            return None
        if value.replace(".", "", 1).isdecimal():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def error_message(body: object) -> str:
    """The text of an error object in any of the shapes that are in use; empty if there is none."""
    error = _error(body)
    if isinstance(error, Mapping):
        # Mistral puts the list of mistakes into `message.detail`.
        error = error.get("message") or error.get("detail") or error.get("code") or ""
    return "" if error is None else str(error)


def body_message(raw: bytes) -> str:
    """What an error body says: its error's message, or the text itself."""
    try:
        return error_message(orjson.loads(raw)) or "no reason given"
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace") or "no reason given"


def _error(body: object) -> Any:
    if isinstance(body, list) and body:  # Gemini's streams put it into an array
        body = body[0]
    if not isinstance(body, Mapping):
        return None
    return next((body[key] for key in ("error", "detail", "message", "msg") if body.get(key)), None)


def _delay(raw: bytes) -> float | None:
    """Seconds that Google's APIs ask us to wait, in the body (`google.rpc.RetryInfo`): `"retryDelay": "29.5s"`."""
    try:
        error = _error(orjson.loads(raw))
    except orjson.JSONDecodeError:
        return None
    details = error.get("details") if isinstance(error, Mapping) else None
    for detail in details if isinstance(details, list) else ():
        said = detail.get("retryDelay") if isinstance(detail, Mapping) else None
        if isinstance(said, str) and re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", said):
            return float(said[:-1])
    return None


def _codes(raw: bytes) -> set[str]:
    """The vendor's words for programs: `code`, `type` and `status` of the error, and `reason` of its details."""
    try:
        error = _error(orjson.loads(raw))
    except orjson.JSONDecodeError:
        return set()
    if not isinstance(error, Mapping):
        return set()
    found = [error.get(key) for key in ("code", "type", "status")]
    details = error.get("details")
    if isinstance(details, list):
        found += [detail.get("reason") for detail in details if isinstance(detail, Mapping)]
    return {code for code in found if isinstance(code, str)}
