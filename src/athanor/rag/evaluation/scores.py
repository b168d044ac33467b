"""What questions are measured by, and what the measurements of many come to. Pure.

A measure whose truth is not known is absent, and never 0: a question without judgements has no nDCG, and an answer that
was not given cites nothing wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from athanor.rag.evaluation import match
from athanor.rag.evaluation.asked import Asked, Found
from athanor.rag.evaluation.bootstrap import figure, interval, paired, quantile
from athanor.rag.evaluation.metrics import ndcg, recall, reciprocal_rank
from athanor.types import Citation, Evaluation, Finished

MEASURES = (
    "ndcg@10",
    "recall@5",
    "recall@10",
    "mrr@10",
    "answer exact",
    "answer contained",
    "answer f1",
    "faithfulness",
    "citation precision",
    "citation recall",
    "right abstention",
    "false abstention",
)
"""Means over the questions that have them; 0 to 1."""
TIMES: Mapping[str, str] = {"seconds": "latency", "answer seconds": "answer latency"}
"""Of each question, in seconds → what its percentiles are called."""
LOWER = frozenset({"false abstention", *TIMES.values()})
"""Measures that are better where they are lower."""
_CHANGED = 10
"""Questions named in a comparison, those that changed most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer that was given."""

    text: str
    citations: tuple[Citation, ...]
    finished: Finished
    seconds: float


def ranking(ranked: Sequence[str], found: Found) -> dict[str, float]:
    """Measures of a ranking of sources, or of passages where those are relevant."""
    if not found.relevant:
        return {}
    return {
        "ndcg@10": ndcg(ranked, found.relevant),
        "recall@5": recall(ranked, found.relevant, k=5),
        "recall@10": recall(ranked, found.relevant),
        "mrr@10": reciprocal_rank(ranked, found.relevant),
    }


def answering(given: Given, asked: Asked, found: Found) -> dict[str, float]:
    """Measures of an answer.

    Citations and faithfulness are those of answers that were given: whether to give one is a measure of its own.
    """
    abstained = given.finished.abstained
    values = {"answer seconds": given.seconds}
    if asked.unanswerable:
        values["right abstention"] = float(abstained)
    elif asked.answerable:
        values["false abstention"] = float(abstained)
    if asked.answer:
        said = "" if abstained else given.text
        values["answer exact"] = match.exact(said, asked.answer)
        values["answer contained"] = match.contained(said, asked.answer)
        values["answer f1"] = match.f1(said, asked.answer)
    if abstained:
        return values
    if given.finished.groundedness is not None:
        values["faithfulness"] = given.finished.groundedness
    if found.relevant:
        cited = {f"{one.source}#{one.chunk}" if found.passages else one.source for one in given.citations}
        right = len(cited.intersection(found.relevant))
        values["citation recall"] = right / len(found.relevant)
        if cited:
            values["citation precision"] = right / len(cited)
    return values


def figures(details: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Measure → mean and 95 % interval over the questions that have it; of times, the percentiles."""
    made: dict[str, dict[str, float]] = {}
    for name in MEASURES:
        if values := [entry[name] for entry in details if name in entry]:
            made[name] = {**figure(interval(values)), "questions": len(values)}
    for name, said in TIMES.items():
        if values := [entry[name] for entry in details if name in entry]:
            for share in (0.5, 0.95):
                made[f"{said} p{100 * share:.0f}"] = {**figure(quantile(values, share)), "questions": len(values)}
    return made


def compare(before: Evaluation, after: Evaluation) -> dict[str, Any]:
    """What changed on the questions that both were measured by, as JSON.

    `measures`: measure → its mean `before` and `after` on these questions, and the paired `difference` with its
    interval. `changed`: questions by how much their first measure changed.
    """
    known = {(entry["id"], entry.get("digest")): entry for entry in before.details}
    pairs = [(known[key], entry) for entry in after.details if (key := (entry["id"], entry.get("digest"))) in known]
    measures = {}
    for name in (*MEASURES, *TIMES):
        both = [(old[name], new[name]) for old, new in pairs if name in old and name in new]
        if both:
            old, new = [pair[0] for pair in both], [pair[1] for pair in both]
            measures[TIMES.get(name, name)] = {
                "before": round(sum(old) / len(old), 4),
                "after": round(sum(new) / len(new), 4),
                "difference": figure(paired(old, new)),
                "questions": len(both),
            }
    return {
        "before": about(before),
        "after": about(after),
        "shared": len(pairs),
        "only_before": len(before.details) - len(pairs),
        "only_after": len(after.details) - len(pairs),
        "measures": measures,
        "changed": _most(pairs, next((name for name in MEASURES if name in measures), None)),
    }


def _most(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], name: str | None) -> list[dict[str, Any]]:
    if name is None:
        return []
    both = [(old[name], new) for old, new in pairs if name in old and name in new and old[name] != new[name]]
    return [
        {"id": new["id"], "measure": name, "before": old, "after": new[name]}
        for old, new in sorted(both, key=lambda one: -abs(one[1][name] - one[0]))[:_CHANGED]
    ]


def about(evaluation: Evaluation) -> dict[str, Any]:
    """Which evaluation it is, as JSON."""
    return {
        "id": evaluation.id,
        "version": evaluation.version,
        "revision": evaluation.revision,
        "questions": evaluation.questions,
        "created_at": evaluation.created_at,
    }
