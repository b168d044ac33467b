"""Models for these tests: deterministic, of words alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from athanor.rag.lexical import content_stems
from athanor.types import Chunk, EmbedderProfile, Embeddings, EngineState, EngineStatus, Hit, RerankerProfile

DIMENSION = 64


class WordEmbedder:
    """Texts with the same content words have cosine 1, texts without a common one about 0."""

    def __init__(self) -> None:
        self.texts = 0

    @property
    def profile(self) -> EmbedderProfile:
        return EmbedderProfile(id="words", dimension=DIMENSION, max_tokens=256, licence="none")

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        self.texts += len(texts)
        matrix = np.zeros((len(texts), DIMENSION), dtype="<f4")
        for row, text in enumerate(texts):
            for key in content_stems(text):
                matrix[row] += _direction(key)
            matrix[row] /= max(float(np.linalg.norm(matrix[row])), 1e-9)
        return Embeddings(data=matrix.tobytes(), count=len(texts), dimension=DIMENSION, tokens=len(texts))

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="fake")

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


@lru_cache(maxsize=1000)
def _direction(key: str) -> npt.NDArray[np.float64]:
    return np.random.default_rng(zlib.crc32(key.encode())).normal(size=DIMENSION)


class WordReranker:
    """A logit from the share of the question's words that a passage holds: -10 for none, 10 for all."""

    profile = RerankerProfile(id="words", max_tokens=512, licence="Apache-2.0")

    def __init__(self) -> None:
        self.pairs = 0

    async def score(self, query: str, passages: Sequence[str]) -> list[float]:
        self.pairs += len(passages)
        wanted = set(content_stems(query))
        return [20 * len(wanted & set(content_stems(p))) / max(len(wanted), 1) - 10 for p in passages]

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="fake")

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


def hit(text: str, *, document: str = "d1", start: int = 0, score: float = 1.0, title: str = "") -> Hit:
    """A passage at `start` of its document."""
    chunk = Chunk(
        id=f"{document}-{start}",
        document=document,
        ordinal=0,
        start=start,
        end=start + len(text),
        page=None,
        heading="",
        text=text,
    )
    return Hit(chunk=chunk, document_version=1, source=f"{document}.txt", title=title, score=score)
