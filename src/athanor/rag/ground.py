"""How a written sentence agrees with one sentence of a source: the features that `groundedness` weighs.

No agreement is enough alone, because each is fooled by something that a small model does: words and meaning agree when
a number was changed, numbers agree when a name was swapped, names agree when a "not" was lost, and all of them when two
names changed places. Words are compared by their stems, numbers by their values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from athanor.rag.facts import denials, denied, names, numbers, opposed, plain_numbers
from athanor.rag.lexical import STOPWORDS, fold, words
from athanor.rag.stem import stem

Weigh = Callable[[str], float]
"""Stem → how telling it is, above 0."""

MAX_WORDS = 160
"""Of a text that is compared: a longest common subsequence costs the product of two lengths."""

_REACH = 3
_NEIGHBOURHOOD = 5
_STOP_STEMS = frozenset(stem(fold(word)) for word in STOPWORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A text, taken apart."""

    stems: tuple[str, ...]
    """Of all words in order, numbers as values."""
    content: tuple[str, ...]
    """Those that are no stop words."""
    numbers: frozenset[str]
    names: frozenset[str]
    denied: frozenset[str]
    denials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A written sentence against one source sentence, its neighbourhood (it with the sentences beside it) and its
    passage (with title and headings). Shares are from 0 to 1."""

    words: float
    """Share of the written content words, by weight, that the source sentence has."""
    foreign: float
    """Written content words that the passage has nowhere; 3 at most."""
    triples: float
    """Share of the written runs of three words that the neighbourhood has."""
    numbers: float
    """1 if a written number is not in the neighbourhood."""
    names_near: float
    """1 if a written name is not in the neighbourhood."""
    denial: float
    """1 if one of the two denies what the other says of the same word."""
    opposite: float
    """1 if it has the opposite of a word of the source sentence instead of that word."""
    denials: float
    """1 if exactly one of the two denies anything."""
    bound: float
    """Of the written names and numbers, the least share of its neighbouring words that it has in the source too."""

    def row(self) -> list[float]:
        """All values, in the order of `FEATURES`."""
        return [getattr(self, name) for name in FEATURES]


FEATURES = tuple(field.name for field in fields(Agreement))


def read(text: str) -> Reading:
    """Take `text` apart; words after the first `MAX_WORDS` are not looked at."""
    found = tuple(word.stem for word in words(plain_numbers(text))[:MAX_WORDS])
    return Reading(
        stems=found,
        content=tuple(word for word in found if word not in _STOP_STEMS),
        numbers=numbers(text),
        names=names(text),
        denied=denied(text),
        denials=denials(text),
    )


def compare(written: Reading, source: Reading, near: Reading, passage: frozenset[str], weigh: Weigh) -> Agreement:
    """How `written` agrees with `source`, what is `near` it, and the stems of its `passage`."""
    content = dict.fromkeys(written.content)
    total = sum(map(weigh, content)) or 1.0
    in_source, in_near = frozenset(source.stems), frozenset(near.stems)
    return Agreement(
        words=sum(weigh(word) for word in content if word in in_source) / total,
        foreign=float(min(3, sum(word not in passage for word in content))),
        triples=_ngrams(written.stems, near.stems, 3),
        numbers=float(bool(written.numbers - near.numbers)),
        names_near=float(bool(written.names - in_near)),
        denial=float(_denial(written, source, in_source)),
        opposite=float(opposed(frozenset(written.stems), in_source)),
        denials=float(bool(written.denials) != bool(source.denials)),
        bound=_bound(written, near, in_near),
    )


def common(one: Sequence[str], other: Sequence[str]) -> list[tuple[int, int]]:
    """A longest common subsequence, as pairs of places."""
    lengths = [[0] * (len(other) + 1)]
    for word in one:
        above, row = lengths[-1], [0]
        for j, with_word in enumerate(other):
            row.append(above[j] + 1 if word == with_word else max(above[j + 1], row[j]))
        lengths.append(row)
    i, j = len(one), len(other)
    pairs = []
    while i and j:
        if one[i - 1] == other[j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif lengths[i - 1][j] >= lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _ngrams(written: Sequence[str], source: Sequence[str], size: int) -> float:
    ours = {tuple(written[i : i + size]) for i in range(len(written) - size + 1)}
    theirs = {tuple(source[i : i + size]) for i in range(len(source) - size + 1)}
    return len(ours & theirs) / len(ours) if ours else 0.0


def _denial(written: Reading, source: Reading, in_source: frozenset[str]) -> bool:
    lost = (source.denied - written.denied) & frozenset(written.stems)
    made = (written.denied - source.denied) & in_source
    return bool(lost or made)


def _bound(written: Reading, near: Reading, in_near: frozenset[str]) -> float:
    least = 1.0
    for place, key in enumerate(written.stems):
        if key in in_near and (key in written.names or key in written.numbers):
            beside = _beside(written.stems, place, _REACH) & in_near
            if beside:
                shares = [
                    len(beside & _beside(near.stems, at, _NEIGHBOURHOOD)) / len(beside)
                    for at, word in enumerate(near.stems)
                    if word == key
                ]
                least = min(least, max(shares))
    return least


def _beside(stems: Sequence[str], place: int, reach: int) -> frozenset[str]:
    """Content words at most `reach` words from `place`."""
    return frozenset(
        word
        for at in range(max(0, place - reach), min(len(stems), place + reach + 1))
        if at != place and (word := stems[at]) not in _STOP_STEMS
    )
