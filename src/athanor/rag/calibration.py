"""Fitted numbers of extractive answering, and where they come from. `bench/grounded.py --fit` prints them anew.

Fitted on one half of the SQuAD-dev passages of `retrieval/disflqa_squad_dev.jsonl`, split by topic clusters so that no
article is on both sides, through the product's own path. Logistic regressions with a ridge of 3 on standardised
features. They are a handful of numbers about the models, not about the texts: nothing of the set is in them.
"""

from __future__ import annotations

import math
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
    reading=0.23, context=2.1, rank=2.4, bias=-3.0, best=0.25, passage=0.12, coverage=5.0, threshold=0.5
)
"""With the ms-marco-MiniLM-L-12 cross-encoder."""

EMBEDDED = Calibration(
    reading=7.0, context=2.6, rank=1.2, bias=-8.0, best=6.0, passage=3.0, coverage=6.0, threshold=0.5
)
"""Without a reranker: cosines of all-MiniLM-L6-v2."""
