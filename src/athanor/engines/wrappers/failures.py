"""Which failures may be followed by another try, and what a failed try has used."""

from __future__ import annotations

import re

from athanor.errors import (
    AthanorError,
    ConfigError,
    EngineError,
    EngineRefusedError,
    InputError,
    MissingExtraError,
    ModelError,
    NotFoundError,
)
from athanor.types import NO_USAGE, Usage

_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size|limit)|(prompt|input|request|messages?) (is|are|was) too (long|large)"
    r"|too many (input |prompt )?tokens|token count.{0,40}exceed|the model's context is|exceeds?.{0,30}\btokens\b",
    re.IGNORECASE,
)


def may_repeat(error: AthanorError) -> bool:
    """May the same model be asked again: not where it refused our key or path, which it will go on to do."""
    return isinstance(error, EngineError) and not isinstance(error, EngineRefusedError)


def may_replace(error: AthanorError) -> bool:
    """May another model be asked: whatever is wrong with the model, but nothing that is wrong with the request."""
    return isinstance(error, EngineError | ModelError | ConfigError | MissingExtraError | NotFoundError)


def is_too_long(error: AthanorError) -> bool:
    """Did a model refuse the request because its context is too small for it.

    Vendors answer HTTP 400 or 413 with a text and, some of them, a code; both reach us as the message. A wording that
    is not recognised costs the fallback and nothing else: the caller gets the refusal.
    """
    return isinstance(error, InputError) and _TOO_LONG.search(error.message) is not None


def bill(error: BaseException, usage: Usage) -> None:
    """Note on `error` (or the cancellation) what was used before it, where there is no event left to carry it."""
    if usage is not NO_USAGE:
        error.spent = spent(error) + usage  # type: ignore[attr-defined]


def spent(error: BaseException) -> Usage:
    """What the tries behind `error` have used and no event has carried: whoever gives up adds it to the bill."""
    found = getattr(error, "spent", NO_USAGE)
    return found if isinstance(found, Usage) else NO_USAGE
