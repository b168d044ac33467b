"""Choosing settings by scores of questions: what may be chosen from, and when one is better. Pure.

A choice is made on one half of the questions and judged on the other alone. Folds that take turns would judge on all of
them, but where every fold chooses the same, the questions that judge are those that chose, and luck gets through.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from athanor.rag.arrays import Floats, np
from athanor.types import DEFAULT_RETRIEVAL, Question, RetrievalSettings

WEIGHTS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
LEADS = (0.0, 0.03, 0.06, 0.1, 0.15)

# In this order: what costs a search least comes first, so that a short budget is spent on it.
STAGES: Mapping[str, tuple[Any, ...]] = {
    "feedback": (0.0, 0.1, 0.2, 0.3),
    "diversity": (0.0, 0.2),
    "per_document": (None, 1, 2, 3),
    "hops": (1, 2),
    "rerank": (0.0, 0.05, 0.1, 0.2),
}


def fusions(settings: RetrievalSettings) -> list[RetrievalSettings]:
    """`settings` with every choice of the fusion."""
    grid = {replace(settings, dense_weight=weight, lexical_lead=lead): None for weight in WEIGHTS for lead in LEADS}
    return list(grid | {settings: None})


def plain(settings: RetrievalSettings) -> RetrievalSettings:
    """`settings` with the fusion alone: no further stage."""
    return replace(settings, **{name: getattr(DEFAULT_RETRIEVAL, name) for name in STAGES})


def halves(questions: Sequence[Question]) -> tuple[list[int], list[int]]:
    """Indexes of `questions` in two parts: to choose on, and to judge by. Those about one document are in the same.

    Which part that is follows from the document's name, so that a question more moves no other.
    """
    parts: tuple[list[int], list[int]] = ([], [])
    for place, question in enumerate(questions):
        about = min(question.relevant).partition("#")[0]
        parts[zlib.crc32(about.encode()) % 2].append(place)
    return parts


def preferred(
    before: RetrievalSettings,
    scores: Mapping[RetrievalSettings, Floats],
    chosen_on: Sequence[int],
    home: RetrievalSettings | None = None,
) -> RetrievalSettings:
    """The best of `scores` (settings → score of each question), by the questions `chosen_on`.

    A gain counts less one standard error of it, so that `before` gives way only to what is clearly better: on the three
    sets of `bench/tune.py` the largest mean alone, chosen on 30 questions, loses up to .006 on all the others, and
    this at most .003. `home`, the defaults, is tried first, so that settings that went wrong go back where nothing is
    clearly better than to go back.
    """
    if len(chosen_on) < 2:
        return before
    picked = np.asarray(chosen_on)
    if home is not None and _worth(scores[home][picked] - scores[before][picked]) > _NOTHING:
        before = home
    base = scores[before][picked]
    best, most = before, _NOTHING
    for settings, values in scores.items():
        worth = _worth(values[picked] - base)
        if worth > most:
            best, most = settings, worth
    return best


_NOTHING = 1e-9


def _worth(gains: Floats) -> float:
    """Their mean less its standard error."""
    return float(gains.mean() - gains.std(ddof=1) / math.sqrt(gains.size))


def difference(settings: RetrievalSettings, other: RetrievalSettings) -> dict[str, Any]:
    """What of `settings` is not as in `other`."""
    return {
        name: getattr(settings, name) for name in settings.__slots__ if getattr(settings, name) != getattr(other, name)
    }
