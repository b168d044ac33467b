"""A text under inspection: as it was given, and as detectors should read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a part of the text says once it is decoded."""

    text: str
    start: int
    """Of the encoded part, in the text as it was given."""
    end: int
    how: str
    """`base64`, `hex`, `binary`, `escape`, `url`, `rot13`, `reversed`, `spaced` (letters with gaps), `tags` or
    `selectors` (characters that nobody sees and that spell something)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One text, prepared once for all guards of a chain. Made by `normalise.subject_of`."""

    text: str
    """As it was given; spans of findings count its characters."""
    plain: str
    """NFKC, without invisible and bidirectional characters, confusable letters folded to Latin."""
    offsets: Sequence[int]
    """Place in `plain` → place in `text`; one more than `plain` has characters."""
    decoded: tuple[Decoded, ...] = ()
    """One level deep."""
    odd: tuple[str, ...] = ()
    """Taken out or folded: `invisible`, `bidi`, `confusable`, `tags`. Over a cap: `long`, `entropy`."""
    shared: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What one guard made of the text and another needs, too: see `features.reading_of`."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Characters `start:end` of `plain`, as the characters of `text` that they come from: no fewer, and no more
        than the rest of a character that became several."""
        if end <= start:
            return self.offsets[start], self.offsets[start]
        while end < len(self.plain) and self.offsets[end] == self.offsets[end - 1]:
            end += 1
        return self.offsets[start], self.offsets[end]
