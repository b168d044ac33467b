"""Every error a user can meet, as one tree.

Each error says what happened (`message`), where (`where`: a file, a key, a parameter) and what to do
(`hint`), and carries a stable `code` and the HTTP `status` that the API answers with::

    AthanorError
    ├── ConfigError              config_invalid        500  a setting is wrong, or unknown
    ├── MissingExtraError        missing_extra         501  an optional dependency is not installed
    ├── InputError               invalid_request       400  the caller's request is wrong
    │   ├── UnsupportedError     unsupported           400  the engine cannot do what was asked
    │   └── DocumentError        document_rejected     422  a document cannot be read (see `reason`)
    ├── AuthenticationError      unauthenticated       401
    ├── PermissionDeniedError    permission_denied     403
    ├── BlockedError             blocked               400  a guard's policy refused the text (see `categories`)
    ├── NotFoundError            not_found             404
    ├── RequestTimeoutError      request_timeout       408  the caller did not send its request in time
    ├── ConflictError            conflict              409
    ├── TooLargeError            too_large             413
    │   ├── UrlTooLongError      url_too_long          414
    │   └── HeadTooLargeError    headers_too_large     431
    ├── RateLimitError           rate_limited          429  requests, tokens or concurrency; says when to come back
    ├── BudgetError              budget_exceeded       429  the money of a day or month is spent
    ├── OverloadedError          overloaded            503  more connections than this server may hold
    ├── EngineError              engine_failed         502  the model failed while answering
    │   ├── EngineCrashedError   engine_crashed        502  its process died under the request
    │   ├── EngineUnavailableError engine_unavailable  503  it is loading, backing off, busy, or out of reach
    │   ├── EngineRefusedError   engine_refused        502  the vendor refused our key, path or model
    │   └── EngineTimeoutError   engine_timeout        504
    ├── ModelError               model_unusable        500  weights missing, or unreadable
    │   ├── WeightsMismatchError weights_mismatch      500  the file is not the pinned or signed one
    │   ├── UnsafeWeightsError   weights_unsafe        500  they may run code when they are loaded
    │   └── UnsignedWeightsError weights_unsigned      500  strict mode, and nobody who is trusted signed them
    ├── StoreError               store_failed          500
    │   └── EncryptionError      encryption_failed     500  no key, the wrong one, or a sealed value was changed
    └── JobError                 job_failed            500
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

LONGEST = 2000
"""Characters of an error's message."""


class AthanorError(Exception):
    """Base of all errors. `str(error)` is one line: message, where and hint."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    retry_after: float | None = None
    """Seconds after which the same request may succeed, where that is known."""

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        message = _short(message)
        super().__init__(message)
        self.message = message
        self.where = where and _short(where)
        self.hint = hint and _short(hint)

    def __str__(self) -> str:
        where = f" [{self.where}]" if self.where else ""
        hint = f" Hint: {self.hint}" if self.hint else ""
        return f"{self.message}{where}{hint}"


def _short(text: str) -> str:
    """What a caller sent is quoted in errors, and may be of any length."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} […] {text[-LONGEST // 2 :]}"


class ConfigError(AthanorError):
    code = "config_invalid"


class MissingExtraError(AthanorError):
    """An optional dependency is missing; the hint is the command that installs it."""

    code = "missing_extra"
    status = 501

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"{what} is not installed.", hint=f"pip install 'athanor[{extra}]'")
        self.extra = extra


class InputError(AthanorError):
    code = "invalid_request"
    status = 400


class UnsupportedError(InputError):
    code = "unsupported"


class DocumentError(InputError):
    """One document cannot be ingested. `reason` is a stable word for programs.

    Reasons: encrypted, empty, encoding, corrupt, too_large, expands_too_much, timeout, memory,
    unsupported_type, outside_folder, unreadable, no_text.
    """

    code = "document_rejected"
    status = 422

    def __init__(self, message: str, *, reason: str, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=where, hint=hint)
        self.reason = reason


class AuthenticationError(AthanorError):
    code = "unauthenticated"
    status = 401


class PermissionDeniedError(AthanorError):
    code = "permission_denied"
    status = 403


class BlockedError(AthanorError):
    """A guard's policy refused a text. Says which categories, and nothing of the text."""

    code = "blocked"
    status = 400

    def __init__(
        self, message: str, *, categories: tuple[str, ...], where: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.categories = categories


class NotFoundError(AthanorError):
    code = "not_found"
    status = 404


class RequestTimeoutError(AthanorError):
    code = "request_timeout"
    status = 408


class ConflictError(AthanorError):
    code = "conflict"
    status = 409


class TooLargeError(AthanorError):
    code = "too_large"
    status = 413


class UrlTooLongError(TooLargeError):
    code = "url_too_long"
    status = 414


class HeadTooLargeError(TooLargeError):
    code = "headers_too_large"
    status = 431


class OverloadedError(AthanorError):
    code = "overloaded"
    status = 503
    retry_after = 1.0


class RateLimitError(AthanorError):
    """`headers` tell the caller what is left and when there is more."""

    code = "rate_limited"
    status = 429

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retry_after = retry_after
        self.headers = dict(headers or {})


class BudgetError(RateLimitError):
    code = "budget_exceeded"


class EngineError(AthanorError):
    code = "engine_failed"
    status = 502


class EngineCrashedError(EngineError):
    code = "engine_crashed"


class EngineUnavailableError(EngineError):
    code = "engine_unavailable"
    status = 503

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retry_after = retry_after


class EngineRefusedError(EngineError):
    code = "engine_refused"


class EngineTimeoutError(EngineError):
    code = "engine_timeout"
    status = 504


class ModelError(AthanorError):
    code = "model_unusable"


class WeightsMismatchError(ModelError):
    code = "weights_mismatch"


class UnsafeWeightsError(ModelError):
    code = "weights_unsafe"


class UnsignedWeightsError(ModelError):
    code = "weights_unsigned"


class StoreError(AthanorError):
    code = "store_failed"


class EncryptionError(StoreError):
    code = "encryption_failed"


class JobError(AthanorError):
    code = "job_failed"
