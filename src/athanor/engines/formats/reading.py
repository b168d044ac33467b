"""What the answers of chat completions and of responses have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from athanor.engines.upstream import Upstream, error_message
from athanor.errors import EngineError, EngineUnavailableError
from athanor.types import TokenLogprob

_BUSY = {
    429,
    503,
    529,
    "429",
    "503",
    "rate_limit_exceeded",
    "rate_limit_error",
    "overloaded_error",
    "server_overloaded",
}


def failure(payload: Mapping[str, Any], upstream: Upstream) -> EngineError:
    """The error that an endpoint sent instead of an answer, or of the rest of one."""
    said = upstream.clean(error_message(payload) or "no reason given")
    error = payload.get("error")
    codes = [error.get("code"), error.get("type")] if isinstance(error, Mapping) else [payload.get("code")]
    if any(code in _BUSY for code in codes if isinstance(code, str | int)):
        return EngineUnavailableError(f"The endpoint is busy: {said}", where=upstream.shown)
    return EngineError(f"The endpoint failed while answering: {said}", where=upstream.shown)


def cut_short(upstream: Upstream) -> EngineError:
    """A stream that ended before its answer did."""
    return EngineError(
        "The endpoint's stream ended in the middle of the answer.",
        where=upstream.shown,
        hint="Ask again. If it recurs, look at the endpoint's log.",
    )


def read_logprobs(rows: object) -> tuple[TokenLogprob, ...]:
    """Tokens with their log-probabilities; rows that are none are left out."""
    if not isinstance(rows, list) or not rows:
        return ()
    return tuple(
        TokenLogprob(
            token=row["token"],
            logprob=float(row["logprob"]),
            top=tuple((top["token"], float(top["logprob"])) for top in row.get("top_logprobs") or () if _is_row(top)),
        )
        for row in rows
        if _is_row(row)
    )


def _is_row(row: object) -> bool:
    return (
        isinstance(row, Mapping)
        and isinstance(row.get("token"), str)
        and isinstance(row.get("logprob"), int | float)
        and not isinstance(row.get("logprob"), bool)
    )
