"""The vector indexes of all knowledge bases."""

from __future__ import annotations

import threading

from athanor.errors import NotFoundError
from athanor.rag.index import ExactIndex
from athanor.store import Store
from athanor.types import KnowledgeBase


class Indexes:
    """The vector indexes of all bases, brought up to date when they are asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._indexes: dict[str, ExactIndex] = {}
        self._lock = threading.Lock()

    def current(self, base: KnowledgeBase) -> ExactIndex:
        """The index of `base` at its newest committed revision. Reads the store; call it in a thread.

        Raises:
            NotFoundError: the base is gone; its index is freed then.
        """
        with self._lock:
            try:
                revision = self._store.knowledge.get(base.id).revision
            except NotFoundError:
                self._indexes.pop(base.id, None)
                raise
            index = self._indexes.setdefault(base.id, ExactIndex(base.dimension))
            if revision != index.revision:
                index.apply(self._store.chunks.changes(base.id, index.revision))
            return index
