"""A text under inspection: as it was given, and as detectors should read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a part of the text says once it is decoded."""

    text: str
    start: int
    """Of the encoded part, in the text as it was given."""
    end: int
    how: str
    """`base64`, `hex`, `url` or `rot13`."""


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

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Characters `start:end` of `plain`, as characters of `text`."""
        return self.offsets[start], self.offsets[end]
