"""A text as detectors should read it, with the way back to the text as it was given.

What hides words from a detector and not from a model is undone here, once for all guards: compatibility forms,
characters that nobody sees, letters of another script that look the same, and one level of encoding (`decode`). Every
step is linear in the length of the text, and plain ASCII takes none of them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from athanor.guards._confusables import EMBLEMS, FOREIGN, LATIN
from athanor.guards.decode import decoded
from athanor.guards.subject import Subject

LONG = 200_000
"""Characters above which a text is `long`: some 50,000 tokens."""
BLOB = 512
"""Characters without a space, from which a run is measured for entropy."""
BITS = 4.8
"""Bits a character above which such a run is noise: base64 of compressed data has 6, the longest words 4.2."""

_CONTROL = "\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\x80-\x84\x86-\x9f"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_TAGS = "\U000e0000-\U000e007f"
_SELECTORS = "\u180b-\u180d\ufe00-\ufe0f\U000e0100-\U000e01ef"
_ZERO_WIDTH = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f"
    "\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
)
_UNSEEN = f"{_CONTROL}{_BIDI}{_TAGS}{_SELECTORS}{_ZERO_WIDTH}"

_ASCII_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_GONE = re.compile(f"[{_UNSEEN}]+")
_BIDI_ONE = re.compile(f"[{_BIDI}]")
_OVERRIDE = re.compile("[\u202d\u202e]")
_TAG_ONE = re.compile(f"[{_TAGS}]")
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
_INSIDE_WORD = re.compile(
    f"(?<=[A-Za-z])[{_CONTROL}\\u034f\\u180e\\u200b-\\u200d\\u2060-\\u2064\\u2800\\u3164\\ufeff]+(?=[A-Za-z])"
)
_UNSEEN_RUN = re.compile(f"[{_SELECTORS}]{{3}}|[\u200b-\u200d\u2060-\u2064\ufeff]{{8}}")
"""No emoji needs as many: something is spelled with them."""
_MARKS = re.compile("(?<=[A-Za-z])[\u0300-\u036f]+")
_LOOKALIKE = frozenset(map(chr, (*FOREIGN, *LATIN, *EMBLEMS)))
_PLAIN_LATIN = {**LATIN, **EMBLEMS}
_JOINS = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7fb\uff9e-\uffdc]")
"""Letters of Hangul, which make syllables together, and the sound marks of half-wide kana."""
_WORD = re.compile(r"[^\W\d_]+")
_NOT_LATIN = re.compile(r"[^\W\d_a-zA-Z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff]")
_RUN = re.compile(rf"[\x21-\x7e]{{{BLOB},}}")


def subject_of(text: str) -> Subject:
    """Prepare `text` for guards; it is itself never changed."""
    odd: set[str] = set()
    if len(text) > LONG:
        odd.add("long")
    if any(_noise(run[0]) for run in _RUN.finditer(text)):
        odd.add("entropy")
    plain, offsets = text, None
    if text.isascii():
        if _ASCII_CONTROL.search(text):
            plain, offsets = _without_unseen(text, odd)
    else:
        plain, offsets = _folded(text, odd)
    places: Sequence[int] = range(len(text) + 1) if offsets is None else offsets
    return Subject(text=text, plain=plain, offsets=places, decoded=decoded(text, plain, places), odd=tuple(sorted(odd)))


def _noise(run: str) -> bool:
    total = len(run)
    return -sum(n / total * math.log2(n / total) for n in Counter(run).values()) > BITS


def _folded(text: str, odd: set[str]) -> tuple[str, array[int] | None]:
    """All steps for a text that is not ASCII."""
    plain, offsets = (text, None) if _GONE.search(text) is None else _without_unseen(text, odd)
    for step in (_composed, _without_marks):
        plain, offsets = _chained(step, plain, offsets)
    if not _LOOKALIKE.isdisjoint(plain):
        plain = _latin(plain, odd)
    return plain, offsets


def _chained(
    step: Callable[[str], tuple[str, array[int] | None]], text: str, offsets: array[int] | None
) -> tuple[str, array[int] | None]:
    after, own = step(text)
    if own is None or offsets is None:
        return after, offsets if own is None else own
    return after, array("L", (offsets[place] for place in own))


def _without_unseen(text: str, odd: set[str]) -> tuple[str, array[int]]:
    """Characters that nobody sees taken out. Honest uses are taken out too, and are not called odd: emoji and their
    selectors, joiners of Persian and Indic words, soft hyphens, direction marks around a Hebrew name."""
    if _OVERRIDE.search(text) or len(_BIDI_ONE.findall(text)) > max(8, len(text) // 20):
        odd.add("bidi")
    if _TAG_ONE.search(text) and _TAG_ONE.search(_FLAG.sub("", text)):
        odd.add("tags")
    if _INSIDE_WORD.search(text) or _UNSEEN_RUN.search(text):
        odd.add("invisible")
    return _cut(text, _GONE)


def _cut(text: str, pattern: re.Pattern[str]) -> tuple[str, array[int]]:
    kept: list[str] = []
    offsets = array("L")
    at = 0
    for match in pattern.finditer(text):
        kept.append(text[at : match.start()])
        offsets.extend(range(at, match.start()))
        at = match.end()
    kept.append(text[at:])
    offsets.extend(range(at, len(text) + 1))
    return "".join(kept), offsets


def _without_marks(text: str) -> tuple[str, array[int] | None]:
    """Marks that NFKC could not compose with a Latin letter taken out: strokes through it, towers of accents."""
    return _cut(text, _MARKS) if _MARKS.search(text) else (text, None)


def _composed(text: str) -> tuple[str, array[int] | None]:
    """NFKC. A character that becomes several leaves them all at its place."""
    if unicodedata.is_normalized("NFKC", text):
        return text, None
    pieces: list[str] = []
    offsets = array("L")
    for start, cluster in _clusters(text):
        piece = unicodedata.normalize("NFKC", cluster)
        pieces.append(piece)
        offsets.extend(range(start, start + len(piece)) if piece == cluster else [start] * len(piece))
    offsets.append(len(text))
    return "".join(pieces), offsets


def _clusters(text: str) -> Iterator[tuple[int, str]]:
    """Pieces that normalise on their own: runs of what is already normal, and single characters with their marks."""
    normalised, combining, category = unicodedata.is_normalized, unicodedata.combining, unicodedata.category
    start = 0
    for run in re.finditer(r"[\x00-\x7f]?[^\x00-\x7f]+", text):
        if normalised("NFKC", run[0]):
            continue
        # The ASCII before it stays one piece; a letter right before a mark belongs to the mark.
        if run.start() > start:
            yield start, text[start : run.start()]
        start = run.start()
        for place in range(run.start() + 1, run.end()):
            char = text[place]
            if not (combining(char) or category(char)[0] == "M" or _JOINS.match(char)):
                yield start, text[start:place]
                start = place
        yield start, text[start : run.end()]
        start = run.end()
    if start < len(text):
        yield start, text[start:]


def _latin(text: str, odd: set[str]) -> str:
    """Letters that look Latin made Latin, one for one, so that no place moves.

    A letter of another script is folded only in a word that has Latin letters too, or whose letters are all such where
    nothing else in the text needs its script: honest Russian, Greek or Armenian stays as it is.
    """
    text = text.translate(_PLAIN_LATIN)
    if _LOOKALIKE.isdisjoint(text):
        return text
    suspects: list[tuple[int, int, bool]] = []
    honest = False
    for word in _WORD.finditer(text):
        other = _NOT_LATIN.search(word[0])
        if other is None:
            continue
        mixed = any(char.isascii() for char in word[0])
        if mixed or all(ord(char) in FOREIGN for char in word[0]):
            suspects.append((*word.span(), mixed))
        else:
            honest = True
    pieces: list[str] = []
    at = 0
    for start, end, mixed in suspects:
        if mixed or not honest:
            word_text = text[start:end]
            if _disguised(word_text):
                odd.add("confusable")
            pieces += (text[at:start], word_text.translate(FOREIGN))
            at = end
    return "".join((*pieces, text[at:]))


def _disguised(word: str) -> bool:
    """Not just a symbol of science at the end of a name, as in TNFα."""
    foreign = [place for place, char in enumerate(word) if ord(char) in FOREIGN]
    return len(word) > 3 and (len(foreign) > 1 or (bool(foreign) and 0 < foreign[0] < len(word) - 1))


def place_in_plain(subject: Subject, place: int) -> int:
    """The first character of `plain` that comes from `place` of the text or after it."""
    return bisect_right(subject.offsets, place - 1) if place else 0
