"""What can be seen of a word beside what the model says of it, for the regression that tells names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from athanor.guards.personal.base import words
from athanor.guards.personal.lexicon import COMMON, COUNTRIES, FIRMS, TITLES, WHERE
from athanor.types import Tagging

GIVEN, SURNAME = 0, 1
_ADDRESS = (11, 12, 14, 15)
_NEAR = re.compile(r"[ .'’\-]{1,2}")
_NUMBER = re.compile(r" ?\d")
_FOLLOWING = re.compile(r"[^\W\d_]+")
_PEOPLES = re.compile(r"[^\W\d_]{3,}(?:ish|ese|ian|ean|can|an|ic|er)s?\Z")
CALLED = words(
    "my name is", "name is", "i am called", "call me", "calls me", "calling me", "named", "i'm called", "called",
    "this is", "mein name ist", "ich heiße", "je m'appelle", "me llamo", "mi nombre es", "mi chiamo", "ik heet",
    "meu nome é",
)  # fmt: skip

_MENTIONED = 2.5
"""What another mention adds at most: of many in a long text, one is misread easily."""

FEATURES = (
    "bias", "own", "title case", "upper case", "lower case", "first and title case", "address", "other mention",
    "after title", "common", "first", "one letter", "after capital", "after article", "is title", "called",
    "before number", "before firm", "after where", "at hyphen", "people",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word with letters, and what is known of it."""

    place: int
    """In the tagging."""
    features: tuple[float, ...]


def read(text: str, tagging: Tagging) -> Iterator[Word]:
    """The words of a text that may be names, with their features, in order."""
    best: dict[str, list[float]] = {}
    for (start, end), scores in zip(tagging.words, tagging.scores, strict=True):
        best.setdefault(text[start:end].lower(), []).append(scores[GIVEN] + scores[SURNAME])
    before: tuple[int, int] | None = None
    for place, (start, end) in enumerate(tagging.words):
        word = text[start:end]
        # Scripts without capitals are not in the model's vocabulary.
        if not word[0].isalpha() or word.lower() == word.upper():
            continue
        if word.lower() in COUNTRIES or _clipped(text, start, end):
            continue
        near = before is not None and _NEAR.fullmatch(text, before[1], start) is not None
        previous = text[slice(*before)] if near and before is not None else ""
        own = tagging.scores[place]
        mentions = best[text[start:end].lower()]
        features = (*_of_word(text, start, end, previous, own, mentions), *_of_place(text, start, end, previous))
        yield Word(place=place, features=features)
        before = start, end


def _of_word(
    text: str, start: int, end: int, previous: str, scores: Sequence[float], mentions: Sequence[float]
) -> tuple[float, ...]:
    word = text[start:end]
    lower, before = word.lower(), previous.lower()
    own = _logit(scores[GIVEN] + scores[SURNAME])
    upper = len(word) > 1 and word.isupper()
    titled = word[0].isupper() and not upper
    first = _first(text, start)
    return (
        1.0,
        own,
        float(titled),
        float(upper),
        float(word.islower()),
        float(titled and first),
        _logit(sum(scores[label] for label in _ADDRESS)),
        min(_MENTIONED, _logit(max(mentions)) - own) if len(mentions) > 1 else 0.0,
        float(before in TITLES),
        float(lower in COMMON),
        float(first),
        float(len(word) == 1),
        float(bool(previous) and previous[0].isupper() and before not in COMMON and before not in TITLES),
        float(before in {"the", "a", "an"}),
        float(lower in TITLES),
        float(CALLED.search(text, max(0, start - 16), start) is not None and text[start - 1].isspace()),
    )


def _of_place(text: str, start: int, end: int, previous: str) -> tuple[float, ...]:
    word = text[start:end]
    line = text[end : end + 40].partition("\n")[0]
    follow = [found.lower() for found in _FOLLOWING.findall(line)[:2]] if line[:1] == " " else []
    before, after = text[start - 1 : start], text[end : end + 1]
    return (
        float(_NUMBER.match(text, end) is not None),
        float(any(found in FIRMS for found in follow)),
        float(previous.lower() in WHERE),
        float("-" in (before, after)),
        float(word[0].isupper() and _PEOPLES.fullmatch(word) is not None),
    )


def _clipped(text: str, start: int, end: int) -> bool:
    """The s of `it's`, the C of `C'mon`: what an apostrophe parts from a word."""
    if text[start - 1 : start] in ("'", "’") and start > 1 and text[start - 2].isalpha() and end - start <= 2:
        return True
    return end - start == 1 and text[end : end + 1] in ("'", "’") and text[end + 1 : end + 2].islower()


def _first(text: str, start: int) -> bool:
    """Whether a sentence, a line or a quotation begins here."""
    place = start
    while place > 0 and start - place < 8 and text[place - 1] in " \t>?\"'“”‘•*-#|":
        place -= 1
    return place == 0 or text[place - 1] in ".!?:\n"


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))
