"""Fitted numbers of extractive answering, and where they come from. `bench/grounded.py --fit` prints them anew.

Fitted on one half of the SQuAD-dev passages of `retrieval/disflqa_squad_dev.jsonl` (409 answerable questions, most of
them disfluent), split by topic clusters so that hardly an article is on both sides. Logistic regressions with a ridge
of 3 on standardised features. They are a handful of numbers about the models: nothing of the texts is in them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Weights for one way to read sentences: by a cross-encoder, or by the cosine of embeddings alone."""

    reading: float
    """Of the cross-encoder's logit, or the cosine, of question and sentence."""
    context: float
    """Of the share of the question's content words in the sentence and the one before it."""
    rank: float
    """Of how far the passage is behind the best one, in fused deviations (0 or negative)."""

    bias: float
    """Of the confidence, as are the following."""
    best: float
    """Of the best reading of any sentence."""
    passage: float
    """Of the reading of the whole passage that the best sentence is from."""
    coverage: float
    """Of the share of the question's content words in that passage, its title and headings."""
    threshold: float
    """Abstain under this confidence."""

    def sentence(self, reading: float, context: float, rank: float) -> float:
        """Log-odds, up to a constant, that a sentence answers."""
        return self.reading * reading + self.context * context + self.rank * rank

    def confidence(self, best: float, passage: float, coverage: float) -> float:
        """Probability that the passages hold the answer, where half of the questions are answerable."""
        odds = self.bias + self.best * best + self.passage * passage + self.coverage * coverage
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, odds))))


RERANKED = Calibration(
    reading=0.253,
    context=1.836,
    rank=2.277,
    bias=-2.552,
    best=0.127,
    passage=0.197,
    coverage=4.314,
    threshold=0.45,
)
"""With the ms-marco-MiniLM-L-12 cross-encoder. On the other half's 346 questions: the gold answer is in the first
sentence for .73, in the first three for .90; at the threshold it abstains falsely on .12, and on .82 of the questions
whose passage was taken away (area under the curve .92). Tried and not worth their place: the kind of answer that is
asked for, names and numbers of the question that the passage lacks, idf weights, the embedder's cosines, the second
best sentence."""

EMBEDDED = Calibration(
    reading=6.045,
    context=3.054,
    rank=2.334,
    bias=-7.652,
    best=7.835,
    passage=-1.172,
    coverage=6.631,
    threshold=0.4,
)
"""Without a reranker, by cosines of all-MiniLM-L6-v2: .68 and .88; .13 and .76."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """Weights of the features of `ground.Agreement`, the cosine and, where it is there, the cross-encoder's logit."""

    weights: tuple[float, ...]
    """In the order of `ground.FEATURES`, then cosine, then reading."""
    bias: float
    threshold: float
    """Supported from this probability on."""

    def probability(self, row: Sequence[float]) -> float:
        """That the source supports the sentence, where half of all sentences are supported."""
        odds = self.bias + sum(w * x for w, x in zip(self.weights, row, strict=True))
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, odds))))


SUPPORT = Support(
    weights=(0.024, -0.679, -0.173, -1.121, -0.647, -3.684, -4.545, -2.662, 2.173, 7.217),
    bias=-7.508,
    threshold=0.675,
)
"""Fitted by `bench/grounding.py --fit --passages 150` on statements of one half of BoolQ's passages, with cosines of
all-MiniLM-L6-v2. At the threshold 7 % of the unsupported statements of that half pass. Vetoes of single features (a
missing number, a missing name) were tried above it: at the same share of unsupported statements that pass, they let
fewer supported ones through. Longest common subsequence, order and pairs of words were tried and left out: they add
.004 to the area under the curve, with weights whose signs make no sense."""
