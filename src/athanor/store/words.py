"""Cutting text into words, the same way for queries on both dialects."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+")
_MARKS = re.compile(r"[\u0300-\u036f]+")
MAX_WORDS = 256
"""A query is cut after this many different words; each costs a look-up."""


def split(text: str) -> list[str]:
    """The words of `text` in order, lower-cased. Punctuation, quotes, operators and NUL separate them."""
    return [word.lower() for word in _WORD.findall(text)]


def fold(text: str) -> str:
    """`text` in lower case without diacritics, its words separated by one space."""
    if not text.isascii():
        text = _MARKS.sub("", unicodedata.normalize("NFD", text))
    return " ".join(split(text))


def distinct(terms: Iterable[str]) -> list[str]:
    """The different words of all `terms`, in order of appearance, at most `MAX_WORDS`."""
    words = dict.fromkeys(word for term in terms for word in split(term))
    return list(words)[:MAX_WORDS]
