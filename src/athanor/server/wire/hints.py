"""Parameters of OpenAI's APIs that are accepted and have no effect: docs/guides/api.md lists them."""

from __future__ import annotations

from typing import Any

from athanor.server.wire.decoding import Incoming


class Hinted(Incoming):
    """A body that may carry hints to OpenAI's own service: where to keep, bill or cache what is said.

    None of them changes an answer, so leaving them without effect deceives nobody.
    """

    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
