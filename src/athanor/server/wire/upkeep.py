"""Bodies of what keeps a knowledge base in shape."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from athanor.server.wire.decoding import Count, Incoming, ModelName

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Weight = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]


class ContextsBody(Incoming):
    """Which model writes contexts, and of how many passages."""

    model: ModelName | None = None
    """Unset takes the default one."""
    limit: Count | None = None
    """Passages, at most, of those that have none; unset is all."""


class SettingsBody(Incoming):
    """Settings of retrieval that are to change; see `RetrievalSettings`. Those that are not named stay."""

    dense_weight: _Share | None = None
    lexical_lead: _Share | None = None
    feedback: _Share | None = None
    rerank: _Weight | None = None
    diversity: _Share | None = None
    per_document: Annotated[int, Field(ge=1, le=1000)] | None = None
    """`null` takes the cap away."""
    hops: Annotated[int, Field(ge=1, le=2)] | None = None
    whole_tokens: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    expand: Annotated[int, Field(ge=0, le=100_000)] | None = None
    note: Annotated[str, Field(max_length=1000)] = ""
