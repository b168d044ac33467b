"""The labelled sentences of `privacy.py`, how findings are scored on them, and how the weights for names are fitted."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from athanor.guards.normalise import subject_of
from athanor.guards.personal.features import FEATURES, read
from athanor.guards.subject import Subject
from athanor.types import Tagging

Found = tuple[str, int, int]
"""Category, start, end."""

MEANS = {
    "PERSON": {"person"},
    "STREET_ADDRESS": {"street", "place"},
    "GPE": {"place", "street"},
    "ZIP_CODE": {"place", "street"},
    "ORGANIZATION": {"organization"},
    "CREDIT_CARD": {"card"},
    "US_SSN": {"national_id"},
    "US_DRIVER_LICENSE": {"licence"},
    "IBAN_CODE": {"iban"},
    "EMAIL_ADDRESS": {"email"},
    "PHONE_NUMBER": {"phone"},
    "IP_ADDRESS": {"ip"},
    "DOMAIN_NAME": {"url"},
    "AGE": {"age"},
    "DATE_TIME": {"date_of_birth"},
}
"""Label of the set → our categories that are right for it. NRP and TITLE have none."""
STRUCTURED = (
    "CREDIT_CARD", "US_SSN", "US_DRIVER_LICENSE", "IBAN_CODE", "EMAIL_ADDRESS", "PHONE_NUMBER", "IP_ADDRESS",
    "DOMAIN_NAME",
)  # fmt: skip
POINT = 0.25
"""A word's chance of being part of a name at which the guard works; misses cost more than false alarms."""


@dataclass(frozen=True, kw_only=True)
class Row:
    text: str
    spans: tuple[tuple[str, int, int], ...]
    template: int
    subject: Subject

    @property
    def half(self) -> int:
        return int(hashlib.sha256(str(self.template).encode()).hexdigest(), 16) % 2


def rows_of(data: Path, limit: int | None = None) -> list[Row]:
    raw = json.loads((data / "privacy/presidio_synth_v2.json").read_text())
    if limit is not None:
        raw = random.Random(0).sample(raw, limit)
    return [
        Row(
            text=row["full_text"],
            spans=tuple((s["entity_type"], s["start_position"], s["end_position"]) for s in row["spans"]),
            template=row["template_id"],
            subject=subject_of(row["full_text"]),
        )
        for row in raw
    ]


def customers(data: Path, count: int) -> list[str]:
    """Messages to a bank, which hold no names: what must not be taken for one."""
    with (data / "intent/banking77/train.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    return random.Random(1).sample(texts, count)


def wilson(hits: int, total: int) -> tuple[float, float, float]:
    """Share and its 95 % interval."""
    if not total:
        return math.nan, math.nan, math.nan
    z, share = 1.96, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return share, max(0.0, middle - half), min(1.0, middle + half)


def score(rows: Iterable[Row], found: Iterable[Sequence[Found]]) -> dict[str, Any]:
    """Recall for each label in two readings, precision for each category.

    covered: every letter and digit of the labelled span lies in spans of a right category. touched: one does.
    A found span is right if at least half of its letters and digits lie in labelled spans that it is right for.
    """
    total: dict[str, int] = defaultdict(int)
    covered: dict[str, int] = defaultdict(int)
    touched: dict[str, int] = defaultdict(int)
    given: dict[str, int] = defaultdict(int)
    right: dict[str, int] = defaultdict(int)
    for row, spans in zip(rows, found, strict=True):
        for label, start, end in row.spans:
            means = MEANS.get(label)
            if means is None:
                continue
            held = {at for kind, s, e in spans if kind in means for at in range(max(s, start), min(e, end))}
            places = [at for at in range(start, end) if row.text[at].isalnum()]
            total[label] += 1
            covered[label] += all(at in held for at in places)
            touched[label] += any(at in held for at in places)
        for kind, start, end in spans:
            places = [at for at in range(start, end) if row.text[at].isalnum()]
            good = {
                at
                for label, s, e in row.spans
                if kind in MEANS.get(label, ())
                for at in range(max(s, start), min(e, end))
            }
            given[kind] += 1
            right[kind] += 2 * sum(at in good for at in places) >= len(places)
    groups = {"structured": STRUCTURED, **{label: (label,) for label in MEANS}}
    return {
        "recall": {
            name: {
                "spans": sum(total[one] for one in labels),
                "covered": wilson(sum(covered[one] for one in labels), sum(total[one] for one in labels)),
                "touched": wilson(sum(touched[one] for one in labels), sum(total[one] for one in labels)),
            }
            for name, labels in groups.items()
            if sum(total[one] for one in labels)
        },
        "precision": {
            "all": {"spans": sum(given.values()), "right": wilson(sum(right.values()), sum(given.values()))},
            **{kind: {"spans": given[kind], "right": wilson(right[kind], given[kind])} for kind in sorted(given)},
        },
    }


def fit(rows: Sequence[Row], taggings: Sequence[Tagging], others: Sequence[tuple[str, Tagging]]) -> list[float]:
    """Weights of `FEATURES`: logistic regression with a ridge of 1, moved so that `POINT` scores .5.

    Words in names of organisations count neither way: half of those are surnames.

    Args:
        others: texts without names.
    """
    features: list[Sequence[float]] = []
    labels: list[float] = []
    for row, tagging in zip(rows, taggings, strict=True):
        for word in read(row.subject.plain, tagging):
            start, end = row.subject.span(*tagging.words[word.place])
            kinds = {label for label, s, e in row.spans if s < end and start < e}
            if "ORGANIZATION" not in kinds:
                features.append(word.features)
                labels.append(float("PERSON" in kinds))
    for text, tagging in others:
        found = [word.features for word in read(text, tagging)]
        features += found
        labels += [0.0] * len(found)
    matrix, target = np.array(features), np.array(labels)
    weights = np.zeros(len(FEATURES))
    for _ in range(50):
        chance = 1 / (1 + np.exp(-matrix @ weights))
        gradient = matrix.T @ (chance - target) + weights
        curve = (matrix * (chance * (1 - chance))[:, None]).T @ matrix + np.eye(len(weights))
        step = np.linalg.solve(curve, gradient)
        weights -= step
        if np.abs(step).max() < 1e-7:
            break
    weights[0] += math.log((1 - POINT) / POINT)
    return [round(float(weight), 3) for weight in weights]
