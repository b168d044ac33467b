"""Whether a search for better settings found any, in figures and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from athanor.rag.evaluation.bootstrap import figure, interval, paired
from athanor.rag.evaluation.choose import difference
from athanor.rag.evaluation.climb import Climb
from athanor.rag.evaluation.measure import Measuring
from athanor.types import DEFAULT_RETRIEVAL

LEAST = 25
"""Questions of people to judge by, without which nothing is changed; as many choose."""
SLOW = 2.0
"""How many times as long as before a search may take without being asked for."""
_SHOWN = 12
"""Settings in the table of a report, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do."""

    better: bool
    reason: str
    """For people: a sentence or two."""


def decide(found: Climb, *, people: bool, milliseconds: Mapping[str, float], allow_slow: bool) -> Verdict:
    """Is the winner to be taken. In doubt, the settings stay as they are.

    Args:
        people: the questions are those of people.
        milliseconds: of one search, `before` and with the `winner`.
    """
    if not people:
        return _no("The questions are made ones. They show what changes and not what is better.")
    if len(found.held_out) < LEAST:
        count = len(found.held_out)
        return _no(f"{count} questions of people to judge by are too few; {LEAST} are the least, and as many choose.")
    if found.winner == found.start:
        return _no("Nothing that was tried is clearly better.")
    gain = paired(found.before, found.after)
    said = f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}] nDCG@10 on {len(found.held_out)} questions held out"
    if gain.low <= 0:
        return _no(f"What was chosen is not surely better on others: {said}.")
    slower = milliseconds["winner"] / max(milliseconds["before"], 1e-9)
    if slower > SLOW and not allow_slow:
        return _no(f"It is better, {said}, and {slower:.1f} times as slow. --allow-slow takes it.")
    return Verdict(better=True, reason=f"{said}.")


def _no(reason: str) -> Verdict:
    return Verdict(better=False, reason=f"{reason} The settings stay as they are.")


def report(measuring: Measuring, found: Climb, verdict: Verdict) -> dict[str, Any]:
    """What was measured, as JSON."""
    before = measuring.scores[found.start]
    best = sorted(measuring.scores, key=lambda settings: -float(measuring.scores[settings].mean()))
    shown = dict.fromkeys([found.start, found.winner, *best])
    table = [
        {
            "settings": difference(settings, DEFAULT_RETRIEVAL),
            "ndcg": round(float(measuring.scores[settings].mean()), 4),
            "difference": figure(paired(before, measuring.scores[settings])),
        }
        for settings in list(shown)[:_SHOWN]
    ]
    held = len(found.held_out) > 1 and found.winner != found.start
    return {
        "questions": len(measuring.questions),
        "before": asdict(found.start),
        "winner": asdict(found.winner),
        "change": difference(found.winner, found.start),
        "better": verdict.better,
        "ndcg": {
            "before": figure(interval(before)),
            "winner": figure(interval(measuring.scores[found.winner])),
        },
        "held_out": figure(paired(found.before, found.after)) if held else None,
        "measured": len(measuring.scores),
        "untried": [*found.untried],
        "table": table,
    }
