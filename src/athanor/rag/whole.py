"""Reading a small base whole instead of searching it."""

from __future__ import annotations

from collections.abc import Sequence

from athanor.rag.tokens import estimate
from athanor.store import Store
from athanor.types import Hit, KnowledgeBase, View

_BATCH = 200


def whole_ids(store: Store, base: KnowledgeBase, view: View | None, tokens: int) -> list[str] | None:
    """The ids of all passages that `view` shows, if they have at most `tokens` by estimate; else `None`.

    Only what is visible counts, so that what is hidden does not show in the answer. Reads the store; call in a thread.

    Raises:
        NotFoundError: the base is gone.
    """
    _, passages = store.knowledge.counts(base.id, view)
    if passages > tokens:  # a passage has a token at least: a large base is not read to find that out
        return None
    found: list[str] = []
    ids = store.chunks.ids(base.id, view=view)
    for start in range(0, len(ids), _BATCH):
        part = store.chunks.get(base.id, ids[start : start + _BATCH], view=view)
        tokens -= sum(estimate(chunk.text) for chunk in part)
        if tokens < 0:
            return None
        found += [chunk.id for chunk in part]
    return found


def in_order(hits: Sequence[Hit]) -> list[Hit]:
    """`hits` as one reads them: by source, and within a document from its beginning.

    A prompt made of them is the same for every question, so that a model's prefix cache holds it.
    """
    return sorted(hits, key=lambda hit: (hit.source, hit.chunk.document, hit.chunk.ordinal))
