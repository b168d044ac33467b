"""The port of what runs inside a model's process, and the small things all of them need.

Nothing here imports a native library; a backend does so in `load`, which is called in the child only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from athanor.engines.frames import Frame
from athanor.errors import ModelError
from athanor.models import read_header

Emit = Callable[..., None]
"""`emit(id, op, blob=b"", **fields)`: send a frame about request `id`. Safe from any thread."""


class Backend(Protocol):
    """One native model. Made in the child by the worker; calls come from the worker's reading thread.

    For each `submit` the backend sends any number of `event` frames and then exactly one `done` or `error` frame
    under the request's id; after `cancel` it may send none.
    """

    def load(self, settings: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
        """Load the model; block until requests can be taken. Returns facts about it for people.

        Raises:
            Exception: the model cannot be used; the text reaches the user.
        """
        ...

    def submit(self, request: Frame) -> None:
        """Take a request (`id`, `op`, …) and return at once."""
        ...

    def cancel(self, request_id: int) -> None:
        """Stop a request that may be waiting, running or over."""
        ...

    def stalled(self) -> float:
        """Seconds since the last progress while there is work; 0 when idle."""
        ...


class Pulse:
    """Tells slow from stuck: beats are progress, and only a busy backend is expected to beat."""

    def __init__(self) -> None:
        self._busy = 0
        self._last = time.monotonic()
        self._lock = threading.Lock()

    def begin(self) -> None:
        with self._lock:
            if not self._busy:
                self._last = time.monotonic()
            self._busy += 1

    def beat(self) -> None:
        self._last = time.monotonic()

    def end(self) -> None:
        with self._lock:
            self._busy -= 1
            self._last = time.monotonic()

    def stalled(self) -> float:
        return time.monotonic() - self._last if self._busy > 0 else 0.0


class RequestError(Exception):
    """A request that this backend refuses; `code` is that of the `AthanorError` the caller gets."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def check_file(path: str) -> None:
    """Look at a model file before native code does: openvino-genai dies of SIGSEGV on a damaged GGUF header.

    Raises:
        ModelError: it is missing, or its header is damaged.
    """
    if not Path(path).exists():
        raise ModelError("There is no such file of weights.", where=path)
    if Path(path).is_file():
        read_header(Path(path))


def too_long(tokens: int, context: int) -> RequestError:
    """The prompt leaves no room for an answer."""
    return RequestError(
        "invalid_request",
        f"The prompt has {tokens} tokens or more; the model's context is {context}, answer included.",
        "Shorten the messages, or choose a model with a larger context.",
    )
