"""The port of a vector index: unit vectors by chunk id, searched by cosine, as one reader with one filter sees them.

An index is derived from the store's vectors and can be made again from them at any time (`athanor.rag.vectors`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from athanor.rag.arrays import Matrix, np
from athanor.types import View

Found = tuple[list[tuple[str, float]], dict[str, float]]
"""The best (chunk id, cosine), best first, and the cosines of the chunks that were asked for by id."""


def decode(data: bytes, dimension: int) -> Matrix:
    """Joined little-endian float32 vectors as a matrix of n × `dimension`."""
    return np.frombuffer(data, dtype="<f4").reshape(-1, dimension)


class VectorIndex(Protocol):
    """The vectors of one knowledge base at one revision. Safe to use from several threads."""

    @property
    def revision(self) -> int:
        """Of the knowledge base that this index equals."""
        ...

    def search(self, query: Matrix, limit: int, also: Iterable[str] = (), view: View | None = None) -> Found:
        """The `limit` best (id, cosine), best first, and the cosines of the ids in `also` that are visible.

        `query` is a unit vector of shape (dimension,). Equal cosines stand in the order of their ids. A chunk that
        `view` hides is in neither result and changes no number of it; so is a chunk that changed after the view was
        made, because the view does not say who may read it now.

        Raises:
            ValueError: the view is of a later revision, so that this index does not know yet what it hides.
        """
        ...
