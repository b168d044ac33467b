"""What `grounded.py` makes of its observations, and how it prints them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from _sets import Question, normal
from athanor.rag import calibration
from athanor.rag.extract import Evidence, Extraction, decide
from athanor.types import Hit


@dataclass(kw_only=True)
class Outcome:
    """One question, with its passage in the store and without."""

    held_out: bool
    question: Question
    evidence: Evidence | None
    hits: list[Hit]
    without: Evidence | None
    without_hits: list[Hit]
    milliseconds: float


def ndcg(order: Sequence[int], relevant: frozenset[int], depth: int = 10) -> float:
    """Binary nDCG of documents; a document stands where its best passage stands."""
    ranked = list(dict.fromkeys(order))[:depth]
    gain = sum(1 / np.log2(place + 2) for place, document in enumerate(ranked) if document in relevant)
    return float(gain / sum(1 / np.log2(place + 2) for place in range(min(depth, len(relevant)))))


def answers(outcomes: list[Outcome]) -> dict[str, Any]:
    """Of held-out questions: gold answer in the citations, abstention with and without the passage, and the curve."""
    fitted = calibration.RERANKED
    held = [o for o in outcomes if o.held_out]
    always = [decide(o.evidence, o.hits, fitted=fitted, threshold=0.0) for o in held]
    gold = [_holds(found, o.question) for found, o in zip(always, held, strict=True)]
    shipped = [decide(o.evidence, o.hits, fitted=fitted) for o in held]
    present = np.array([found.confidence for found in always])
    absent = np.array([decide(o.without, o.without_hits, fitted=fitted).confidence for o in held])
    curve = [
        {
            "threshold": round(float(t), 3),
            "false_abstention": round(float((present < t).mean()), 3),
            "abstention": round(float((absent < t).mean()), 3),
            "shipped": bool(t == fitted.threshold),
        }
        for t in sorted({fitted.threshold, *np.quantile(present, [0.02, 0.05, 0.1, 0.15, 0.2, 0.3]).tolist()})
    ]
    answered = [(f, g) for f, g in zip(shipped, gold, strict=True) if not f.abstained]
    return {
        "questions": len(held),
        "gold_in_cited": round(mean(gold), 3),
        "cited_sentences": round(mean(len(found.citations) for found in always), 2),
        "gold_in_cited_when_answered": round(mean(g for _, g in answered), 3),
        "curve": curve,
        "milliseconds_median": round(float(np.median([o.milliseconds for o in outcomes])), 1),
        "milliseconds_p95": round(float(np.quantile([o.milliseconds for o in outcomes], 0.95)), 1),
    }


def _holds(found: Extraction, question: Question) -> bool:
    return any(normal(question.answer or "") in normal(citation.quote) for citation in found.citations)


def show(result: dict[str, Any]) -> None:
    print("nDCG@10     lexical  dense  fused  margin  reranked-fused (n)   reference")
    for name, row in result["sets"].items():
        if "fused" in row:
            print(
                f"{name:11s} {row['lexical']:.3f}    {row['dense']:.3f}  {row['fused']:.3f}  {row['margin']:+.3f}  "
                f"{row['reranked_change']:+.4f} ({row['reranked_questions']})       {row['reference']}"
            )
    found = result.get("answers")
    if found:
        print(f"\nAnswers to {found['questions']} questions on topics that the calibration has not seen")
        print(f"  gold answer in the cited sentences  {found['gold_in_cited']:.3f}  (aim .75)")
        print(f"  the same where it answers           {found['gold_in_cited_when_answered']:.3f}")
        print(f"  sentences cited                     {found['cited_sentences']:.2f}")
        print(f"  milliseconds, median and p95        {found['milliseconds_median']}  {found['milliseconds_p95']}")
        print("\nthreshold  abstains falsely  abstains when the passage is gone   (aim ≤ .15 and ≥ .75)")
        for row in found["curve"]:
            mark = "  <- shipped" if row["shipped"] else ""
            print(f"{row['threshold']:9.3f}  {row['false_abstention']:16.3f}  {row['abstention']:8.3f}{mark}")
    if "unanswerable" in result:
        row = result["unanswerable"]
        print(f"\nWith a misleading passage there ({row['questions']} questions): abstains {row['abstention']}")
    if "transfer" in result:
        row = result["transfer"]
        print(
            f"FiQA, another kind of text ({row['questions']} questions): abstains falsely {row['false_abstention']}, "
            f"when the passage is gone {row['abstention']}"
        )
    if "fit" in result:
        print("\n" + json.dumps(result["fit"], indent=1))
