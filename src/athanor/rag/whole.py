"""Reading a small base whole instead of searching it."""

from __future__ import annotations

from athanor.rag.tokens import estimate
from athanor.store import Store
from athanor.types import Hit, KnowledgeBase, View

_BATCH = 200


def whole(store: Store, base: KnowledgeBase, view: View | None, tokens: int) -> list[Hit] | None:
    """All passages that `view` shows, without scores, if they have at most `tokens`; else `None`.

    Only what is visible counts, so that what is hidden does not show in the answer. Reads the store; call in a thread.
    """
    ids = store.chunks.ids(base.id)
    found: list[Hit] = []
    for start in range(0, len(ids), _BATCH):
        part = store.chunks.hits(base.id, ids[start : start + _BATCH], view=view)
        tokens -= sum(estimate(hit.chunk.text) for hit in part)
        if tokens < 0:
            return None
        found += part
    return found
