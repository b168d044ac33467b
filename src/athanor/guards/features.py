"""What a text is to a classifier: windows over its sentences, and what is in each of them.

A text is read once into word and character runs (hashed; Weinberger et al., "Feature hashing for large scale multitask
learning", 2009) and into vectors of its words (`WordVectors`: the embedder's own table, reduced). A window is a
sentence, two that follow each other, or a block of eight; a long text has many, and costs no more than its length: what
a window has of a run is a difference of two running sums. `Reading.sums` gives a linear model's part of all windows at
once, and `Reading.rows` gives the same features one by one, for training.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from athanor.guards.subject import Subject
from athanor.plugins.arrays import np

BITS = 18
"""Runs are hashed to 2 to this many places."""
VECTOR = 32
"""Dimensions of a word's vector."""
_SHAPES = 8
DENSE = 3 * VECTOR + _SHAPES
"""Of a window: mean of its words' vectors, its first word's, its second word's, and its shape."""

LONG_SENTENCE = 40
"""Words after which a sentence is cut, so that no punctuation makes a whole page one window."""
_LEAST = 2
"""Words of letters in a sentence: fewer are a cell, an initial or a bullet."""
_BLOCK, _BLOCK_STEP = 8, 4
_CHARS = (3, 4)
"""Lengths of character runs."""

_WORD = re.compile(
    r"(?P<link>https?://\S+|www\.\S+)|(?P<mail>[\w.+-]+@[\w-]+\.[\w.-]+)|(?P<number>\d[\d.,:]*)"
    r"|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+(?:['’][^\W\d_]+)*"
    r"|[?!:\"\[\]{}<>#|*=`/\\$@%&-]"
)
_BREAK = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|[。！？]\s*|\s*\n\s*|\s*\|\s*|\s+[•·]\s+|(?<=;)\s+")
_LETTER = re.compile(r"[^\W\d_]")
_KINDS = {"link": "<link>", "mail": "<mail>", "number": "<number>"}
_MIX = 0x9E3779B1


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Vectors of known words, found by the words' hashes."""

    hashes: Any
    """uint32, ascending: crc32 of a word in small letters, as UTF-8."""
    table: Any
    """float32, one row of `VECTOR` values for each hash."""

    def of(self, hashes: Any) -> Any:
        """One row for each hash; zeros for words that are not known."""
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        found = self.table[places]
        found[self.hashes[places] != hashes] = 0.0
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One text's windows, and what is in them."""

    spans: Any
    """int, (windows, 2): first character and after the last."""
    words: Any
    """int, (windows, 2): first word and after the last."""
    runs: tuple[tuple[Any, Any], ...]
    """Each kind of run: places in the hash space, in the text's order, and the word that each starts in."""
    openings: Any
    """int, (windows, 3): hashed first word, first two and last word of each window."""
    dense: Any
    """float32, (windows, `DENSE`)."""

    def __len__(self) -> int:
        return len(self.spans)

    def sums(self, weights: Any) -> Any:
        """What a linear model with these weights (float32, 2^`BITS`) makes of each window's runs."""
        total = weights[self.openings].sum(axis=1, dtype="f8")
        for places, owners in self.runs:
            running = np.concatenate([[0.0], np.cumsum(weights[places], dtype="f8")])
            bounds = np.searchsorted(owners, self.words)
            total += (running[bounds[:, 1]] - running[bounds[:, 0]]) / _scale(bounds)
        return total

    def rows(self) -> tuple[Any, Any, Any]:
        """The same as (window, place, value) of every run, for training."""
        window = [np.repeat(np.arange(len(self)), self.openings.shape[1])]
        place = [self.openings.ravel()]
        value = [np.ones(self.openings.size)]
        for places, owners in self.runs:
            bounds = np.searchsorted(owners, self.words)
            sizes = bounds[:, 1] - bounds[:, 0]
            within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            window.append(np.repeat(np.arange(len(self)), sizes))
            place.append(places[np.repeat(bounds[:, 0], sizes) + within])
            value.append(np.repeat(1 / _scale(bounds), sizes))
        return np.concatenate(window), np.concatenate(place), np.concatenate(value)


def _scale(bounds: Any) -> Any:
    return np.sqrt(np.maximum(bounds[:, 1] - bounds[:, 0], 4))


def read(text: str, vectors: WordVectors) -> Reading | None:
    """The windows of `text` (`Subject.plain`); `None` where it has no word."""
    found = [
        (match.start(), match.end(), _KINDS.get(match.lastgroup or "") or match[0]) for match in _WORD.finditer(text)
    ]
    if not found:
        return None
    starts = np.fromiter((row[0] for row in found), dtype=np.int64, count=len(found))
    ends = np.fromiter((row[1] for row in found), dtype=np.int64, count=len(found))
    words = [row[2] for row in found]
    known: dict[str, int] = {}
    hashes = np.fromiter((_hash(word, known) for word in words), dtype=np.uint32, count=len(words))
    windows = _windows(text, starts, words)
    spans = np.stack([starts[windows[:, 0]], ends[windows[:, 1] - 1]], axis=1)
    return Reading(
        spans=spans,
        words=windows,
        runs=(*_word_runs(hashes), *_character_runs(text, starts)),
        openings=_openings(hashes, windows),
        dense=_dense(text, words, hashes, windows, spans, vectors),
    )


def reading_of(subject: Subject, vectors: WordVectors) -> Reading | None:
    """`read` of a subject's plain text, once for all guards with these vectors: reading costs more than scoring. Two
    that ask at the same time may both read."""
    kept = subject.shared.get("reading")
    if kept is None or kept[0] is not vectors:
        kept = subject.shared["reading"] = (vectors, read(subject.plain, vectors))
    found: Reading | None = kept[1]
    return found


def _hash(word: str, known: dict[str, int]) -> int:
    value = known.get(word)
    if value is None:
        value = known[word] = crc32(word.lower().encode("utf-8", "replace"))
    return value


def _windows(text: str, starts: Any, words: list[str]) -> Any:
    """Sentences, pairs of them and blocks, as (first word, after the last)."""
    breaks = np.fromiter((match.end() for match in _BREAK.finditer(text)), dtype=np.int64)
    edges = np.unique(np.concatenate([[0], np.searchsorted(starts, breaks), [len(words)]]))
    lettered = np.fromiter((_LETTER.match(word) is not None for word in words), dtype=bool, count=len(words))
    sentences: list[tuple[int, int]] = []
    waiting = 0  # the first word of what is too short to be a sentence: one word a line spells a sentence, too
    for begin, end in itertools.pairwise(edges.tolist()):
        if lettered[begin:end].sum() >= _LEAST:
            for first, last in ((waiting, begin), (begin, end)):
                if lettered[first:last].sum() >= _LEAST:
                    # Quotes, bullets and numbers open no sentence.
                    sentences += _pieces(first + int(lettered[first:last].argmax()), last)
            waiting = end
    if waiting < len(words) and (lettered[waiting:].sum() >= _LEAST or not sentences):
        sentences += _pieces(waiting + int(lettered[waiting:].argmax()), len(words))
    pairs = [(a[0], b[1]) for a, b in itertools.pairwise(sentences)]
    blocks = [
        (sentences[at][0], sentences[min(at + _BLOCK, len(sentences)) - 1][1])
        for at in range(0, max(len(sentences) - _BLOCK_STEP, 1), _BLOCK_STEP)
    ]
    return np.array(sorted({*sentences, *pairs, *blocks}), dtype=np.int64)


def _pieces(begin: int, end: int) -> list[tuple[int, int]]:
    """A sentence, or overlapping pieces of one that has no end."""
    if end - begin <= LONG_SENTENCE:
        return [(begin, end)]
    step = LONG_SENTENCE // 2
    return [(at, min(at + LONG_SENTENCE, end)) for at in range(begin, end - step, step)]


def _fold(values: Any) -> Any:
    """uint32 to a place in the hash space."""
    values = values * np.uint32(_MIX)
    return ((values ^ (values >> np.uint32(15))) * np.uint32(0x85EBCA6B) >> np.uint32(32 - BITS)).astype(np.int64)


def _word_runs(hashes: Any) -> list[tuple[Any, Any]]:
    """One word, two that follow each other, and two with one between them."""
    owners = np.arange(len(hashes))
    turned = hashes * np.uint32(5) + np.uint32(0xE6546B64)
    runs = [(_fold(hashes), owners)]
    for gap in (1, 2):
        if len(hashes) > gap:
            pair = hashes[gap:] ^ (turned[:-gap] << np.uint32(7 + gap)) ^ (turned[:-gap] >> np.uint32(11 + gap))
            runs.append((_fold(pair), owners[:-gap]))
    return runs


def _character_runs(text: str, starts: Any) -> list[tuple[Any, Any]]:
    lower = text.lower()
    codes = np.frombuffer(
        (lower if len(lower) == len(text) else text).encode("utf-32-le", "surrogatepass"), dtype="<u4"
    )
    owners = np.maximum(np.searchsorted(starts, np.arange(len(codes)), side="right") - 1, 0)
    running = np.zeros(len(codes), dtype=np.uint32)
    runs = []
    for length in range(1, max(_CHARS) + 1):
        rest = len(codes) - length + 1
        if rest <= 0:
            break
        running = (running[:rest] * np.uint32(0x01000193)) ^ codes[length - 1 :].astype(np.uint32)
        if length in _CHARS:
            runs.append((_fold(running + np.uint32(length)), owners[:rest]))
    return runs


def _openings(hashes: Any, windows: Any) -> Any:
    first, last = hashes[windows[:, 0]], hashes[windows[:, 1] - 1]
    second = np.where(windows[:, 1] - windows[:, 0] > 1, hashes[np.minimum(windows[:, 0] + 1, len(hashes) - 1)], 0)
    pair = first * np.uint32(31) ^ (second.astype(np.uint32) << np.uint32(3))
    return np.stack(
        [
            _fold(first ^ np.uint32(0xA511E9B3)),
            _fold(pair ^ np.uint32(0x63D83595)),
            _fold(last ^ np.uint32(0x5BD1E995)),
        ],
        axis=1,
    )


def _dense(text: str, words: list[str], hashes: Any, windows: Any, spans: Any, vectors: WordVectors) -> Any:
    table = vectors.of(hashes)
    running = np.concatenate([np.zeros((1, VECTOR)), np.cumsum(table, axis=0, dtype="f8")])
    size = (windows[:, 1] - windows[:, 0])[:, None]
    second = table[np.minimum(windows[:, 0] + 1, len(words) - 1)]
    marks = np.array(
        [
            (
                word == "?",
                word == "!",
                word[0] == "<",
                not word[0].isalnum(),
                word.isupper() and len(word) > 2,
                not word.isascii(),
            )
            for word in words
        ],
        dtype="f8",
    )
    counts = np.concatenate([np.zeros((1, marks.shape[1])), np.cumsum(marks, axis=0)])
    shape = np.concatenate(
        [
            (counts[windows[:, 1]] - counts[windows[:, 0]]) / np.sqrt(size),
            np.log(size) / 3,
            (windows[:, :1] == 0).astype("f8"),
        ],
        axis=1,
    )
    mean = (running[windows[:, 1]] - running[windows[:, 0]]) / size
    return np.concatenate([mean, table[windows[:, 0]], second, shape], axis=1, dtype="f4", casting="unsafe")
