"""Is a written sentence supported by its sources, and how surely: a calibrated score for each sentence.

A sentence is compared with the source sentences that share most with it; the best of them is its citation. The weights
are fitted by `bench/grounding.py --fit`, see `calibration.SUPPORT`. A cross-encoder's reading of both sentences was
tried as one more feature: it adds less than .001 to the area under the curve and doubles the time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from anyio import to_thread

from athanor.engines import Embedder
from athanor.rag import calibration
from athanor.rag.arrays import Matrix, np
from athanor.rag.entail import DOUBT, Judgement, combined
from athanor.rag.facts import plain_numbers
from athanor.rag.ground import Agreement, Reading, compare, read
from athanor.rag.index import decode
from athanor.rag.lexical import idf, stems
from athanor.rag.passages import Sentence, cite, sentences_of
from athanor.rag.sentences import Span, split
from athanor.types import NO_USAGE, Citation, Hit, Usage

CANDIDATES = 4
"""Source sentences that a written one is compared with, chosen by shared words: this bounds what it costs."""


MIN_CLAUSE = 5
"""Words of a part of a sentence that is graded by itself."""

_CLAUSES = re.compile(r"[,;]\s+(?:and|but|while|whereas|although)\s+|;\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A source sentence that may support a written one."""

    sentence: Sentence
    agreement: Agreement
    cosine: float
    """Of the embeddings of both sentences."""

    def row(self) -> list[float]:
        """What `calibration.Support` weighs."""
        return [*self.agreement.row(), self.cosine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """How well the sources support one sentence."""

    score: float
    """Calibrated probability that they do; 1 for a sentence of a source, word for word."""
    supported: bool
    citations: tuple[Citation, ...] = ()
    """The source sentences that come nearest: one, or one for each part of the sentence; empty where nothing is."""
    usage: Usage = NO_USAGE
    """Of a model that was asked."""


def clauses(text: str) -> list[str]:
    """The parts of a sentence that say something each; empty where it cannot be parted."""
    parts = [part.strip() for part in _CLAUSES.split(text)]
    return parts if 1 < len(parts) <= 4 and all(len(part.split()) >= MIN_CLAUSE for part in parts) else []


Judge = Callable[[str, Sequence[str]], Awaitable[Judgement]]
"""A sentence and the passages nearest to it → what a model thinks."""


class Grader:
    """Grades sentences against the passages of `hits`."""

    def __init__(
        self, hits: Sequence[Hit], embedder: Embedder, *, threshold: float | None = None, judge: Judge | None = None
    ) -> None:
        """`judge` is a model's own opinion, asked where the score is in doubt; see `entail`."""
        self._hits = hits
        self._embedder = embedder
        self._judge = judge
        self._fitted = calibration.SUPPORT
        self.threshold = self._fitted.threshold if threshold is None else threshold
        self._sentences = [s for s in sentences_of(hits) if s.kind != "heading"]
        self._exact: dict[str, Sentence] = {}
        for sentence in self._sentences:
            self._exact.setdefault(_normal(sentence.text), sentence)
        self._readings = [read(sentence.text) for sentence in self._sentences]
        self._stems = [frozenset(reading.stems) for reading in self._readings]
        self._passages = [stems(plain_numbers(f"{h.title} {h.chunk.heading} {h.chunk.text}")) for h in hits]
        self._nears: dict[int, Reading] = {}
        self._vectors: dict[int, Matrix] = {}
        self._frequencies = Counter(key for present in self._stems for key in present)

    async def grade(self, text: str) -> Grade:
        """How well the sources support the sentence `text`.

        A sentence of two parts that no one place supports is supported where each of its parts is.
        """
        if (same := self.exact(text)) is not None:
            return Grade(score=1.0, supported=True, citations=(self._cite(same, 1.0),))
        score, found = await self._best(text)
        nearest: tuple[Sentence, ...] = (found,) if found is not None else ()
        if score < self.threshold and (parts := clauses(text)):
            graded = [await self._best(part) for part in parts]
            least = min(value for value, _ in graded)
            if least > score:
                score = least
                nearest = tuple(dict.fromkeys(sentence for _, sentence in graded if sentence is not None))
        usage = NO_USAGE
        if self._judge is not None and nearest and DOUBT[0] <= score < DOUBT[1]:
            passages = {sentence.passage for sentence in nearest}
            judged = await self._judge(text, [self._hits[i].chunk.text for i in sorted(passages)])
            usage = judged.usage
            score = score if judged.probability is None else combined(score, judged.probability)
        return Grade(
            score=score,
            supported=score >= self.threshold,
            citations=tuple(self._cite(sentence, score) for sentence in nearest),
            usage=usage,
        )

    def exact(self, text: str) -> Sentence | None:
        """The source sentence that is `text`, white space aside."""
        return self._exact.get(_normal(text))

    async def _best(self, text: str) -> tuple[float, Sentence | None]:
        candidates = await self.candidates(text)
        scored = [(self._fitted.probability(candidate.row()), candidate.sentence) for candidate in candidates]
        return max(scored, key=lambda pair: pair[0]) if scored else (0.0, None)

    def _cite(self, sentence: Sentence, score: float) -> Citation:
        return cite(self._hits[sentence.passage], sentence, score)

    def weight(self, stem: str) -> float:
        """How telling a word is among the sentences of the sources."""
        return idf(len(self._stems), self._frequencies[stem])

    async def candidates(self, text: str) -> list[Candidate]:
        """The source sentences nearest to `text`, with what there is to say about each."""
        written = read(text)
        content = frozenset(written.content)
        shared = [sum(map(self.weight, content & present)) for present in self._stems]
        nearest = sorted((i for i, value in enumerate(shared) if value > 0), key=lambda i: (-shared[i], i))
        nearest = nearest[:CANDIDATES]
        if not nearest:
            return []
        cosines = await self._cosines(text, nearest)
        # Milliseconds of pure Python: not on the loop that other answers stream from.
        agreements = await to_thread.run_sync(lambda: [self._compare(written, i) for i in nearest])
        return [
            Candidate(sentence=self._sentences[i], agreement=agreement, cosine=cosine)
            for i, agreement, cosine in zip(nearest, agreements, cosines, strict=True)
        ]

    def _compare(self, written: Reading, index: int) -> Agreement:
        passage = self._passages[self._sentences[index].passage]
        return compare(written, self._readings[index], self._near(index), passage, self.weight)

    def _near(self, index: int) -> Reading:
        """The source sentence with those beside it in its passage."""
        if index not in self._nears:
            passage = self._sentences[index].passage
            beside = [
                self._sentences[i].text
                for i in (index - 1, index, index + 1)
                if 0 <= i < len(self._sentences) and self._sentences[i].passage == passage
            ]
            self._nears[index] = read(" ".join(beside))
        return self._nears[index]

    async def _cosines(self, text: str, indexes: Sequence[int]) -> list[float]:
        new = [index for index in indexes if index not in self._vectors]
        embedded = await self._embedder.embed([text, *(self._sentences[i].text for i in new)], kind="document")
        vectors = decode(embedded.data, embedded.dimension)
        self._vectors.update(zip(new, vectors[1:], strict=True))
        return [float(np.dot(vectors[0], self._vectors[index])) for index in indexes]


def _normal(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedSentence:
    """A sentence of a text, graded."""

    start: int
    end: int
    """Of the text."""
    grade: Grade


def graded_spans(text: str) -> list[Span]:
    """The sentences of `text` that say something: headings and code are left out."""
    return [span for span in split(text) if span.kind not in ("heading", "code")]


async def grade(
    text: str, sources: Sequence[Hit], *, embedder: Embedder, threshold: float | None = None
) -> list[GradedSentence]:
    """Grade every sentence of a `text` that anyone has written against `sources`."""
    grader = await to_thread.run_sync(lambda: Grader(sources, embedder, threshold=threshold))
    return [
        GradedSentence(start=span.start, end=span.end, grade=await grader.grade(text[span.start : span.end]))
        for span in graded_spans(text)
    ]


def groundedness(scores: Iterable[float]) -> float | None:
    """Of a whole answer: the least of its sentences' scores; one invented sentence is enough to mislead."""
    return min(scores, default=None)
