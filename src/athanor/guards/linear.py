"""Heads: one question about a text, such as "is this an attack?", answered from the features of its windows.

A head is a linear model on hashed runs plus one small hidden layer on the windows' vectors and shapes. Trained by `fit`
(Adam; Kingma and Ba, 2015) on windows; `calibrated` then makes a probability of what a text's windows score (Platt,
1999), on texts that had no part in `fit`. Kept as plain arrays: see `sheet`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from athanor.guards.features import BITS, DENSE, Reading
from athanor.plugins.arrays import np

HIDDEN = 24
WIDE = 60
"""Words from which on a window is a passage and not a sentence."""
_BATCH = 256
_RATE = 2e-3
_DROPPED = 0.2
"""Share of the dense features that a step of the training does without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The weights of one question."""

    runs: Any
    """float32, 2^`BITS`."""
    inner: Any
    """float32, (`DENSE` + 1, `HIDDEN`): the last row is the bias."""
    outer: Any
    """float32, `HIDDEN` + 1: the last is the bias."""
    line: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 0.0)
    """Weights of the figures of `pooled`, then the bias, of the logistic function that makes a text's probability."""
    threshold: float = 0.5
    """The probability from which on the answer is yes: the operating point."""

    def scores(self, reading: Reading) -> Any:
        """One score (a logit) for each window."""
        return reading.sums(self.runs) + self.dense(reading.dense)

    def probability(self, reading: Reading, scores: Any) -> float:
        """How likely the answer is yes for a text whose windows have these scores."""
        value = float(np.dot(pooled(reading, scores), self.line[:-1])) + self.line[-1]
        return 1 / (1 + math.exp(-max(min(value, 50.0), -50.0)))

    def dense(self, dense: Any) -> Any:
        """The part of a window's score that its vectors and shape have."""
        hidden = np.maximum(dense @ self.inner[:-1] + self.inner[-1], 0.0)
        return hidden @ self.outer[:-1] + self.outer[-1]


def pooled(reading: Reading, scores: Any) -> Any:
    """What a text's windows come to: the highest, the mean of the three highest, the highest of its widest, the mean of
    all. The highest alone would make long texts suspicious by their length."""
    sizes = reading.words[:, 1] - reading.words[:, 0]
    wide = scores[sizes >= min(WIDE, sizes.max())]
    return np.array([scores.max(), np.sort(scores)[-3:].mean(), wide.max(), scores.mean()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Windows with their answers."""

    starts: Any
    """Of each window's runs in `places`; one more than there are windows."""
    places: Any
    values: Any
    dense: Any
    truth: Any
    """0 or 1."""
    weight: Any

    def __len__(self) -> int:
        return len(self.truth)


def samples(read: Sequence[tuple[Reading, Any, Any]]) -> Samples:
    """Gather windows.

    Args:
        read: of each text its reading, the answer for each window (0, 1; negative: leave the window out), and how much
            each window counts.
    """
    sizes, places, values, dense, truth, weight = [], [], [], [], [], []
    for reading, answers, counts in read:
        keep = answers >= 0
        window, place, value = reading.rows()
        order = np.argsort(window, kind="stable")
        order = order[keep[window[order]]]
        sizes.append(np.bincount(window, minlength=len(reading))[keep])
        places.append(place[order].astype("i4"))
        values.append(value[order].astype("f4"))
        dense.append(reading.dense[keep])
        truth.append(answers[keep])
        weight.append(counts[keep])
    return Samples(
        starts=np.concatenate([[0], np.cumsum(np.concatenate(sizes))]),
        places=np.concatenate(places),
        values=np.concatenate(values),
        dense=np.concatenate(dense),
        truth=np.concatenate(truth).astype("f4"),
        weight=np.concatenate(weight).astype("f4"),
    )


def fit(
    given: Samples,
    *,
    seed: int = 0,
    epochs: int = 6,
    decay: float = 1e-3,
    progress: Callable[[int, int], None] | None = None,
) -> Head:
    """Train a head. The same samples and seed give the same weights, on the same kind of processor.

    Args:
        given: windows with their answers; both answers must be there.
        seed: of the start, the order and what is dropped.
        epochs: passes over all windows.
        decay: share of each weight that a step takes away, times the rate (Loshchilov and Hutter, 2019).
        progress: told the passes done, and of how many.
    """
    dice = np.random.default_rng(seed)
    weights = [
        np.zeros(1 << BITS, dtype="f4"),
        np.concatenate([dice.normal(0, DENSE**-0.5, (DENSE, HIDDEN)), np.zeros((1, HIDDEN))]).astype("f4"),
        np.concatenate([dice.normal(0, HIDDEN**-0.5, HIDDEN), [0.0]]).astype("f4"),
    ]
    moments = [(np.zeros_like(part), np.zeros_like(part)) for part in weights]
    steps = epochs * math.ceil(len(given) / _BATCH)
    step = 0
    for epoch in range(epochs):
        order = dice.permutation(len(given))
        for at in range(0, len(order), _BATCH):
            step += 1
            rate = _RATE * (1 - (step - 1) / steps)
            kept = (dice.random(DENSE) >= _DROPPED).astype("f4") / (1 - _DROPPED)
            slopes = _slopes(weights, given, order[at : at + _BATCH], kept)
            _step(weights, moments, slopes, rate, decay, step)
        if progress is not None:
            progress(epoch + 1, epochs)
    return Head(runs=weights[0], inner=weights[1], outer=weights[2])


def _slopes(weights: list[Any], given: Samples, rows: Any, kept: Any) -> list[Any]:
    """Of the mean logistic loss of `rows`, for each weight."""
    runs, inner, outer = weights
    begins, ends = given.starts[rows], given.starts[rows + 1]
    sizes = ends - begins
    owner = np.repeat(np.arange(len(rows)), sizes)
    at = np.arange(sizes.sum()) + np.repeat(begins - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
    places, values = given.places[at], given.values[at]
    dense = given.dense[rows] * kept
    before = dense @ inner[:-1] + inner[-1]
    hidden = np.maximum(before, 0)
    logits = np.bincount(owner, runs[places] * values, len(rows)) + hidden @ outer[:-1] + outer[-1]
    wrong = given.weight[rows] * (1 / (1 + np.exp(-np.clip(logits, -30, 30))) - given.truth[rows]) / len(rows)
    wrong = wrong.astype("f4")
    back = np.outer(wrong, outer[:-1]) * (before > 0)
    return [
        np.bincount(places, values * wrong[owner], len(runs)).astype("f4"),
        np.concatenate([dense.T @ back, back.sum(axis=0, keepdims=True)]),
        np.concatenate([hidden.T @ wrong, [wrong.sum()]]).astype("f4"),
    ]


def _step(weights: list[Any], moments: list[Any], slopes: list[Any], rate: float, decay: float, step: int) -> None:
    for weight, (first, second), slope in zip(weights, moments, slopes, strict=True):
        np.add(0.9 * first, 0.1 * slope, out=first)
        np.add(0.999 * second, 0.001 * slope * slope, out=second)
        size = rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        np.subtract(weight, size * first / (np.sqrt(second) + 1e-8) + rate * decay * weight, out=weight)


def calibrated(head: Head, figures: Any, truth: Any, weight: Any) -> Head:
    """`head` with the logistic function that fits best (Newton's method, a little damped).

    The targets are Platt's, somewhat away from 0 and 1, so that few texts do not make it too sure.

    Args:
        head: trained on other texts.
        figures: (texts, 4), by `pooled`.
        truth: 0 or 1 for each text.
        weight: how much each text counts.
    """
    positive, negative = float(truth.sum()), float(len(truth) - truth.sum())
    target = np.where(truth > 0, (positive + 1) / (positive + 2), 1 / (negative + 2))
    share = weight / weight.sum()
    inputs = np.concatenate([figures, np.ones((len(truth), 1))], axis=1)
    damping = np.diag([*[1e-3] * figures.shape[1], 0.0])
    line = np.zeros(inputs.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ line, -30, 30)))
        slope = inputs.T @ (share * (chance - target)) + damping @ line
        bend = (inputs * (share * chance * (1 - chance) + 1e-9)[:, None]).T @ inputs + damping
        line = line - np.linalg.solve(bend, slope)
    return replace(head, line=tuple(float(value) for value in line))
