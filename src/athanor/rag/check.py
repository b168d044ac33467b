"""Is a knowledge base sound: its rows, its words, its files, and the index that is derived from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from athanor.errors import AthanorError
from athanor.rag.indexes import Indexes
from athanor.store import Store
from athanor.types import KnowledgeBase

_READ = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Soundness:
    """What a check of a knowledge base found: one line for each problem."""

    base: str
    """Its name."""
    documents: int
    chunks: int
    store: tuple[str, ...]
    """Rows that disagree. Nothing but a backup mends them."""
    files: tuple[str, ...]
    """Texts and pictures that are gone or damaged."""
    index: tuple[str, ...]
    """In what way the vector index, or a file of it, differs from the store. It was made anew where it did."""

    @property
    def sound(self) -> bool:
        """Was nothing found."""
        return not (self.store or self.files or self.index)


def check(store: Store, indexes: Indexes, base: KnowledgeBase) -> Soundness:
    """Look at everything that `base` consists of, byte by byte. Minutes for a large base; blocks.

    Raises:
        NotFoundError: the base is gone.
    """
    rows = store.chunks.verify(base.id)
    files = _files(store, store.chunks.blobs(base.id))
    index = indexes.verify(base)
    if index:
        indexes.drop(base.id)  # the next search makes it from the store
    now = store.knowledge.get(base.id)
    return Soundness(
        base=base.name,
        documents=now.documents,
        chunks=now.chunks,
        store=tuple(rows),
        files=tuple(files),
        index=tuple(index),
    )


def _files(store: Store, names: Mapping[str, str]) -> list[str]:
    found = []
    for sha256, what in names.items():
        try:
            digest = hashlib.sha256()
            with store.blobs.path(sha256).open("rb") as file:
                while part := file.read(_READ):
                    digest.update(part)
        except (AthanorError, OSError):
            found.append(f"{what}: its blob {sha256} is gone.")
            continue
        if digest.hexdigest() != sha256:
            found.append(f"{what}: its blob {sha256} is damaged.")
    return found
