"""What a recogniser of personal data gives, and what all of them need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One piece of personal data in a text."""

    category: str
    """`pii.email`, `pii.card`, …: those of `finder.CATEGORIES`."""
    start: int
    end: int
    score: float
    """0 to 1. 1: its form and its check digits leave no doubt; .5 and above: it stands where such a thing is named;
    less: it only has the form."""
    reason: str
    """For people, without any of the text."""


Recogniser = Callable[[str], Iterable[Span]]
"""Finds one family in a text: pure, and in time linear in its length."""

BEFORE, AFTER = 64, 24
"""Characters around a span in which a word that names it is looked for."""


def words(*names: str) -> re.Pattern[str]:
    """Whole words and phrases, in any case; a space stands for any run of spaces and for a hyphen."""
    joined = "|".join(re.escape(name).replace(r"\ ", r"[\s_-]{1,3}") for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<![^\W_])(?:{joined})(?![^\W\d_])", re.IGNORECASE)


def named(
    text: str, start: int, end: int, pattern: re.Pattern[str], *, before: int = BEFORE, after: int = AFTER
) -> bool:
    """Whether a word of `pattern` stands near `start:end`: on either side, not inside."""
    if pattern.search(text, max(0, start - before), start):
        return True
    return after > 0 and pattern.search(text, end, min(len(text), end + after)) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """Digits that may be one number: groups that stand side by side, with single separators."""

    digits: str
    shape: tuple[int, ...]
    """Digits in each group."""
    separators: str
    start: int
    end: int
    whole: bool
    """No further group stands beside it."""


_RUN = re.compile(r"(?<![\w.,+])\d+(?:[ ./\-]\d+)*(?![\w])", re.ASCII)
_GROUP = re.compile(r"\d+", re.ASCII)
_MOST_GROUPS = 7
_LONGEST = 19
_SHORTEST = 8


def numbers(text: str, wanted: Callable[[tuple[int, ...]], bool]) -> Iterator[Number]:
    """Every run of neighbouring groups of digits with 8 to 19 digits in all.

    Groups are parted by one space, full stop, slash or hyphen, and the separators of one number are of one or two
    kinds.
    A number is not part of a word or of a longer decimal number.

    Args:
        wanted: asked of each run's shape, before anything else is made of it.
    """
    for run in _RUN.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, run.start(), run.end())]
        sizes = tuple(end - start for start, end in groups)
        for first, (start, _) in enumerate(groups):
            total = 0
            for last in range(first, min(first + _MOST_GROUPS, len(groups))):
                left, right = groups[last]
                total += right - left
                if total > _LONGEST:
                    break
                if total < _SHORTEST or not wanted(sizes[first : last + 1]):
                    continue
                taken = groups[first : last + 1]
                separators = "".join(text[e] for _, e in taken[:-1])
                if len(set(separators)) > 2:
                    break
                yield Number(
                    digits="".join(text[s:e] for s, e in taken),
                    shape=sizes[first : last + 1],
                    separators=separators,
                    start=start,
                    end=right,
                    whole=first == 0 and last == len(groups) - 1,
                )
