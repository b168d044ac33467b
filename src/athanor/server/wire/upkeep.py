"""Bodies of what keeps a knowledge base in shape."""

from __future__ import annotations

from athanor.server.wire.decoding import Count, Incoming, ModelName


class ContextsBody(Incoming):
    """Which model writes contexts, and of how many passages."""

    model: ModelName | None = None
    """Unset takes the default one."""
    limit: Count | None = None
    """Passages, at most, of those that have none; unset is all."""
