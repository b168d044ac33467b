"""Sources that do not agree: two sentences that say nearly the same, and differ in a number, date, name or denial.

Only what can be shown word by word counts. A false alarm costs trust in all of them, so whatever may explain a
difference (another year, another unit, another thing that it is said of, a bound on one side) ends the comparison.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from athanor.rag.facts import denials, denied, plain_numbers
from athanor.rag.ground import common
from athanor.rag.lexical import STOPWORDS, content_stems, fold
from athanor.rag.passages import Sentence, cite, sentences_of
from athanor.rag.stem import stem
from athanor.types import Citation, Conflict, Hit

MAX_CONFLICTS = 3
MIN_SHARED = 3
"""Content words, numbers aside, that two sentences must have in common; one less where a word says that only one can
be right."""
MAX_CHARS = 400
ROUGH = 0.2
"""Relative difference from which numbers disagree although one of them is said to be about right."""


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_STOP = frozenset(stem(fold(word)) for word in STOPWORDS)
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:['’]t\b)?")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
_PRONOUN = re.compile(
    r"\W*(?:it|he|she|they|this|these|those|that|we|you|i|its|his|her|their|our|both|some|many)\b", re.I
)
_MONTHS = _stems(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec"
)
_LIGHT = _stems(
    "be is are was were entitled receive receives get gets have has had amount amounts total totals last lasts take "
    "takes cost costs provide provides offer offers include includes grant granted give gives given per each every "
    "currently now also today set fixed allowed may can must will year annually stands exactly only located situated"
)
"""May be there or not without changing what a sentence is about."""
_ROUGHLY = _stems("about around approximately roughly nearly almost some circa estimated")
_BOUNDS = _stems("more over above exceeding least up under below less fewer most maximum minimum between")
_ONCE = _stems(
    "opened founded born died built established completed signed introduced launched expires expired ended ends due "
    "abolished began begins started starts deadline published released invented discovered married effective closed "
    "completed inaugurated formed created"
)
"""Happens to a thing once, so that two dates for it cannot both be right."""
_ONE_VALUED = _stems(
    "capital ceo president director founder owner author inventor invented designed written wrote headquarters "
    "headquartered born manager chair chairman responsible owned founded discovered directed painted composed mayor "
    "architect engineer"
)
_BEFORE_YEARS = frozenset({*"in since until by of from before after during and to till".split(), stem("year")})  # noqa: SIM905
_NOT = _stems("not no never none nor neither without cannot don doesn didn isn aren wasn weren won t")
_LABELS = _stems(
    "room version section chapter page step figure table article line gate platform flight no number route grade level "
    "phase type class model building channel group season episode part unit error code item day week month quarter "
    "stage round question appendix annex option plan tier floor"
)
"""A number after one of these names a thing and is no property of it."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A source sentence, taken apart."""

    words: tuple[str, ...]
    stems: tuple[str, ...]
    spots: tuple[int, ...]
    """Places of the words in `text`."""
    text: str

    def content(self) -> frozenset[str]:
        """Stems that say what the sentence is about: no numbers, months or light words."""
        return frozenset(s for s in self.stems if not _plain(s) and s not in _MONTHS)

    def years(self) -> frozenset[str]:
        return frozenset(self.words[at] for at in range(len(self.words)) if self.is_year(at))

    def is_year(self, at: int) -> bool:
        """`1500` may count people, too: a year stands after a word like `in`, or a month."""
        before = self.stems[at - 1] if at else ""
        told = before in _BEFORE_YEARS or before in _MONTHS or self.text[self.spots[at] - 1 : self.spots[at]] == "("
        return bool(_YEAR.fullmatch(self.words[at])) and told


def _plain(word: str) -> bool:
    return word in _STOP or word in _LIGHT or word[0].isdigit()


def _claim(text: str) -> _Claim:
    text = plain_numbers(text)
    found = list(_TOKEN.finditer(text))
    return _Claim(
        words=tuple(match[0] for match in found),
        stems=tuple(stem(fold(match[0])) for match in found),
        spots=tuple(match.start() for match in found),
        text=text,
    )


def difference(one: str, other: str) -> str | None:
    """What two sentences on the same thing disagree in (`1,200 against 1,500`), or `None` if they do not surely."""
    if _PRONOUN.match(one) or _PRONOUN.match(other) or one.rstrip().endswith("?") or other.rstrip().endswith("?"):
        return None
    first, second = _claim(one), _claim(other)
    told = (_ONCE | _ONE_VALUED) & frozenset(first.stems) & frozenset(second.stems)
    if len(first.content() & second.content()) < MIN_SHARED - bool(told):
        return None
    gaps = _gaps(first, second)
    if not gaps:
        return _denial(one, other, first, second)
    if len(gaps) > 1 or bool(denials(one)) != bool(denials(other)):
        return None
    ((left, right),) = gaps
    return _number(first, second, left, right) or _name(first, second, left, right)


def _gaps(first: _Claim, second: _Claim) -> list[tuple[list[int], list[int]]]:
    """Where the sentences differ in more than light words: places in the one and in the other."""
    ends = [(-1, -1), *common(first.stems, second.stems), (len(first.stems), len(second.stems))]
    found = []
    for (i, j), (k, m) in pairwise(ends):
        left = [at for at in range(i + 1, k) if not _light(first, at)]
        right = [at for at in range(j + 1, m) if not _light(second, at)]
        if left or right:
            found.append((left, right))
    return found


def _light(claim: _Claim, at: int) -> bool:
    word = claim.stems[at]
    return (word in _STOP or word in _LIGHT or word in _NOT) and word not in _BOUNDS


def _number(first: _Claim, second: _Claim, left: list[int], right: list[int]) -> str | None:
    if len(left) != 1 or len(right) != 1:
        return None
    (i,), (j,) = left, right
    one, two = first.words[i], second.words[j]
    if one.lower() != two.lower() and {first.stems[i], second.stems[j]} <= _MONTHS:
        return _dated(first, f"{one} against {two}")
    if not one[0].isdigit() or not two[0].isdigit() or float(one) == float(two):
        return None
    if _label(first, i) or _label(second, j) or _unit(first, i) != _unit(second, j):
        return None
    return _years(first, i, one, two) if first.is_year(i) and second.is_year(j) else _count(first, second, i, j)


def _years(claim: _Claim, at: int, one: str, two: str) -> str | None:
    """With other numbers, or at the head of the sentence, a year says when the rest is true."""
    others = [word for word in claim.words if word[0].isdigit() and word != one]
    return None if others or at < 2 else _dated(claim, f"{one} against {two}")


def _count(first: _Claim, second: _Claim, i: int, j: int) -> str | None:
    if first.is_year(i) or second.is_year(j) or first.years() != second.years():
        return None
    one, two = first.words[i], second.words[j]
    near = {word for claim, at in ((first, i), (second, j)) for word in claim.stems[max(0, at - 3) : at]}
    about_right = abs(float(one) - float(two)) <= ROUGH * max(float(one), float(two))
    if near & _BOUNDS or (near & _ROUGHLY and about_right):
        return None
    shown = f"{_shown(one)} against {_shown(two)}"
    beside = {first.stems[at] for at in (i - 1, i + 1) if 0 <= at < len(first.stems)}
    return _dated(first, shown) if beside & _MONTHS else shown


def _dated(claim: _Claim, reason: str) -> str | None:
    return reason if _ONCE & frozenset(claim.stems) else None


def _label(claim: _Claim, at: int) -> bool:
    """Does the number name a thing: `Room 12`, `Windows 11`."""
    before = at - 1
    if before < 0 or claim.stems[before] in _MONTHS:
        return False
    return claim.stems[before] in _LABELS or (before > 0 and claim.words[before][0].isupper())


def _unit(claim: _Claim, at: int) -> tuple[str, str, str]:
    """What is counted: the sign before the number, the sign after it, and the next word."""
    start = claim.spots[at]
    end = start + len(claim.words[at])
    after = claim.stems[at + 1] if at + 1 < len(claim.stems) else ""
    before = claim.text[start - 1 : start].strip(" (\n\t")
    sign = claim.text[end : end + 1]
    return before, sign if sign in "%€$£°" else "", "" if after in _STOP or after in _LIGHT else after


def _shown(number: str) -> str:
    whole, point, rest = number.partition(".")
    return f"{int(whole):,}{point}{rest}" if len(whole) > 4 else number


def _name(first: _Claim, second: _Claim, left: list[int], right: list[int]) -> str | None:
    """Another name for what can have only one: the capital, the author."""
    if not left or not right or max(len(left), len(right)) > 3 or first.years() != second.years():
        return None
    if not all(_proper(first, at) for at in left) or not all(_proper(second, at) for at in right):
        return None
    places = [at for at, word in enumerate(first.stems) if word in _ONE_VALUED]
    if not any(at == 0 or first.words[at - 1].lower() not in {"a", "an", "another"} for at in places):
        return None
    names = [" ".join(claim.words[at] for at in spots) for claim, spots in ((first, left), (second, right))]
    whole = [name.lower().split() for name in names]
    if set(whole[0]) & set(whole[1]):
        return None  # "R. Freeman", "Ralph Freeman"
    return f"{names[0]} against {names[1]}"


def _proper(claim: _Claim, at: int) -> bool:
    return claim.words[at][0].isupper()


def _denial(one: str, other: str, first: _Claim, second: _Claim) -> str | None:
    if bool(denials(one)) == bool(denials(other)) or first.years() != second.years():
        return None
    about = (denied(one) ^ denied(other)) & frozenset(first.stems) & frozenset(second.stems)
    if not about:
        return None
    word = next(word for word, key in zip(first.words, first.stems, strict=True) if key in about)
    return f"one of them denies “{word}”"


def conflicts(cited: Iterable[Citation], hits: Sequence[Hit]) -> tuple[Conflict, ...]:
    """Disagreements of `cited` sentences with sentences of other places in `hits`; at most `MAX_CONFLICTS`."""
    sentences = [s for s in sentences_of(hits) if s.kind != "heading" and len(s.text) <= MAX_CHARS]
    titles = {hit.chunk.document: hit.title for hit in hits}
    found: list[Conflict] = []
    seen: set[frozenset[tuple[str, int]]] = set()
    for citation in cited:
        about = frozenset(content_stems(citation.quote))
        for sentence in sentences:
            chunk = hits[sentence.passage].chunk
            pair = frozenset({(citation.document, citation.start), (chunk.document, chunk.start + sentence.start)})
            if len(pair) < 2 or pair in seen or len(about.intersection(content_stems(sentence.text))) < MIN_SHARED:
                continue
            seen.add(pair)
            reason = difference(citation.quote, sentence.text)
            if reason is None or not _same_subject(titles.get(citation.document, citation.title), hits, sentence):
                continue
            second = cite(hits[sentence.passage], sentence, citation.score)
            found.append(Conflict(first=citation, second=second, reason=reason))
            if len(found) == MAX_CONFLICTS:
                return tuple(found)
    return tuple(found)


def _same_subject(title: str, hits: Sequence[Hit], sentence: Sentence) -> bool:
    """May both speak of the same thing: not where each title names something that neither the other title nor the
    sentence does. Editions of one document differ in numbers only."""
    ours = frozenset(w for w in content_stems(title) if not w[0].isdigit()) - _EDITIONS
    theirs = frozenset(w for w in content_stems(hits[sentence.passage].title) if not w[0].isdigit()) - _EDITIONS
    said = frozenset(content_stems(sentence.text))
    return not ((ours - theirs - said) and (theirs - ours - said))


_EDITIONS = _stems("version draft final copy edition revision rev old new update updated v txt md pdf docx html")
