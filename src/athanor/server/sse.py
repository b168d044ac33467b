"""Server-sent events (WHATWG HTML, section 9.2), and the JSON that both doors write."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

DONE = b"data: [DONE]\n\n"


def sse(payload: Any) -> bytes:
    """One event."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def named(kind: str, payload: dict[str, Any]) -> bytes:
    """One event under its name, which is also its `type`."""
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, **payload}) + b"\n\n"


class JSON(Response):
    """A JSON answer, encoded once."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)
