"""What task a request is: multinomial logistic regression on the embedder's vector of its last question.

Trained from labelled examples, of which a part is held out: the figures in the file are of the very weights in the
file, on examples that these have not seen. A text that is unlike all examples gets no label, however sure the
regression is of it: that only knows on which side of a plane a text lies, and not how far out. Reading needs no numpy;
training does.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import mul
from pathlib import Path
from typing import Any

from anyio import to_thread

from athanor.engines import Embedder
from athanor.errors import ConfigError, InputError
from athanor.rag.arrays import Floats, np

FORMAT = 1
LEAST = 5
"""Examples of a label, at least: one of them is held out."""
_HELD_OUT = 0.2
_PENALTIES = (1e-4, 1e-3, 1e-2)
_STEPS = 500
_BATCH = 64
_OUTSIDE = 0.05
"""Share of a label's own examples that are left out of account as the strangest of them."""

Progress = Callable[[int, int], Awaitable[None]]
"""Told how many texts of how many are embedded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A request's text, and what it is."""

    text: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """Weights, and what they are worth."""

    embedder: str
    """Id of the embedder (name and hash of its file) whose vectors the weights are for."""
    labels: tuple[str, ...]
    weights: tuple[array[float], ...]
    """One row for each label."""
    bias: tuple[float, ...]
    centres: tuple[array[float], ...]
    """Mean direction of each label's examples, of unit length."""
    reach: tuple[float, ...]
    """Cosine with its centre that a text of each label has at least."""
    confidence: float
    """Below this probability, no label is given."""
    figures: Mapping[str, Any]
    """How it was measured, and what came out."""

    def label(self, vector: bytes) -> str | None:
        """The label of a text with this unit vector (float32), or `None` where it is unsure or like no example."""
        label, probability, like = self.guess(vector)
        return label if like and probability >= self.confidence else None

    def guess(self, vector: bytes) -> tuple[str, float, bool]:
        """The likeliest label, its probability, and whether the text is like that label's examples."""
        values = array("f", vector)
        scores = [sum(map(mul, row, values)) + bias for row, bias in zip(self.weights, self.bias, strict=True)]
        top = max(scores)
        place = scores.index(top)
        like = sum(map(mul, self.centres[place], values)) >= self.reach[place]
        return self.labels[place], 1 / sum(math.exp(score - top) for score in scores), like

    def save(self, path: Path) -> None:
        """Write it as JSON; a reader sees the old file or the new one."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        body = {
            "format": FORMAT,
            "embedder": self.embedder,
            "labels": self.labels,
            "confidence": self.confidence,
            "figures": self.figures,
            "bias": self.bias,
            "reach": self.reach,
            "weights": [[round(value, 6) for value in row] for row in self.weights],
            "centres": [[round(value, 6) for value in row] for row in self.centres],
        }
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        draft.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        draft.replace(path)

    @staticmethod
    def load(path: Path, *, embedder: str) -> Classifier:
        """Read what `save` wrote.

        Args:
            embedder: id of the embedder that is to make the vectors.

        Raises:
            ConfigError: there is no such file, it is damaged, or it is for another embedder.
        """
        hint = "'athanor route train' makes one."
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
            found = Classifier(
                embedder=str(body["embedder"]),
                labels=tuple(body["labels"]),
                weights=tuple(array("d", row) for row in body["weights"]),
                bias=tuple(float(value) for value in body["bias"]),
                centres=tuple(array("d", row) for row in body["centres"]),
                reach=tuple(float(value) for value in body["reach"]),
                confidence=float(body["confidence"]),
                figures=dict(body["figures"]),
            )
        except FileNotFoundError:
            raise ConfigError("The route has no classifier yet.", where=str(path), hint=hint) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError("The classifier's file cannot be read.", where=str(path), hint=hint) from error
        parts = (found.labels, found.weights, found.bias, found.centres, found.reach)
        rows = {len(row) for row in (*found.weights, *found.centres)}
        if body.get("format") != FORMAT or len({len(part) for part in parts}) != 1 or len(rows) != 1:
            raise ConfigError("The classifier's file is of another format.", where=str(path), hint=hint)
        if found.embedder != embedder:
            raise ConfigError(
                f"The classifier was trained on vectors of {found.embedder}; this system's embedder is {embedder}.",
                where=str(path),
                hint="Train it again: 'athanor route train'.",
            )
        return found


async def train(
    examples: Sequence[Example],
    embedder: Embedder,
    *,
    confidence: float = 0.5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Classifier:
    """Fit a classifier; a fifth of each label is held out to measure it.

    Examples with the same text count once, so that none is in both parts. The penalty is chosen on a part of the rest.

    Raises:
        InputError: fewer than two labels, or fewer than `LEAST` examples of one.
    """
    unique = list({" ".join(example.text.split()): example for example in reversed(examples)}.values())[::-1]
    counts = Counter(example.label for example in unique)
    few = sorted(label for label, count in counts.items() if count < LEAST)
    if len(counts) < 2 or few:
        short = f"too few of {', '.join(few)}" if few else "only one label"
        raise InputError(
            f"A classifier needs two labels or more, with {LEAST} different texts each: {short}.", where="examples"
        )
    data = bytearray()
    for start in range(0, len(unique), _BATCH):
        batch = unique[start : start + _BATCH]
        data += (await embedder.embed([example.text for example in batch], kind="query")).data
        if progress is not None:
            await progress(start + len(batch), len(unique))
    vectors = np.frombuffer(bytes(data), dtype="<f4").reshape(len(unique), -1).astype("f8")
    digest = hashlib.sha256(json.dumps([(e.text, e.label) for e in unique]).encode()).hexdigest()
    facts = {"seed": seed, "examples_sha256": digest, "trained_at": time.time()}
    fitted = await to_thread.run_sync(_fit_all, unique, vectors, embedder.profile.id, confidence, seed)
    return replace(fitted, figures={**fitted.figures, **facts})


def _fit_all(examples: Sequence[Example], vectors: Floats, embedder: str, confidence: float, seed: int) -> Classifier:
    labels = tuple(sorted({example.label for example in examples}))
    truth = np.array([labels.index(example.label) for example in examples])
    inputs = np.hstack([vectors, np.ones((len(vectors), 1))])
    dice = random.Random(seed)  # noqa: S311  a split that can be repeated
    rest, held = _split(truth.tolist(), range(len(truth)), dice)
    inner, probe = _split(truth.tolist(), rest, dice)
    losses = {}
    for penalty in _PENALTIES:
        odds = inputs[probe] @ _fit(inputs[inner], truth[inner], len(labels), penalty)
        losses[penalty] = float(-np.log(_softmax(odds)[np.arange(len(probe)), truth[probe]] + 1e-12).mean())
    penalty = min(losses, key=lambda value: losses[value])
    weights = _fit(inputs[rest], truth[rest], len(labels), penalty)
    centres, reach = _surroundings(vectors[rest], truth[rest], len(labels))
    chances = _softmax(inputs[held] @ weights)
    guess = chances.argmax(axis=1)
    like = (vectors[held] * centres[guess]).sum(axis=1) >= reach[guess]
    sure = like & (chances.max(axis=1) >= confidence)
    return Classifier(
        embedder=embedder,
        labels=labels,
        weights=tuple(array("d", row[:-1]) for row in weights.T.tolist()),
        bias=tuple(weights[-1].tolist()),
        centres=tuple(array("d", row) for row in centres.tolist()),
        reach=tuple(reach.tolist()),
        confidence=confidence,
        figures={**_figures(labels, truth[held], guess, sure), "trained_on": len(rest), "penalty": penalty},
    )


def _surroundings(vectors: Floats, truth: Any, labels: int) -> tuple[Floats, Floats]:
    """Of each label's examples: their mean direction, and the cosine with it from which on a text is like them.

    That is half way from what the examples of other labels have on average to what all but a few of its own have, so
    that examples which are much alike do not make it narrow, and the scale is that of the embedder.
    """
    centres = np.stack([vectors[truth == place].mean(axis=0) for place in range(labels)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    reach = []
    for place in range(labels):
        cosines = vectors @ centres[place]
        own = float(np.quantile(cosines[truth == place], _OUTSIDE))
        reach.append(min(own, (own + float(cosines[truth != place].mean())) / 2))
    return centres, np.array(reach)


def _split(truth: Sequence[int], places: Sequence[int], dice: random.Random) -> tuple[list[int], list[int]]:
    """Parts of `places`, a fifth of every label in the second one."""
    rest: list[int] = []
    held: list[int] = []
    for label in sorted(set(truth)):
        group = [place for place in places if truth[place] == label]
        dice.shuffle(group)
        cut = max(1, round(len(group) * _HELD_OUT))
        held += group[:cut]
        rest += group[cut:]
    return rest, held


def _fit(inputs: Floats, truth: Any, labels: int, penalty: float) -> Floats:
    """Weights (the last row is the bias) by Nesterov's gradient method; the problem is convex, so any start will do.

    Vectors are of unit length and the bias adds one, so the loss curves by no more than 1 + `penalty`: its inverse is
    a safe step.
    """
    wanted = np.eye(labels)[truth]
    weights = np.zeros((inputs.shape[1], labels))
    ahead, momentum = weights, 1.0
    shrink = np.full((inputs.shape[1], 1), penalty)
    shrink[-1] = 0.0  # the bias is free
    for _ in range(_STEPS):
        gradient = inputs.T @ (_softmax(inputs @ ahead) - wanted) / len(inputs) + shrink * ahead
        new = ahead - gradient / (1.0 + penalty)
        following = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
        ahead = new + (momentum - 1) / following * (new - weights)
        weights, momentum = new, following
    return weights


def _softmax(odds: Floats) -> Floats:
    powers: Floats = np.exp(odds - odds.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _figures(labels: Sequence[str], truth: Any, guess: Any, sure: Any) -> dict[str, Any]:
    """What the held-out examples say."""
    right = guess == truth
    classes = {}
    for place, label in enumerate(labels):
        hits = int((right & (guess == place)).sum())
        named, there = int((guess == place).sum()), int((truth == place).sum())
        classes[label] = {
            "precision": hits / named if named else None,
            "recall": hits / there,
            "held_out": there,
        }
    return {
        "held_out": len(truth),
        "accuracy": float(right.mean()),
        "accuracy_of_the_most_frequent": max(Counter(truth.tolist()).values()) / len(truth),
        "sure": float(sure.mean()),
        "accuracy_where_sure": float(right[sure].mean()) if sure.any() else None,
        "classes": classes,
    }
