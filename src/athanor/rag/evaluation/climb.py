"""The search for better settings: one choice after another, each made on questions and judged on others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from athanor.rag.arrays import Floats
from athanor.rag.evaluation.choose import STAGES, fusions, halves, plain, preferred
from athanor.rag.evaluation.measure import BudgetSpent, Measuring
from athanor.types import DEFAULT_RETRIEVAL, RetrievalSettings

Note = Callable[[str, int], Awaitable[None]]
"""Told which choice is being made, and how many were made before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """Where a search ended."""

    start: RetrievalSettings
    winner: RetrievalSettings
    """Chosen on the questions that were not held out."""
    held_out: tuple[int, ...]
    """Places of the questions that chose nothing, in the order of `before` and `after`."""
    before: Floats
    """Their scores under `start`."""
    after: Floats
    """Their scores under `winner`."""
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
    """
    train, held_out = halves(measuring.questions)
    winner = start
    await measuring.of(start)
    untried: list[str] = []
    for count, choice in enumerate(wanted):
        await note(choice, count)
        try:
            winner = await _chosen(measuring, winner, choice, train)
        except BudgetSpent:
            untried.append(choice)
    return Climb(
        start=start,
        winner=winner,
        held_out=tuple(held_out),
        before=(await measuring.of(start))[held_out],
        after=(await measuring.of(winner))[held_out],
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
