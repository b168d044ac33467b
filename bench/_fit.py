"""Fitting of the calibration: topics that keep the halves apart, and logistic regression in twenty lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

TOPICS = 35
"""SQuAD-dev has that many articles; the file does not say which passage is of which."""


def topics(vectors: Any, *, seed: int = 1) -> Any:
    """For each passage whether it is held out: spherical k-means, then a coin for each cluster."""
    generator = np.random.default_rng(seed)
    count = min(TOPICS, len(vectors))
    centres = vectors[generator.permutation(len(vectors))[:count]].copy()
    for _ in range(30):
        nearest = (vectors @ centres.T).argmax(1)
        for i in range(count):
            if (nearest == i).any():
                centre = vectors[nearest == i].mean(0)
                centres[i] = centre / np.linalg.norm(centre)
    return (generator.permutation(count) % 2).astype(bool)[nearest]


def logistic(features: Any, labels: Any, ridge: float = 3.0) -> tuple[list[float], float]:
    """Weights and bias on the raw features; the ridge is on standardised ones. Newton's method."""
    centre, spread = features.mean(0), features.std(0) + 1e-6
    design = np.c_[(features - centre) / spread, np.ones(len(features))]
    penalty = ridge * np.r_[np.ones(design.shape[1] - 1), 1e-6]
    weights = np.zeros(design.shape[1])
    for _ in range(60):
        chance = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (chance - labels) + penalty * weights
        hessian = (design.T * (chance * (1 - chance))) @ design + np.diag(penalty)
        weights -= np.linalg.solve(hessian, gradient)
    slopes = weights[:-1] / spread
    return slopes.tolist(), float(weights[-1] - slopes @ centre)


def fit(outcomes: list[Any], normal: Callable[[str], str]) -> dict[str, Any]:
    """New numbers for the calibration, from the topics that are not held out."""
    seen = [o for o in outcomes if not o.held_out]
    sentences, holds = [], []
    for outcome in seen:
        for reading in outcome.evidence.readings if outcome.evidence else ():
            sentences.append((reading.reading, reading.context, reading.rank))
            holds.append(normal(outcome.question.answer) in normal(reading.sentence.text))
    weights, _ = logistic(np.array(sentences), np.array(holds, dtype=float))
    rows, present = [], []
    for outcome in seen:
        for evidence, label in ((outcome.evidence, 1.0), (outcome.without, 0.0)):
            if evidence is not None:
                rows.append((evidence.best, evidence.passage, evidence.coverage))
                present.append(label)
    features, labels = np.array(rows), np.array(present)
    slopes, bias = logistic(features, labels)
    chances = 1 / (1 + np.exp(-(features @ np.array(slopes) + bias)))
    return {
        "questions": len(seen),
        "reading, context, rank": [round(w, 3) for w in weights],
        "bias, best, passage, coverage": [round(w, 3) for w in (bias, *slopes)],
        "threshold at false abstention .10 .12 .15": [
            round(float(np.quantile(chances[labels == 1], q)), 3) for q in (0.1, 0.12, 0.15)
        ],
    }
