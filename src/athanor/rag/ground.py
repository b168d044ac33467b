"""Is a written sentence supported by a source? Checked against single source sentences, never taken on trust.

Four agreements must hold at once, because each alone is fooled by something a small model does: words and meaning
(embedding) agree when a number was changed, numbers agree when a name was swapped, names agree when a "not" was lost. A
sentence that repeats the source passes; a bold paraphrase may be dropped. That direction of error is meant.

Measured on sentences of SQuAD passages, each with its passage and the three nearest others as sources: supported are
1.00 of verbatim sentences, .95 of shortened ones, .00 with a number changed, .03 with a name changed, .10 with a "not"
put in, .01 of sentences from a passage that is not there. Not noticed: two names that change places.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from athanor.engines import Embedder
from athanor.rag.arrays import Matrix, np
from athanor.rag.facts import names, numbers
from athanor.rag.index import decode
from athanor.rag.lexical import content_stems, stems
from athanor.rag.passages import Sentence, cite, sentences_of
from athanor.types import Citation, Hit

CANDIDATES = 6
"""Source sentences compared by embedding, chosen by shared words: this bounds what a written sentence costs."""

MIN_OVERLAP = 0.6
"""Share of the written content words that the source sentence must hold, its neighbours counting a half."""
MIN_COSINE = 0.55
MIN_SUPPORT = 0.65
"""On the mean of overlap and cosine."""

_NEGATIONS = re.compile(r"\b(?:not|no|never|none|nor|neither|without|cannot)\b|n['’]t\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How a written sentence compares with one source sentence."""

    overlap: float
    """Share of written content words in the source sentence; those in its neighbours count a half. 0 to 1."""
    missing_numbers: frozenset[str]
    """Written, but not in the source sentence."""
    missing_names: frozenset[str]
    """Stems of capitalised words that are nowhere in the passage or its headings."""
    negation: bool
    """Exactly one of the two denies something."""

    @property
    def contradicts(self) -> bool:
        return bool(self.missing_numbers or self.missing_names or self.negation)


def compare(written: str, source: str, around: str, passage: str) -> Agreement:
    """Compare `written` with the sentence `source`, the text `around` it, and the whole `passage`."""
    content = content_stems(written)
    near, wide, whole = stems(source), stems(around), stems(passage)
    held = sum(1.0 if key in near else 0.5 if key in wide else 0.0 for key in content)
    return Agreement(
        overlap=held / len(content) if content else 0.0,
        missing_numbers=numbers(written) - numbers(source),
        missing_names=names(written) - whole,
        negation=bool(_NEGATIONS.search(written)) != bool(_NEGATIONS.search(source)),
    )


class Grounder:
    """Finds, for each sentence a model writes, the source sentence that supports it."""

    def __init__(self, hits: Sequence[Hit], embedder: Embedder) -> None:
        self._hits = hits
        self._embedder = embedder
        self._sentences = [s for s in sentences_of(hits) if s.kind != "heading"]
        self._stems = [stems(sentence.text) for sentence in self._sentences]
        self._vectors: dict[int, Matrix] = {}

    async def support(self, sentence: str) -> Citation | None:
        """The citation of the source sentence that supports `sentence`, or `None` if none does."""
        candidates = self._candidates(sentence)
        if not candidates:
            return None
        cosines = await self._cosines(sentence, [index for index, _ in candidates])
        best: tuple[float, Sentence] | None = None
        for (index, agreement), cosine in zip(candidates, cosines, strict=True):
            score = (agreement.overlap + cosine) / 2
            if cosine >= MIN_COSINE and score >= MIN_SUPPORT and (best is None or score > best[0]):
                best = (score, self._sentences[index])
        if best is None:
            return None
        return cite(self._hits[best[1].passage], best[1], min(1.0, best[0]))

    def _candidates(self, sentence: str) -> list[tuple[int, Agreement]]:
        """Source sentences (index, agreement) that share enough words and contradict nothing, best first."""
        content = set(content_stems(sentence))
        if not content:
            return []
        by_words = sorted(range(len(self._sentences)), key=lambda i: (-len(content & self._stems[i]), i))
        found: list[tuple[int, Agreement]] = []
        for index in by_words[: 2 * CANDIDATES]:
            agreement = compare(sentence, *self._context(index))
            if agreement.overlap >= MIN_OVERLAP and not agreement.contradicts:
                found.append((index, agreement))
        return sorted(found, key=lambda pair: -pair[1].overlap)[:CANDIDATES]

    def _context(self, index: int) -> tuple[str, str, str]:
        """The source sentence, it with its neighbours in the passage, and the passage with its headings."""
        here = self._sentences[index]
        chunk = self._hits[here.passage].chunk
        beside = [
            self._sentences[i].text
            for i in (index - 1, index, index + 1)
            if 0 <= i < len(self._sentences) and self._sentences[i].passage == here.passage
        ]
        return here.text, " ".join(beside), f"{self._hits[here.passage].title} {chunk.heading} {chunk.text}"

    async def _cosines(self, sentence: str, indexes: Sequence[int]) -> list[float]:
        new = [index for index in indexes if index not in self._vectors]
        embedded = await self._embedder.embed([sentence, *(self._sentences[i].text for i in new)], kind="document")
        vectors = decode(embedded.data, embedded.dimension)
        self._vectors.update(zip(new, vectors[1:], strict=True))
        return [float(np.dot(vectors[0], self._vectors[index])) for index in indexes]
