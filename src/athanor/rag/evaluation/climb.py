"""The search for better settings: one choice after another, each made on questions and judged on others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from athanor.rag.arrays import Floats, np
from athanor.rag.evaluation.choose import STAGES, folds, fusions, plain, preferred
from athanor.rag.evaluation.measure import BudgetSpent, Measuring
from athanor.types import DEFAULT_RETRIEVAL, RetrievalSettings

Note = Callable[[str, int], Awaitable[None]]
"""Told which choice is being made, and how many were made before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """Where a search ended."""

    start: RetrievalSettings
    winner: RetrievalSettings
    """Chosen on all questions."""
    held_out: tuple[int, ...]
    """Places of the questions that were in a fold, in the order of `before` and `after`."""
    before: Floats
    """The score under `start` of each question that was held out."""
    after: Floats
    """Its score under what was chosen without its fold."""
    untried: tuple[str, ...] = ()
    """Choices for which there was no time."""


def choices(measuring: Measuring, *, allow_slow: bool) -> list[str]:
    """What is chosen, in order: the fusion, then the stages that these questions and this server can judge."""
    found = ["fusion", *STAGES]
    if not measuring.passages:
        found.remove("per_document")  # a ranking of documents is the same, however many passages of each there are
    if not allow_slow or not measuring.reranks:
        found.remove("rerank")
    return found


async def climb(measuring: Measuring, start: RetrievalSettings, wanted: Sequence[str], note: Note) -> Climb:
    """Search from `start`, coordinate by coordinate, in a `measuring` that is prepared.

    What there is no time for stays as it was.

    The search is made once on all questions and once without each fold; a choice that was not made for every one of
    these is made for none.
    """
    parts = folds(measuring.questions)
    everyone = [place for part in parts for place in part]
    trains = [everyone, *([place for other in parts if other is not part for place in other] for part in parts)]
    held = [start] * len(trains)
    await measuring.of(start)
    untried: list[str] = []
    for count, choice in enumerate(wanted):
        await note(choice, count)
        try:
            held = [
                await _chosen(measuring, settings, choice, train) for settings, train in zip(held, trains, strict=True)
            ]
        except BudgetSpent:
            untried.append(choice)
    order = [place for part in parts for place in part]
    after = [(await measuring.of(settings))[part] for settings, part in zip(held[1:], parts, strict=True) if part]
    return Climb(
        start=start,
        winner=held[0],
        held_out=tuple(order),
        before=(await measuring.of(start))[order],
        after=np.concatenate(after) if after else np.zeros(0),
        untried=tuple(untried),
    )


async def _chosen(measuring: Measuring, now: RetrievalSettings, choice: str, train: Sequence[int]) -> RetrievalSettings:
    if choice != "fusion":
        candidates = [replace(now, **{choice: value}) for value in STAGES[choice]]
        home = replace(now, **{choice: getattr(DEFAULT_RETRIEVAL, choice)})
        return await _preferred(measuring, now, candidates, home, train)
    alone = plain(now)
    found = await _preferred(measuring, alone, fusions(alone), _fused_as(alone, DEFAULT_RETRIEVAL), train)
    if now == alone:
        return found
    # The fusion is chosen by itself, which costs next to nothing, and then tried with the stages that are on.
    changed = _fused_as(now, found)
    return await _preferred(measuring, now, [changed], changed, train)


async def _preferred(
    measuring: Measuring,
    now: RetrievalSettings,
    candidates: Sequence[RetrievalSettings],
    home: RetrievalSettings,
    train: Sequence[int],
) -> RetrievalSettings:
    scores = {settings: await measuring.of(settings) for settings in dict.fromkeys([now, home, *candidates])}
    return preferred(now, scores, train, home)


def _fused_as(settings: RetrievalSettings, other: RetrievalSettings) -> RetrievalSettings:
    return replace(settings, dense_weight=other.dense_weight, lexical_lead=other.lexical_lead)
