"""What in other texts repeats a document: by its id, by words in a row, by its rarest words, by stretches of lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

SHINGLE = 8
"""A text that repeats so many words of a document in a row speaks of it."""
NEEDLES = 12
"""Stretches of the text that are looked for in the raw files of the database."""
NEEDLE = (24, 48)
"""Characters of such a stretch, at least and at most."""
RARE = 8
"""Words of the document that are looked for in the text index."""
_WORD = re.compile(r"\w+")


def speaks_of(ids: Sequence[str], texts: Sequence[str]) -> Callable[[str], bool]:
    """Does a text name one of the documents by its id, or repeat `SHINGLE` words of them in a row."""
    shingles = {hash(one) for text in texts for one in _shingles(text)}

    def speaks(text: str) -> bool:
        if any(one in text for one in ids):
            return True
        # Stored as JSON: a line break is a backslash and an n there.
        return any(hash(one) in shingles for one in _shingles(text.replace("\\n", " ").replace("\\t", " ")))

    return speaks


def _shingles(text: str) -> Iterable[tuple[str, ...]]:
    words = [word.lower() for word in _WORD.findall(text)]
    return (tuple(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1))


def rare(texts: Sequence[str]) -> list[str]:
    """The rarest words of the document itself, the longest first."""
    counted = Counter(word for text in texts for word in _WORD.findall(text) if len(word) > 3)
    return sorted(counted, key=lambda word: (counted[word], -len(word), word))[:RARE]


def needles_of(texts: Sequence[str]) -> list[str]:
    """Stretches of single lines, spread over the texts."""
    lines = [line.strip() for text in texts for line in text.splitlines() if len(line.strip()) >= NEEDLE[0]]
    step = max(1, len(lines) // NEEDLES)
    return [line[: NEEDLE[1]] for line in lines[::step][:NEEDLES]]
