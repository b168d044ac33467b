"""Names, streets and places: what a tagger says of each word, weighed with what it cannot see.

The model reads lower-case letters only, and knows little of names that are rare. What capitals, titles, neighbours and
other mentions in the same text say is added by a logistic regression (`features`), fitted by `bench/privacy.py --fit`.
Everything else is by threshold of the model's own probabilities.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from athanor.guards.personal.base import Span
from athanor.guards.personal.features import CALLED, read
from athanor.guards.personal.lexicon import COMMON, PARTICLES
from athanor.types import Tagging

# Places of labels in a tagging: those of the catalogue's `rampart-q4`.
_PHONE, _PASSPORT, _LICENCE = 3, 9, 10
_STREET = (11, 12, 13)
_PLACE = (14, 15, 16)
_AFTER = re.compile(r",? (?:Jr|Sr|II|III|IV|MD|PhD|DDS|DVM|Esq|CPA|RN)\b\.?")
"""What goes with a name and is written after it."""

WEIGHTS = (
    -0.39,
    0.738,
    1.781,
    -1.267,
    -2.0,
    -0.317,
    -0.16,
    1.868,
    -0.296,
    -3.143,
    0.472,
    2.563,
    0.639,
    1.372,
    -0.772,
    1.671,
    -1.668,
    -0.191,
    -1.219,
    -2.933,
    -0.847,
)
"""Of `features.FEATURES`. The bias is moved so that .5 is the point at which the guard works (design/guards.md)."""
LONG = 8_000
"""Characters up to which all of a text is read by the model."""
_TOGETHER = 800
_SENTENCE = re.compile(r"[.!?]\s+|\n+")
_CAPITAL = re.compile(r"[^\W\d_a-z][\w'’-]*")
LOOSE = 0.4
"""Share of `least` that is enough for a word with a capital right beside one that is a name."""


def worth_reading(text: str) -> bool:
    """Whether a text can hold a name or an address at all: any letter will do, for names are written small too."""
    return any(char.isalpha() for char in text)


def worth_tagging(text: str) -> list[tuple[int, int]]:
    """What of a text the model should read: all of a short one; of one over `LONG` characters the sentences with a
    digit, a capital that is no common word's at their beginning, or words such as `my name is`.

    A model reads some 2,000 words a second on one core. A long text whose names are all written small is the price.
    """
    if len(text) <= LONG:
        return [(0, len(text))] if worth_reading(text) else []
    kept: list[tuple[int, int]] = []
    start = 0
    for end in (*(match.end() for match in _SENTENCE.finditer(text)), len(text)):
        if end > start and _may_name(text[start:end]):
            if kept and kept[-1][1] == start and end - kept[-1][0] <= _TOGETHER:
                kept[-1] = kept[-1][0], end
            else:
                kept.append((start, end))
        start = end
    return kept


def _may_name(sentence: str) -> bool:
    if any(char.isdigit() for char in sentence) or CALLED.search(sentence):
        return True
    return any(word.lower() not in COMMON for word in _CAPITAL.findall(sentence))


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
    # A postcode or a town may be part of a name as well; in a web address nothing is one.
    held = [
        (s.start, s.end) for s in known if s.category == "pii.url" or (s.score >= 0.5 and s.category != "pii.place")
    ]
    scored = {word.place: likely(word.features, weights) for word in read(text, tagging)}
    taken = set(_touched(tagging, held))
    scored = {place: score for place, score in scored.items() if place not in taken}
    people = _grown(text, tagging, scored, least)
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
            if place not in people and place not in taken and (total := sum(scores[label] for label in labels)) >= limit
        }
        digits = category not in {"pii.street", "pii.place"}
        spans += _runs(text, tagging, found, category, reason, digits=digits)
    return spans


def _touched(tagging: Tagging, held: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Words that one of `held` covers."""
    starts = [start for start, _ in tagging.words]
    for start, end in held:
        place = max(0, bisect_right(starts, start) - 1)
        while place < len(starts) and starts[place] < end:
            if tagging.words[place][1] > start:
                yield place
            place += 1


def _grown(text: str, tagging: Tagging, scored: Mapping[int, float], least: float) -> dict[int, float]:
    """Words that are names, and likely ones with a capital right beside them."""
    people = {place: score for place, score in scored.items() if score >= least}
    for order, step in ((sorted(scored), -1), (sorted(scored, reverse=True), 1)):
        for place in order:
            word = text[slice(*tagging.words[place])]
            if place in people or scored[place] < least * LOOSE or not word[0].isupper() or word.lower() in COMMON:
                continue
            beside = next((at for at in (place + step, place + 2 * step) if at in people), None)
            if beside is not None and _joins(text, tagging, min(place, beside), max(place, beside)):
                people[place] = scored[place]
    return people


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


def _joins(text: str, tagging: Tagging, last: int, place: int) -> bool:
    """Whether two words of names are parts of one: side by side, or parted by initials and particles alone."""
    between = [text[slice(*tagging.words[at])] for at in range(last + 1, place)]
    gap = text[tagging.words[last][1] : tagging.words[place][0]]
    if len(gap) > 24 or "\n" in gap.strip(" ") or len(between) > 6:
        return False
    return all(w in ".'’-" or (len(w) == 1 and w.isupper()) or w.lower() in PARTICLES for w in between)


def _person(text: str, tagging: Tagging, run: Sequence[int], people: Mapping[int, float]) -> Span:
    start, end = tagging.words[run[0]][0], tagging.words[run[-1]][1]
    # The rest of a word that the model's tokeniser cut at a hyphen or an apostrophe.
    if start > 1 and text[start - 1] in "'’-" and text[start].isupper():
        left = start - 1
        while left > 0 and text[left - 1].isalpha():
            left -= 1
        start = left if text[left].isupper() else start
    while end + 1 < len(text) and _goes_on(text, end):
        end += 1
        while end < len(text) and text[end].isalpha():
            end += 1
    after = _AFTER.match(text, end)
    end = after.end() if after else end
    return Span(
        category="pii.person", start=start, end=end, score=round(max(people[at] for at in run), 3),
        reason="a person's name, by the model",
    )  # fmt: skip


def _goes_on(text: str, end: int) -> bool:
    """Whether a hyphen, or an apostrophe and a capital, go on with the name."""
    return text[end + 1].isalpha() and (text[end] == "-" or (text[end] in "'’" and text[end + 1].isupper()))


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
