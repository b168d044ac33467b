"""How many tokens a text has, without a tokenizer: an estimate that seldom falls short of WordPiece.

Rules found against bert-base-uncased's vocabulary: a word costs one token up to six letters and one more for every two
after them; text with many accents one for every two letters; digits one for every two; a Hangul syllable, which the
tokenizer takes apart, three; any other character one. `design/data.md` has the measured ratios.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_PLAIN = re.compile(r"(?<![A-Za-z])(?:[A-Z]{2,5}|[A-Za-z][a-z]{0,5})|[A-Za-z][a-z]?|[0-9]{1,2}|[^\sA-Za-z0-9]")
_ACCENTED = re.compile(rf"[{_LATIN}]{{1,2}}|[0-9]{{1,2}}|[^\s0-9{_LATIN}]")
_ACCENT = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")


def estimate(text: str) -> int:
    """Tokens of `text`, rather too many than too few. Linear; some 8 MB a second."""
    if text.isascii():
        return len(_PLAIN.findall(text))
    return len(_pattern(text).findall(text)) + 2 * len(_HANGUL.findall(text))


def positions(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start of each estimated token of `text[start:end]`, and what it counts."""
    piece = text[start:end]
    pattern = _PLAIN if piece.isascii() else _pattern(piece)
    for found in pattern.finditer(piece):
        at = found.start()
        yield start + at, 3 if "\uac00" <= piece[at] <= "\ud7a3" else 1


def _pattern(text: str) -> re.Pattern[str]:
    return _ACCENTED if 100 * len(_ACCENT.findall(text)) > len(text) else _PLAIN
