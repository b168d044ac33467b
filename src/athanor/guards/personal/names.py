"""Names, streets and places: what a tagger says of each word, weighed with what it cannot see.

The model reads lower-case letters only, and knows little of names that are rare. What capitals, titles, neighbours and
other mentions in the same text say is added by a logistic regression of a dozen features, fitted by `bench/privacy.py
--fit`. Everything else is by threshold of the model's own probabilities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from athanor.guards.personal.base import Span, words
from athanor.types import Tagging

# Places of labels in a tagging: those of the catalogue's `rampart-q4`.
_GIVEN, _SURNAME, _PHONE, _PASSPORT, _LICENCE = 0, 1, 3, 9, 10
_STREET = (11, 12, 13)
_PLACE = (14, 15, 16)

TITLES = frozenset(
    ["mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "madam", "lady", "lord", "herr", "frau", "mme", "mlle", "monsieur", "madame", "sr", "sra", "srta", "señor", "señora", "dr.", "signor", "signora", "don", "doña", "dott", "rev", "reverend", "captain", "capt", "sgt", "sergeant", "colonel", "col", "general", "gen", "lieutenant", "lt", "judge", "president", "senator", "minister", "uncle", "aunt", "king", "queen", "prince", "princess", "pan", "pani", "hr", "fru", "dhr", "mevr"]
)
_COMMON = frozenset(
    ["i", "a", "an", "the", "this", "that", "these", "those", "it", "its", "he", "she", "they", "we", "you", "my", "your", "his", "her", "our", "their", "is", "are", "was", "were", "be", "been", "do", "does", "did", "have", "has", "had", "will", "would", "can", "could", "should", "may", "might", "must", "not", "no", "yes", "and", "or", "but", "if", "then", "so", "because", "as", "at", "by", "for", "from", "in", "into", "of", "on", "onto", "to", "up", "with", "without", "about", "after", "before", "over", "under", "what", "who", "whom", "whose", "which", "when", "where", "why", "how", "all", "any", "each", "every", "some", "most", "more", "many", "much", "there", "here", "also", "just", "only", "very", "too", "than", "please", "thank", "thanks", "hello", "hi", "hey", "dear", "sincerely", "regards", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december", "let", "me", "us", "am", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
)
_NEAR = re.compile(r"[ .'’\-]{1,2}")
_JOIN = re.compile(r"\.? {0,2}|[.'’\-]|\. ?\n?")
_CALLED = words(
    "my name is", "name is", "i am called", "call me", "calls me", "calling me", "named", "i'm called", "called", "this is",
    "mein name ist", "ich heiße", "je m'appelle", "me llamo", "mi nombre es", "mi chiamo", "ik heet", "meu nome é",
)  # fmt: skip

FEATURES = (
    "bias", "own", "title case", "upper case", "lower case", "first and title case", "address", "other mention",
    "after title", "common", "first", "one letter", "after capital", "after article", "is title", "called",
)  # fmt: skip
WEIGHTS: tuple[float, ...] = (0.0,) * len(FEATURES)
"""Fitted; the last step of the bias makes .5 the point at which the guard works (see `design/guards.md`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word with letters, and what is known of it."""

    place: int
    """In the tagging."""
    features: tuple[float, ...]


def worth_reading(text: str) -> bool:
    """Whether a text can hold a name or an address at all: any letter will do, for names are written small too."""
    return any(char.isalpha() for char in text)


def read(text: str, tagging: Tagging) -> Iterator[Word]:
    """The words of a text with their features, in order."""
    written = [text[start:end] for start, end in tagging.words]
    best: dict[str, list[float]] = {}
    for word, scores in zip(written, tagging.scores, strict=True):
        best.setdefault(word.lower(), []).append(scores[_GIVEN] + scores[_SURNAME])
    before: int | None = None
    for place, (word, scores) in enumerate(zip(written, tagging.scores, strict=True)):
        if not word[0].isalpha():
            continue
        start = tagging.words[place][0]
        near = before is not None and _NEAR.fullmatch(text, tagging.words[before][1], start) is not None
        previous = written[before] if near and before is not None else ""
        yield Word(place=place, features=_features(text, start, word, previous, scores, best[word.lower()]))
        before = place


def _features(
    text: str, start: int, word: str, previous: str, scores: Sequence[float], mentions: Sequence[float]
) -> tuple[float, ...]:
    lower = word.lower()
    own = _logit(scores[_GIVEN] + scores[_SURNAME])
    upper = len(word) > 1 and word.isupper()
    titled = word[0].isupper() and not upper
    first = _first(text, start)
    before = previous.lower()
    other = _logit(max(mentions)) - own if len(mentions) > 1 and max(mentions) > 0 else 0.0
    return (
        1.0,
        own,
        float(titled),
        float(upper),
        float(word.islower()),
        float(titled and first),
        _logit(sum(scores[label] for label in (11, 12, 14, 15))),
        other,
        float(before in TITLES),
        float(lower in _COMMON),
        float(first),
        float(len(word) == 1),
        float(bool(previous) and previous[0].isupper() and before not in _COMMON and before not in TITLES),
        float(before in {"the", "a", "an"}),
        float(lower in TITLES),
        float(_CALLED.search(text, max(0, start - 16), start) is not None and text[start - 1 : start].isspace()),
    )


def _first(text: str, start: int) -> bool:
    """Whether a sentence, a line or a quotation begins here."""
    place = start
    while place > 0 and start - place < 8 and text[place - 1] in " \t>?\"'“”‘•*-#|":
        place -= 1
    return place == 0 or text[place - 1] in ".!?:\n"


def _logit(probability: float) -> float:
    return math.log(min(max(probability, 1e-4), 1 - 1e-4) / (1 - min(max(probability, 1e-4), 1 - 1e-4)))


def likely(features: Sequence[float], weights: Sequence[float] = WEIGHTS) -> float:
    """From the features of a word to its score as part of a person's name."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, sum(f * w for f, w in zip(features, weights, strict=True))))))


def named_by(
    text: str, tagging: Tagging, known: Iterable[Span] = (), *, weights: Sequence[float] = WEIGHTS, least: float = 0.5
) -> list[Span]:
    """People, streets, places and numbers that the model names.

    Args:
        known: what has a form of its own; inside it no name is looked for.
        weights: of `FEATURES`.
        least: score from which a word is part of a name.
    """
    held = sorted((s.start, s.end) for s in known if s.score >= 0.5 and s.category not in {"pii.street", "pii.place"})
    people = {word.place: score for word in read(text, tagging) if (score := likely(word.features, weights)) >= least}
    people = {place: score for place, score in people.items() if not _inside(tagging.words[place], held)}
    spans = [*_people(text, tagging, people)]
    for category, labels, limit, reason in (
        ("pii.street", _STREET, 0.35, "a street address, by the model"),
        ("pii.place", _PLACE, 0.5, "a place, by the model"),
        ("pii.phone", (_PHONE,), 0.6, "a telephone number, by the model"),
        ("pii.passport", (_PASSPORT,), 0.6, "a passport's number, by the model"),
        ("pii.licence", (_LICENCE,), 0.8, "a driving licence's number, by the model"),
    ):
        found = {
            place: total
            for place, scores in enumerate(tagging.scores)
            if place not in people and (total := sum(scores[label] for label in labels)) >= limit
        }
        digits = category not in {"pii.street", "pii.place"}
        spans += _runs(text, tagging, found, category, reason, digits=digits)
    return spans


def _inside(word: tuple[int, int], held: Sequence[tuple[int, int]]) -> bool:
    return any(start < word[1] and word[0] < end for start, end in held)


def _people(text: str, tagging: Tagging, people: Mapping[int, float]) -> Iterator[Span]:
    """Runs of words that are names, with the initials and particles between them."""
    run: list[int] = []
    for place in sorted(people):
        if run and not _joins(text, tagging, run[-1], place):
            yield _person(text, tagging, run, people)
            run = []
        run.append(place)
    if run:
        yield _person(text, tagging, run, people)


_PARTICLES = frozenset(["van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "du", "la", "le", "el", "al", "bin", "ibn", "ben", "ter", "ten", "zu", "af", "av", "y", "e"])


def _joins(text: str, tagging: Tagging, last: int, place: int) -> bool:
    """Whether two words of names are parts of one: side by side, or parted by initials and particles alone."""
    between = [text[slice(*tagging.words[at])] for at in range(last + 1, place)]
    gap = text[tagging.words[last][1] : tagging.words[place][0]]
    if len(gap) > 24 or "\n" in gap.strip(" ") or len(between) > 6:
        return False
    return all(w in ".'’-" or (len(w) == 1 and w.isupper()) or w.lower() in _PARTICLES for w in between)


def _person(text: str, tagging: Tagging, run: Sequence[int], people: Mapping[int, float]) -> Span:
    start, end = tagging.words[run[0]][0], tagging.words[run[-1]][1]
    # The rest of a word that the model's tokeniser cut at a hyphen or an apostrophe.
    while start > 1 and text[start - 1] in "'’-" and text[start - 2].isalpha() and text[start].isupper():
        start -= 1
        while start > 0 and text[start - 1].isalpha():
            start -= 1
    while end + 1 < len(text) and text[end] in "'’-" and text[end + 1].isupper():
        end += 1
        while end < len(text) and text[end].isalpha():
            end += 1
    return Span(
        category="pii.person", start=start, end=end, score=round(max(people[at] for at in run), 3),
        reason="a person's name, by the model",
    )  # fmt: skip


def _runs(
    text: str, tagging: Tagging, found: Mapping[int, float], category: str, reason: str, *, digits: bool
) -> Iterator[Span]:
    """Words of one kind that stand side by side."""
    run: list[int] = []
    for place in [*sorted(found), -1]:
        if run and (place < 0 or not _beside(text, tagging, run[-1], place)):
            start, end = tagging.words[run[0]][0], tagging.words[run[-1]][1]
            while end > start and not text[end - 1].isalnum():
                end -= 1
            while start < end and not text[start].isalnum():
                start += 1
            if start < end and (not digits or sum(char.isdigit() for char in text[start:end]) >= 5):
                score = round(min(1.0, 0.15 + max(found[at] for at in run)), 3)
                yield Span(category=category, start=start, end=end, score=score, reason=reason)
            run = []
        run.append(place)


def _beside(text: str, tagging: Tagging, last: int, place: int) -> bool:
    gap = text[tagging.words[last][1] : tagging.words[place][0]]
    return len(gap) <= 4 and all(char in " ,.-/'’\n()#" for char in gap)
