"""What `grounding.py` makes of its observations: scores, areas under curves, intervals, and a fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from _fit import logistic
from _statements import Statement
from athanor.rag.calibration import Support

BASELINES = ("unigram", "bigram", "trigram")
FALSE = 0.07
"""Share of unsupported statements of the fitting half that may pass: the operating point."""

DRAWS = 1000


@dataclass(kw_only=True)
class Row:
    """A statement with what was observed of it."""

    statement: Statement
    held_out: bool
    parts: list[Any]
    """Of the whole statement and of each of its clauses: n × features of the candidates."""
    exact: bool
    """A source has this very sentence."""
    overlap: tuple[float, ...]
    """Of one, two and three words."""
    milliseconds: float


def score(row: Row, support: Support) -> float:
    """As the product scores, of the features that the product has computed."""
    if row.exact:
        return 1.0
    values = [max((support.probability(r) for r in part.tolist()), default=0.0) for part in row.parts]
    if values[0] < support.threshold and len(values) > 1:
        return max(values[0], min(values[1:]))
    return values[0]


def auc(positive: Any, negative: Any) -> float:
    """Area under the ROC curve: how often a positive is over a negative, a tie counting half."""
    if not len(positive) or not len(negative):
        return float("nan")
    both = np.concatenate([positive, negative])
    _, inverse, counts = np.unique(both, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def figures(rows: Sequence[Row], support: Support) -> dict[str, Any]:
    """Areas under the curve with 95 % intervals (bootstrap over passages), the lead, and the operating point."""
    fine = np.array([row.statement.supported for row in rows])
    kinds = np.array([row.statement.kind for row in rows])
    scores = {"groundedness": np.array([score(row, support) for row in rows])}
    scores |= {name: np.array([row.overlap[i] for row in rows]) for i, name in enumerate(BASELINES)}
    draws = _resampled([row.statement.passage for row in rows])
    whole = {
        name: _interval(lambda at, v=v: auc(v[at][fine[at]], v[at][~fine[at]]), draws) for name, v in scores.items()
    }
    ours = scores["groundedness"]
    best = max(BASELINES, key=lambda name: whole[name]["value"])

    def ahead(at: Any) -> float:
        return auc(ours[at][fine[at]], ours[at][~fine[at]]) - auc(
            scores[best][at][fine[at]], scores[best][at][~fine[at]]
        )

    table = {}
    for kind, count in Counter(kinds.tolist()).most_common():
        these = kinds == kind
        row = {name: round(_of_kind(v, these, fine), 3) for name, v in scores.items()}
        passed = float((ours[these] >= support.threshold).mean())
        table[kind] = {"statements": count, "supported": bool(fine[these].all()), "passes": round(passed, 3), **row}
    return {
        "statements": len(rows),
        "supported": int(fine.sum()),
        "auroc": whole,
        "ahead_of_best_baseline": {"baseline": best, **_interval(ahead, draws)},
        "threshold": support.threshold,
        "supported_that_pass": round(float((ours[fine] >= support.threshold).mean()), 3),
        "unsupported_that_pass": round(float((ours[~fine] >= support.threshold).mean()), 3),
        "calibration_error": round(_calibration_error(ours, fine), 3),
        "kinds": table if len(table) > 1 else {},
    }


def _of_kind(values: Any, these: Any, fine: Any) -> float:
    """One kind against all of the other label."""
    return auc(values[these], values[~fine]) if fine[these].all() else auc(values[fine], values[these])


def _resampled(groups: Sequence[int]) -> list[Any]:
    """Indexes of all rows, then of each bootstrap draw of whole passages."""
    generator = np.random.default_rng(3)
    labels = np.array(groups)
    places = [np.flatnonzero(labels == group) for group in np.unique(labels)]
    draws = [np.arange(len(labels))]
    sizes = [generator.integers(len(places), size=len(places)) for _ in range(DRAWS)]
    return [*draws, *(np.concatenate([places[i] for i in chosen]) for chosen in sizes)]


def _interval(measure: Callable[..., float], draws: list[Any]) -> dict[str, float]:
    value, *others = [measure(draw) for draw in draws]
    low, high = np.nanquantile(others, [0.025, 0.975])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _calibration_error(scores: Any, fine: Any, bins: int = 10) -> float:
    """Mean distance of score and share in bins of equal width, both labels weighing the same."""
    weight = np.where(fine, 0.5 / max(1, fine.sum()), 0.5 / max(1, (~fine).sum()))
    place = np.minimum((scores * bins).astype(int), bins - 1)
    error = 0.0
    for i in range(bins):
        inside = place == i
        if inside.any():
            error += abs(float((weight * (scores - fine))[inside].sum()))
    return error


def fitted(rows: Sequence[Row]) -> Support:
    """Logistic weights on each statement's best candidate, chosen by the weights of the round before."""
    used = [row for row in rows if not row.exact and len(row.parts[0])]
    fine = np.array([row.statement.supported for row in used], dtype=float)
    picked = [int(np.argmax(row.parts[0][:, 0] + row.parts[0][:, -1])) for row in used]
    for _ in range(6):
        features = np.array([row.parts[0][at] for row, at in zip(used, picked, strict=True)])
        weights, bias = logistic(features, fine)
        picked = [int(np.argmax(row.parts[0] @ np.array(weights))) for row in used]
    draft = Support(weights=tuple(round(w, 3) for w in weights), bias=round(bias, 3), threshold=1.0)
    wrong = [score(row, draft) for row in rows if not row.statement.supported]
    threshold = round(float(np.quantile(wrong, 1 - FALSE)), 3)
    return Support(weights=draft.weights, bias=draft.bias, threshold=threshold)


def show(result: dict[str, Any]) -> None:
    """Print it for people."""
    if result["fit"]:
        print(result["fit"], "\n")
    for name in ("statements", "answers", "halueval"):
        part = result.get(name)
        if not part:
            continue
        print(f"{name}: {part['statements']}, {part['supported']} of them supported", end="")
        print(f"; {part['rows_with_source']} of {part['rows']} rows" if "rows" in part else "")
        for key, row in part["auroc"].items():
            print(f"  AUROC {key:13s} {row['value']:.3f}  [{row['low']:.3f}, {row['high']:.3f}]")
        row = part["ahead_of_best_baseline"]
        print(f"  ahead of {row['baseline']:10s} {row['value']:+.3f}  [{row['low']:+.3f}, {row['high']:+.3f}]")
        print(
            f"  at {part['threshold']}: of supported pass {part['supported_that_pass']}, of unsupported "
            f"{part['unsupported_that_pass']}; calibration error {part['calibration_error']}"
        )
        for kind, row in part["kinds"].items():
            mark = "+" if row["supported"] else "-"
            values = "  ".join(f"{row[key]:.3f}" for key in ("groundedness", *BASELINES))
            print(f"    {mark} {kind:20s} {row['statements']:4d}  passes {row['passes']:.2f}   AUROC {values}")
        print()
    print(f"milliseconds a sentence: median {result['milliseconds_median']}, p95 {result['milliseconds_p95']}")
