"""`athanor guards train`: the heads of the injection guard, from public collections and grammars of our own.

Rows are in three parts. Heads are fitted on `train`; their probability and operating point are set on `tune`; the
figures of the sheet are of `test`, at that point. Rows of the latter two that are nearly those of the first are taken
out and counted; so are sentences of our own grammars that are nearly a row of the latter two.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from athanor.errors import InputError
from athanor.guards import windows
from athanor.guards.corpora import Row, drawn, load
from athanor.guards.duplicates import near
from athanor.guards.features import WordVectors, read
from athanor.guards.linear import Head, calibrated, fit, pooled, samples
from athanor.guards.nearest import known
from athanor.guards.sheet import HeadFile
from athanor.plugins.arrays import np

Side = Literal["user", "document"]
Told = Callable[[str, int, int], None]
"""Told the step, how much of it is done, and of how much."""

USER_ALARMS = 0.03
"""Share of harmless requests (each set counts the same) that the user head may flag."""
DOCUMENT_ALARMS = 0.008
"""Share of plain passages that the document head may flag."""
PASSAGES = frozenset({"squad", "fiqa", "cranfield", "boolq"})
EPOCHS = 5
OWN = "our own sentences"
"""Under this name the sheet counts what was taken out of our grammars."""
CAVEAT = "Windows, pooling and the amount of grammar text were chosen while all rows measured on were visible."
_LIMITS = {"halueval answers": 1500}
_LICENCES = {
    "bastion": "MIT",
    "banking77": "CC BY 4.0",
    "bipia": "MIT; tables and code CC BY-SA 4.0",
    "boolq": "CC BY-SA 3.0",
    "cranfield": "none stated; measured on, never trained on",
    "fiqa": "research use; measured on, never trained on",
    "grammar": "Apache-2.0, our own",
    "halueval": "MIT",
    "hh-rlhf": "MIT",
    "in-the-wild": "Apache-2.0",
    "mt-bench": "Apache-2.0",
    "notinject": "MIT; measured on, never trained on",
    "piguard valid": "MIT; measured on, never trained on",
    "presidio": "MIT",
    "self-instruct": "Apache-2.0",
    "squad": "CC BY-SA 4.0",
    "truthfulqa": "Apache-2.0",
}


def train(data: Path, vectors: WordVectors, *, seed: int = 0, told: Told = lambda *_: None) -> HeadFile:
    """Train both heads on the rows below `data`.

    Raises:
        InputError: there are no rows, or not both answers for both origins.
    """
    rows, doubles = parted(load(data))
    own, doubles[OWN] = apart(windows.own_rows(seed), rows)
    fitted = [*_limited([row for row in rows if row.part == "train"]), *own]
    held = measured(rows, seed)
    heads: dict[str, Head] = {}
    figures: dict[str, Any] = {}
    sides: tuple[Side, Side] = ("user", "document")
    for side in sides:
        head = _fitted(side, fitted, vectors, seed, told)
        tune = _read([row for row in held if row.part == "tune"], side, head, vectors)
        head = _calibrated(head, *tune, most=USER_ALARMS if side == "user" else DOCUMENT_ALARMS, side=side)
        heads[side] = head
        figures[side] = figures_of([row for row in held if row.part == "test"], side, head, vectors)
    nearest = known(fitted, vectors)
    sheet = {
        "name": "injection",
        "heads": {"user": "attack where a user writes it", "document": "attack in a document or a tool's result"},
        "seed": seed,
        "epochs": EPOCHS,
        "rows": _counts(fitted, held),
        "licences": {source: text for source, text in _LICENCES.items() if _used(source, rows, fitted)},
        "near_duplicates_removed": dict(sorted(doubles.items())),
        "caveat": CAVEAT,
        "measured_on_rows_never_trained_on": figures,
        "families": list(nearest.families),
    }
    return HeadFile(heads=heads, sheet=sheet, arrays=nearest.arrays())


def parted(rows: Sequence[Row]) -> tuple[list[Row], Counter[str]]:
    """Rows without those held out that are nearly one that is trained on, and how many these were, by set."""
    kept = [row for row in rows if not row.held]
    held = [row for row in rows if row.held]
    double = near([row.text for row in held], [row.text for row in kept])
    removed = Counter(row.source for row, twice in zip(held, double, strict=True) if twice)
    kept += [row for row, twice in zip(held, double, strict=True) if not twice]
    return kept, removed


def apart(own: Sequence[Row], rows: Sequence[Row]) -> tuple[list[Row], int]:
    """Sentences of our grammars without those that are nearly a row held out of `rows`, and how many these were."""
    double = near([row.text for row in own], [row.text for row in rows if row.held])
    return [row for row, twice in zip(own, double, strict=True) if not twice], sum(double)


def measured(rows: Sequence[Row], seed: int) -> list[Row]:
    """What is measured on, with the attacks of BIPIA put into their contexts. A context that is held out stays so."""
    held = [row for row in rows if row.held]
    whole = [row for row in held if row.source != "bipia"]
    for part in ("tune", "test"):
        attacks = [row for row in held if row.source == "bipia" and row.part == part]
        contexts = [row for row in held if row.context and row.part == part]
        whole += [replace(row, keep=part) for row in windows.indirect([*attacks, *contexts], seed)]
    return whole + [replace(row, document=-1) for row in held if row.source == "bipia"]


def figures_of(rows: Sequence[Row], side: Side, head: Head, vectors: WordVectors) -> dict[str, Any]:
    """By set and answer: how many texts, and how many of them are flagged."""
    found, truth, sources = _read(rows, side, head, vectors)
    chances = _chances(head, found)
    flagged = chances >= head.threshold
    result: dict[str, Any] = {}
    for source, answer in sorted({*zip(sources, truth.tolist(), strict=True)}):
        chosen = np.array([name == source for name in sources]) & (truth == answer)
        name = f"{source}: {'attacks' if answer else 'harmless'}"
        result[name] = {"texts": int(chosen.sum()), "flagged": int(flagged[chosen].sum())}
    return result


def _limited(rows: Sequence[Row]) -> list[Row]:
    counts: Counter[str] = Counter()
    found = []
    for row in sorted(rows, key=lambda row: drawn(row.text)):
        counts[row.source] += 1
        if counts[row.source] <= _LIMITS.get(row.source, len(rows)):
            found.append(row)
    return found


def _fitted(side: Side, rows: Sequence[Row], vectors: WordVectors, seed: int, told: Told) -> Head:
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        told(f"Reading for the {side} head", done, len(rows))

    if side == "user":
        given = windows.of_user(rows, vectors, seed, tick)
    else:
        given = windows.of_document(rows, vectors, seed, tick)
    answers = {int(answer) for _, answers, _ in given for answer in answers if answer >= 0}
    if answers != {0, 1}:
        raise InputError(f"The {side} head needs both attacks and harmless texts.", where="examples")
    return fit(
        samples(given),
        seed=seed,
        epochs=EPOCHS,
        progress=lambda epoch, epochs: told(f"Fitting the {side} head", epoch, epochs),
    )


def _read(rows: Sequence[Row], side: Side, head: Head, vectors: WordVectors) -> tuple[Any, Any, list[str]]:
    """Pooled figures, answers and sets of the rows that have an answer for this side."""
    found, truth, sources = [], [], []
    for row in rows:
        answer = row.user if side == "user" else row.document
        if answer < 0 or (reading := read(row.text, vectors)) is None:
            continue
        found.append(pooled(reading, head.scores(reading)))
        truth.append(answer)
        sources.append(row.source)
    return np.array(found).reshape(len(found), 4), np.array(truth), sources


def _calibrated(head: Head, found: Any, truth: Any, sources: list[str], *, most: float, side: Side) -> Head:
    """With its probability and its operating point. A set counts by the root of its size, either answer the same."""
    if set(truth.tolist()) != {0, 1}:
        return head  # too few texts were held out: as it was fitted
    counts = Counter(zip(sources, truth.tolist(), strict=True))
    weight = np.array([counts[key] ** -0.5 for key in zip(sources, truth.tolist(), strict=True)])
    for answer in (0, 1):
        weight[truth == answer] /= weight[truth == answer].sum()
    head = calibrated(head, found, truth, weight)
    chances = _chances(head, found)
    plain = np.array([side == "user" or source in PASSAGES for source in sources]) & (truth == 0)
    if not plain.any():
        plain = truth == 0
    share: dict[str, float] = defaultdict(float)
    for source, counted in zip(sources, plain, strict=True):
        share[source] += counted
    each = np.array(
        [
            1 / share[source] if side == "user" and counted else float(counted)
            for source, counted in zip(sources, plain, strict=True)
        ]
    )
    order = np.argsort(-chances)
    alarms = np.cumsum(each[order]) / each.sum()
    first = int(np.searchsorted(alarms, most, side="right"))
    return replace(head, threshold=float(np.nextafter(chances[order[min(first, len(order) - 1)]], 1.0)))


def _chances(head: Head, found: Any) -> Any:
    values = found @ np.array(head.line[:-1]) + head.line[-1]
    return 1 / (1 + np.exp(-np.clip(values, -50, 50)))


def _counts(fitted: Sequence[Row], held: Sequence[Row]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in (*fitted, *held):
        counts[row.source][row.part] += 1
    return {source: dict(sorted(parts.items())) for source, parts in sorted(counts.items())}


def _used(source: str, rows: Sequence[Row], fitted: Sequence[Row]) -> bool:
    return any(row.source.startswith(source) for row in (*rows, *fitted))
