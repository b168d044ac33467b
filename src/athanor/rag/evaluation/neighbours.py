"""Words of a base that mean nearly the same, by its own embedder: what makes a question no copy of its source."""

from __future__ import annotations

import random
from collections.abc import Sequence

from athanor.engines import Embedder
from athanor.rag.arrays import Matrix, np
from athanor.rag.index import decode
from athanor.rag.stem import stem

LEAST = 0.5
"""Cosine from which on one word can stand for another: a guess, at which `bridge` has `viaduct` and not `river`."""
CHOICE = 3
"""The word that stands for another is drawn among so many of its nearest: always the nearest would suit the embedder
that the base is searched by."""
WORDS = 1500
"""Words that are embedded, at most; some hundred a second."""
_BATCH = 64


class Neighbours:
    """Gives another word for a word, out of a vocabulary."""

    def __init__(self, words: Sequence[str], vectors: Matrix, chance: random.Random) -> None:
        """`vectors` are of unit length, one row for each word."""
        self._words = list(words)
        self._place = {word: row for row, word in enumerate(self._words)}
        self._vectors = vectors
        self._chance = chance

    @classmethod
    async def of(cls, words: Sequence[str], embedder: Embedder, chance: random.Random) -> Neighbours:
        """Neighbours among the first `WORDS` of `words`."""
        wanted = list(dict.fromkeys(words))[:WORDS]
        rows = []
        for at in range(0, len(wanted), _BATCH):
            found = await embedder.embed(wanted[at : at + _BATCH], kind="document")
            rows.append(decode(found.data, found.dimension))
        dimension = embedder.profile.dimension
        return cls(wanted, np.concatenate(rows) if rows else np.zeros((0, dimension), dtype=np.float32), chance)

    def other(self, word: str) -> str | None:
        """A word that is near `word` and no form of it; `None` where there is none, or `word` is not known."""
        row = self._place.get(word)
        if row is None:
            return None
        likeness = self._vectors @ self._vectors[row]
        near: list[str] = []
        for place in np.argsort(-likeness)[: 4 * CHOICE].tolist():
            found = self._words[place]
            if likeness[place] < LEAST or len(near) == CHOICE:
                break
            if not _same(found, word):
                near.append(found)
        return self._chance.choice(near) if near else None


def _same(one: str, other: str) -> bool:
    """Are they forms of one word, or one of them a part of the other."""
    return stem(one) == stem(other) or one.startswith(other[:5]) or other.startswith(one[:5])
