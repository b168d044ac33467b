"""Fakes that behave: deterministic, without a model, and similar texts are similar to them."""

from __future__ import annotations

import hashlib
import math
import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from athanor.guards import Subject
from athanor.types import (
    Context,
    Decision,
    EmbedderProfile,
    Embeddings,
    EngineState,
    EngineStatus,
    Finding,
    Origin,
    RerankerProfile,
    Verdict,
)

_WORD = re.compile(r"\w+")


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _place(word: str, dimension: int) -> tuple[int, float]:
    digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little") % dimension, 1.0 if digest[4] & 1 else -1.0


class HashEmbedder:
    """An `Embedder` by hashed words: texts that share words are near, all others nearly at right angles.

    Args:
        dimension: length of the vectors; fewer than 64 make collisions likely.
    """

    def __init__(self, dimension: int = 256) -> None:
        self._profile = EmbedderProfile(
            id=f"hash-{dimension}", dimension=dimension, max_tokens=512, licence="Apache-2.0"
        )
        self._status = EngineStatus.STOPPED
        self.calls: list[tuple[str, int]] = []
        """Kind and number of texts of every call."""

    @property
    def profile(self) -> EmbedderProfile:
        return self._profile

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        self.calls.append((kind, len(texts)))
        data = bytearray()
        tokens = 0
        for text in texts:
            words = _words(text)[: self._profile.max_tokens]
            tokens += len(words)
            data += self._vector(words)
        return Embeddings(data=bytes(data), count=len(texts), dimension=self._profile.dimension, tokens=tokens)

    def state(self) -> EngineState:
        return EngineState(status=self._status, backend="hash")

    async def start(self) -> None:
        self._status = EngineStatus.READY

    async def aclose(self) -> None:
        self._status = EngineStatus.STOPPED

    def _vector(self, words: Sequence[str]) -> bytes:
        values = array("f", bytes(4 * self._profile.dimension))
        for word, count in Counter(words).items():
            place, sign = _place(word, self._profile.dimension)
            values[place] += sign * (1.0 + math.log(count))
        norm = math.sqrt(math.fsum(v * v for v in values))
        if norm == 0:  # no word at all: still a unit vector
            values[0] = norm = 1.0
        return array("f", (v / norm for v in values)).tobytes()


class OverlapReranker:
    """A `Reranker` by shared words: the logit of the share of the query's words that the passage holds."""

    def __init__(self) -> None:
        self._status = EngineStatus.STOPPED
        self._profile = RerankerProfile(id="overlap", max_tokens=512, licence="Apache-2.0")

    @property
    def profile(self) -> RerankerProfile:
        return self._profile

    async def score(self, query: str, passages: Sequence[str]) -> list[float]:
        wanted = set(_words(query))
        shares = [len(wanted & set(_words(passage))) / max(1, len(wanted)) for passage in passages]
        # Kept off 0 and 1, where a logit has no value.
        return [math.log(p / (1 - p)) for p in (0.98 * share + 0.01 for share in shares)]

    def state(self) -> EngineState:
        return EngineState(status=self._status, backend="overlap")

    async def start(self) -> None:
        self._status = EngineStatus.READY

    async def aclose(self) -> None:
        self._status = EngineStatus.STOPPED


class PhraseGuard:
    """A `Guard` that finds phrases, whatever their case.

    Args:
        phrases: phrase → category.
        whole: can only judge a text as a whole, as a classifier does; each finding then spans all of it.
        score: of every finding.
    """

    def __init__(
        self, phrases: Mapping[str, str], *, name: str = "phrases", whole: bool = False, score: float = 1.0
    ) -> None:
        self.name = name
        self.calls: list[tuple[Origin, str]] = []
        """Origin and text of every call."""
        self.failure: Exception | None = None
        """Raised instead of an answer."""
        self._phrases = {phrase.lower(): category for phrase, category in phrases.items()}
        self._whole = whole
        self._score = score

    @property
    def categories(self) -> frozenset[str]:
        return frozenset(self._phrases.values())

    @property
    def reach(self) -> int | None:
        return None if self._whole else max(map(len, self._phrases))

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        self.calls.append((origin, subject.text))
        if self.failure is not None:
            raise self.failure
        found = []
        plain = subject.plain.lower()
        for phrase, category in self._phrases.items():
            for match in re.finditer(re.escape(phrase), plain):
                span = (0, len(subject.text)) if self._whole else subject.span(*match.span())
                found.append(
                    Finding(
                        guard=self.name,
                        category=category,
                        score=self._score,
                        start=span[0],
                        end=span[1],
                        reason="a phrase of the list",
                        decision=Decision.FLAG,
                    )
                )
        return Verdict(findings=tuple(found))
