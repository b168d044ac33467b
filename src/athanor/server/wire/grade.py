"""The body of `/api/grade`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from athanor.server.wire.decoding import Incoming

MAX_CHARS = 50_000


class SourceText(Incoming):
    """A text that the answer should rest on."""

    text: Annotated[str, Field(max_length=500_000)]
    title: Annotated[str, Field(max_length=1000)] = ""


class GradeRequest(Incoming):
    """A text, and either sources or the knowledge base to find them in."""

    answer: Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]
    sources: Annotated[list[SourceText], Field(min_length=1, max_length=50)] | None = None
    knowledge: str | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Supported from this score on; unset takes the server's."""
