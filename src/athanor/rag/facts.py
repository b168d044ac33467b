"""The parts of a sentence that can be checked word by word: its numbers and its names."""

from __future__ import annotations

import re

from athanor.rag.lexical import STOPWORDS, fold
from athanor.rag.stem import stem

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SEPARATOR = re.compile(r",(?=\d{3}(?:\D|$))")
_TOKEN = re.compile(r"[^\W_]+")
_NAME = re.compile(r"[^\W\d_][\w'’.-]*")
_NUMBER_WORDS = frozenset(
    """
    two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
    nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million
    millions billion billions trillion trillions dozen dozens half third quarter twice percent
    """.split()  # noqa: SIM905
)


def numbers(text: str) -> frozenset[str]:
    """The numbers in `text`: digits without thousands separators, and number words as they are."""
    digits = {_SEPARATOR.sub("", match[0]) for match in _NUMBER.finditer(text)}
    return frozenset(digits | {word for match in _TOKEN.finditer(text) if (word := match[0].lower()) in _NUMBER_WORDS})


def names(text: str) -> frozenset[str]:
    """Stems of the words that are written with a capital although they do not begin the text: names, mostly."""
    found = [match[0].rstrip(".'’-") for match in _NAME.finditer(text)]
    return frozenset(stem(fold(word)) for word in found[1:] if word[0].isupper() and word.lower() not in STOPWORDS)
