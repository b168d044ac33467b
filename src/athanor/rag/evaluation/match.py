"""Does an answer say what the expected one says: the measures of SQuAD, on text without case, articles and punctuation.

Source: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text" (2016), evaluation script.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_ARTICLES = frozenset({"a", "an", "the"})
_TOKEN = re.compile(r"\w+(?:[.,]\d+)*")


def tokens(text: str) -> list[str]:
    """The words and numbers of `text` in lower case, without English articles; `1,200` and `1200` are the same."""
    found = _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())
    return [token.replace(",", "") for token in found if token not in _ARTICLES]


def exact(answer: str, expected: str) -> float:
    """1 where both are the same words, else 0."""
    return float(tokens(answer) == tokens(expected))


def contained(answer: str, expected: str) -> float:
    """1 where the words of `expected` stand in `answer` one after the other, else 0. Fair to whole sentences."""
    said, wanted = tokens(answer), tokens(expected)
    if not wanted:
        return float(not said)
    return float(any(said[at : at + len(wanted)] == wanted for at in range(len(said) - len(wanted) + 1)))


def f1(answer: str, expected: str) -> float:
    """Harmonic mean of precision and recall of the words, each as often as it occurs; 0 to 1."""
    said, wanted = tokens(answer), tokens(expected)
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))
