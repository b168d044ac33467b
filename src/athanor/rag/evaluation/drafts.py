"""Questions from passages without a model: rules that ask for what one sentence says, in other and fewer words.

A copy of a sentence would measure nothing: words find words. So a draft keeps some content words of its sentence, never
the ones that answer it, and says some of them with another word of the base that means nearly the same (see
`neighbours.py`). Sentence rules know English; of other languages only the key terms of a passage are asked for.
`design/retrieval.md` has how far such questions are from those of people.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from athanor.rag.lexical import STOPWORDS, content_stems, fold, match_terms
from athanor.rag.sentences import split
from athanor.rag.stem import stem

LENGTH = (8, 45)
"""Words of a sentence that is asked about, at least and at most."""
KEPT = (3, 7)
"""Content words of a question, at least and at most."""
REPLACED = 0.8
"""Chance that a content word is said by another one, where there is one."""
_ENGLISH = 0.2
"""Share of English function words from which on a text is taken for English."""

Kind = Literal["definition", "gap", "terms"]
Rarity = Callable[[Sequence[str]], Mapping[str, float]]
"""Weight of words by how few passages hold them; 0 is a word that no second passage has."""
Other = Callable[[str], str | None]
"""Another word for one, which is no form of it."""

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_DEFINED = re.compile(
    r"(?:(?:The|A|An)\s+)?(?P<what>[^\W\d_][\w'’/-]*(?:\s(?:of|the|and|in|for)\b|\s[\w'’/-]+){0,4}?)"
    r"(?:\s\([^)]{1,40}\))?,?\s(?P<verb>is|are|was|were)\s(?:an?|the|one of|any|called|defined)\s"
)
_GAP = (
    ("when", re.compile(r"\b(?:1[0-9]|20)\d\d\b|\b\d{1,2}[:.]\d\d\b")),
    ("how much", re.compile(r"[$€£]\s?\d[\d.,]*|\b\d[\d.,]*\s?(?:%|percent\b|dollars\b|euros\b)")),
    ("how many", re.compile(r"\b\d[\d.,]*\b")),
    ("who or what", re.compile(r"(?<=[a-z,;] )[A-Z][\w'’-]+(?: (?:(?:of|the|de|van|von) )?[A-Z][\w'’-]+)*")),
)
_POINTS = frozenset("it its this that these those they them their he him his she her here such former latter".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A question made by a rule, before it is known whether it is a good one."""

    kind: Kind
    text: str
    answer: str
    """A verbatim piece of the passage, or empty."""


def drafts(
    passage: str,
    heading: str,
    *,
    rarity: Rarity,
    chance: random.Random,
    other: Other = lambda word: None,
) -> Iterator[Draft]:
    """Questions that `passage` answers, in an order that `chance` draws; each from another sentence.

    Args:
        heading: what stands over it, or its document's title; may be empty.
    """
    sentences = [passage[span.start : span.end] for span in split(passage) if span.kind == "prose"]
    usable = [one for one in sentences if _stands_alone(one)] if _english(passage) else []
    chance.shuffle(usable)
    for sentence in usable:
        made = _definition(sentence) or _gap(sentence, rarity, chance, other)
        if made is not None:
            yield made
    made = _terms(passage, heading, rarity, chance, other)
    if made is not None:
        yield made


def copied(question: str, passage: str, run: int = 5) -> bool:
    """Does `question` repeat `run` words of `passage` in a row, that are not all function words."""
    asked = [fold(word) for word in WORD.findall(question)]
    held = f" {' '.join(fold(word) for word in WORD.findall(passage))} "
    for at in range(len(asked) - run + 1):
        piece = asked[at : at + run]
        if any(word not in STOPWORDS for word in piece) and f" {' '.join(piece)} " in held:
            return True
    return False


def overlap(question: str, passage: str) -> float:
    """Share of the content words of `question` (as stems) that `passage` holds; 0 without any."""
    wanted = content_stems(question)
    held = set(content_stems(passage))
    return sum(word in held for word in wanted) / len(wanted) if wanted else 0.0


def _english(text: str) -> bool:
    found = [fold(word) for word in WORD.findall(text)]
    return bool(found) and sum(word in STOPWORDS for word in found) / len(found) >= _ENGLISH


def _stands_alone(sentence: str) -> bool:
    """Has it the length of a statement, and does it not begin by pointing at another."""
    found = WORD.findall(sentence)
    if not LENGTH[0] <= len(found) <= LENGTH[1] or sentence.rstrip().endswith("?"):
        return False
    return not any(fold(word) in _POINTS for word in found[:4])


def _definition(sentence: str) -> Draft | None:
    match = _DEFINED.match(sentence)
    if match is None:
        return None
    what = match["what"]
    words = match_terms(what)
    if not words or all(word in STOPWORDS for word in words) or len(content_stems(what)) < 2:
        return None  # a single word seldom says which of its meanings is asked for
    lowered = (
        what if what[0].isupper() and " " in what and what.split()[1][:1].isupper() else what[0].lower() + what[1:]
    )
    return Draft(
        kind="definition", text=f"What {match['verb']} {lowered}?", answer=sentence[match.end() :].rstrip(". ")
    )


def _gap(
    sentence: str,
    rarity: Rarity,
    chance: random.Random,
    other: Other,
) -> Draft | None:
    found = [(word, match) for word, pattern in _GAP if (match := pattern.search(sentence)) is not None]
    asks, answer = ("what about", "") if not found else (found[0][0], found[0][1][0].rstrip(".,"))
    removed = set(content_stems(answer))
    rest = [word for word in WORD.findall(sentence) if stem(fold(word)) not in removed]
    kept = _kept(rest, rarity, chance, other)
    if kept is None:
        return None
    return Draft(kind="gap", text=f"{asks} {' '.join(kept)}?".capitalize(), answer=answer)


def _terms(
    passage: str,
    heading: str,
    rarity: Rarity,
    chance: random.Random,
    other: Other,
) -> Draft | None:
    """The words of the heading, as far as there is one, and some of the passage."""
    named = match_terms(heading.rpartition(" > ")[2])[:4]
    weights = rarity(list(dict.fromkeys(fold(word) for word in WORD.findall(passage))))
    telling = sorted((word for word in weights if _content(word) and word not in named), key=lambda w: -weights[w])[:12]
    if len(telling) < 4:
        return None
    chosen = chance.sample(telling, 2 if named else 4)
    return Draft(kind="terms", text=" ".join([*named, *(_said(word, chance, other) for word in chosen)]), answer="")


def _kept(
    words: Sequence[str],
    rarity: Rarity,
    chance: random.Random,
    other: Other,
) -> list[str] | None:
    """Some content words of a sentence in their order, some of them said otherwise; `None` if there are too few."""
    content = list(dict.fromkeys(word for word in words if _content(fold(word))))
    weights = rarity([fold(word) for word in content])
    # A word that no other passage has is an answer by itself: people who look for something seldom know it.
    content = [word for word in content if weights.get(fold(word), 0.0) > 0]
    if len(content) < KEPT[0]:
        return None
    count = max(KEPT[0], min(KEPT[1], round(chance.uniform(0.4, 0.7) * len(content))))
    chosen = set(chance.sample(content, count))
    return [_said(word, chance, other) for word in content if word in chosen]


def _said(word: str, chance: random.Random, other: Other) -> str:
    return (other(fold(word)) if chance.random() < REPLACED else None) or word


def _content(word: str) -> bool:
    return word not in STOPWORDS and len(word) > 2 and not word.isdigit()
