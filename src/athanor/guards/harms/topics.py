# ruff: noqa: E501  (lists of sentences)
"""A topic from a few examples: how near a text is to them, compared with how near it is to what is not the topic.

A text's figure is the mean of its three highest similarities to examples, less the same for texts against, which is taken
for no less than half of what examples have with each other: a text that is like nothing is not on the topic. Each example's
own figure, measured as if it were not one, says how figures of the topic are spread, and those of the texts against how the
others are; two normal distributions with one variance make it a probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from athanor.plugins.arrays import np

EVERYDAY = (
    "Thank you very much, that helps.", "What is the weather like tomorrow?", "Write a short poem about the sea.",
    "Summarise this text in three sentences.", "How do I sort a list in Python?", "Translate this into French.",
    "Who wrote this book?", "What should I cook tonight?", "Please correct the grammar of my letter.", "When does the train leave?",
    "Explain photosynthesis to a child.", "Which film won the prize?", "My computer does not start.", "Plan a weekend in Rome.",
    "The team played well and won by two goals.", "The council will vote on the new road next month.",
    "I would like to change my appointment.", "How large is the moon?", "What does this error message mean?",
    "Draft an email to my landlord.", "How do I get a stain out of a shirt?", "The company reported higher sales this year.",
    "Can you recommend a good doctor?", "What is the capital of Australia?", "I feel tired today.", "Tell me a joke.",
)  # fmt: skip
"""Stand against every topic, so that a few examples alone are enough."""
_BEST = 3
_LEAST_SPREAD = 0.05
"""Of figures: a few examples that are nearly the same must not make it sure."""
_SHARE = 0.2
"""Of texts on the topic, among those that the probabilities are meant for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic, ready to be asked."""

    examples: Any
    """Unit vectors, one a row."""
    against: Any
    least: float
    """That similarity to texts against is taken for, where it is less."""
    slope: float
    offset: float

    def probability(self, vectors: Any) -> Any:
        """That texts with these unit vectors (one a row) are on the topic."""
        figures = _nearest(vectors @ self.examples.T) - np.maximum(_nearest(vectors @ self.against.T), self.least)
        return 1 / (1 + np.exp(-np.clip(self.slope * figures + self.offset, -50, 50)))


def topic_of(examples: Any, against: Any) -> Topic:
    """A topic from the unit vectors of its examples and of texts that are not on it: three or more of each."""
    among, beside = examples @ examples.T, against @ against.T
    np.fill_diagonal(among, -1.0)
    np.fill_diagonal(beside, -1.0)
    least = float(_nearest(among).mean()) / 2
    own = _nearest(among) - np.maximum(_nearest(examples @ against.T), least)
    others = _nearest(against @ examples.T) - np.maximum(_nearest(beside), least)
    spread = max(
        float((own.var() * len(own) + others.var() * len(others)) / (len(own) + len(others))), _LEAST_SPREAD**2
    )
    distance = max(float(own.mean() - others.mean()), _LEAST_SPREAD)
    slope = distance / spread
    middle = float(own.mean() + others.mean()) / 2
    return Topic(
        examples=examples,
        against=against,
        least=least,
        slope=slope,
        offset=-slope * middle + math.log(_SHARE / (1 - _SHARE)),
    )


def _nearest(similarities: Any) -> Any:
    """Of each row the mean of its highest."""
    count = min(_BEST, similarities.shape[1])
    return np.sort(similarities, axis=1)[:, -count:].mean(axis=1)
