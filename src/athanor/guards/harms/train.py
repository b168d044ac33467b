"""Training and measuring heads for toxicity and for harmful requests, from the examples of `examples`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from athanor.guards.duplicates import near
from athanor.guards.features import Reading, WordVectors, read
from athanor.guards.harms.examples import HARMFUL, LICENCES, TOXIC, Example, harmful, toxic
from athanor.guards.harms.heads import Heads
from athanor.guards.linear import Head, calibrated, fit, pooled, samples
from athanor.guards.normalise import subject_of
from athanor.guards.sheet import HeadFile
from athanor.plugins.arrays import np

Name = Literal["toxicity", "harm"]
Told = Callable[[str, int, int], None]
"""Told the step, how much of it is done, and of how much."""

SHARE = 0.2
"""Of texts in which a category is, among those that the probabilities are calibrated for."""
ALARMS = 0.02
"""Share of plain texts that a threshold may flag, on the rows for calibration."""
EPOCHS = 10
_EACH = 3
"""Windows of one plain text that are trained on."""
_WITHIN = 0.7
"""Share of a text that a window must hold to have the text's answer."""


def train(name: Name, data: Path, vectors: WordVectors, *, seed: int = 0, told: Told = lambda *_: None) -> HeadFile:
    """Train the heads called `name` on the public sets below `data`.

    A fifth of the rows that are not held out calibrates. The figures of the sheet are of rows held out, without those
    that are nearly one that was trained on.

    Raises:
        InputError: a set is not there.
    """
    categories = [*TOXIC.values()] if name == "toxicity" else [*HARMFUL]
    examples, doubles = parted(toxic(data) if name == "toxicity" else harmful(data))
    dice = np.random.default_rng(seed)
    rows = [(e, r) for e in examples if not e.held and (r := read(subject_of(e.text).plain, vectors)) is not None]
    apart = (dice.random(len(rows)) < 0.2).tolist()
    heads: dict[str, Head] = {}
    for place, category in enumerate(categories):
        told(f"Fitting heads for {name}", place, len(categories))
        known = [(e, r, a) for (e, r), a in zip(rows, apart, strict=True) if category in e.truth]
        given = [
            (r, _answers(r, e.truth[category]), np.full(len(r), _weight(e, category))) for e, r, a in known if not a
        ]
        head = fit(samples(given), seed=seed, epochs=EPOCHS)
        heads[category] = _set(head, [(e, r) for e, r, a in known if a], category)
    told(f"Fitting heads for {name}", len(categories), len(categories))
    file = HeadFile(heads=heads, sheet={})
    sheet = {
        "name": name,
        "heads": {category: f"how likely a text is {category}" for category in categories},
        "seed": seed,
        "epochs": EPOCHS,
        "calibrated_for_share": SHARE,
        "rows": _counts(examples),
        "licences": {source: LICENCES[source] for source in sorted({e.source for e in examples})},
        "near_duplicates_removed": dict(sorted(doubles.items())),
        "measured_on_rows_never_trained_on": figures_of(Heads(file, vectors), [e for e in examples if e.held]),
    }
    return HeadFile(heads=heads, sheet=sheet)


def parted(examples: Sequence[Example]) -> tuple[list[Example], Counter[str]]:
    """Examples without those held out that are nearly one that is trained on, and how many these were, by set."""
    kept = [e for e in examples if not e.held]
    held = [e for e in examples if e.held]
    double = near([e.text for e in held], [e.text for e in kept])
    removed = Counter(e.source for e, twice in zip(held, double, strict=True) if twice)
    return kept + [e for e, twice in zip(held, double, strict=True) if not twice], removed


def figures_of(heads: Heads, examples: Sequence[Example]) -> dict[str, Any]:
    """By category and set: how many texts that are it and that are not, and how many of both are flagged."""
    found: dict[str, dict[str, Any]] = {category: {} for category in heads.heads}
    for example in examples:
        scores = heads.scores(subject_of(example.text).plain)
        for category, truth in example.truth.items():
            key = f"{example.source}: {'yes' if truth >= 0.5 else 'no'}"
            row = found[category].setdefault(key, {"texts": 0, "flagged": 0})
            row["texts"] += 1
            row["flagged"] += int(
                category in scores and scores[category].probability >= heads.heads[category].threshold
            )
    return {category: dict(sorted(rows.items())) for category, rows in found.items()}


def _set(head: Head, rows: Sequence[tuple[Example, Reading]], category: str) -> Head:
    """Calibrated, with the threshold that few enough plain texts reach."""
    figures = np.stack([pooled(r, head.scores(r)) for _, r in rows])
    truth = np.array([float(e.truth[category] >= 0.5) for e, _ in rows])
    share = np.where(truth > 0, SHARE / max(truth.sum(), 1), (1 - SHARE) / max((1 - truth).sum(), 1))
    head = calibrated(head, figures, truth, share)
    plain = [head.probability(r, head.scores(r)) for e, r in rows if not any(e.truth.values())]
    return replace(head, threshold=round(float(np.clip(np.quantile(plain, 1 - ALARMS), 0.3, 0.98)), 3))


def _answers(reading: Reading, truth: float) -> Any:
    """Of a plain text all windows are plain; of another those that hold most of it have its answer."""
    size = reading.words[:, 1] - reading.words[:, 0]
    if truth == 0.0:
        answers = np.zeros(len(reading))
        answers[np.argsort(size)[: max(len(reading) - _EACH, 0)]] = -1
        return answers
    return np.where(size >= _WITHIN * size.max(), truth, -1.0)


def _weight(example: Example, category: str) -> float:
    """Plain rows are many: others count more, and so do groups of people, whom toxic texts name more often."""
    return 12.0 if example.truth[category] >= 0.5 else 4.0 if example.source == "groups" else 1.0


def _counts(examples: Sequence[Example]) -> Mapping[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for example in examples:
        counts.setdefault(example.source, Counter())["held" if example.held else "train"] += 1
    return {source: dict(sorted(parts.items())) for source, parts in sorted(counts.items())}
