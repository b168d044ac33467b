"""Toxicity of what is said: how likely people take offence, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from anyio import to_thread

from athanor.guards.builtin._trained import TrainedGuard
from athanor.guards.harms.heads import Heads
from athanor.guards.harms.language import foreign
from athanor.guards.sheet import load, word_vectors
from athanor.guards.subject import Subject
from athanor.types import NOTHING_FOUND, Context, Decision, Finding, Origin, Verdict

_LONG = 4000
"""Characters from which on a text is scored in a thread."""


class HeadsGuard(TrainedGuard):
    """One finding for each head: with the decision `flag` from its threshold on, and without one below, so that a
    policy's own threshold has something to compare."""

    name: str
    categories: frozenset[str]
    reach = None
    english = False
    """Keep silent about texts in other languages, because the heads flag what they do not know."""
    _reasons: Mapping[str, str]

    def __init__(self, home: Path | None = None, *, strict: bool = False) -> None:
        super().__init__(home, strict=strict)
        self._heads: Heads | None = None

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        """The probability of each category, with the characters that speak for it most."""
        if not any(char.isalpha() for char in subject.plain):
            return NOTHING_FOUND
        if self.english and foreign(subject.plain):
            return NOTHING_FOUND
        heads = self._heads
        if heads is None:
            heads = self._heads = await to_thread.run_sync(self._loaded)
        if len(subject.plain) < _LONG:
            scores = heads.judged(subject)
        else:
            scores = await to_thread.run_sync(heads.judged, subject)
        if not scores:
            return NOTHING_FOUND
        findings = []
        for category, score in scores.items():
            start, end = subject.span(score.start, score.end)
            decision = Decision.FLAG if score.probability >= heads.heads[category].threshold else Decision.ALLOW
            findings.append(
                Finding(
                    guard=self.name,
                    category=category,
                    score=score.probability,
                    start=start,
                    end=end,
                    reason=self._reasons[category],
                    decision=decision,
                )
            )
        return Verdict(findings=tuple(findings))

    def _loaded(self) -> Heads:
        return Heads(load(self.name, home=self._home, strict=self._strict), word_vectors())


class ToxicityGuard(HeadsGuard):
    """Eight kinds of toxicity, in English."""

    name = "toxicity"
    english = True
    _reasons: Mapping[str, str] = {
        "toxicity.general": "reads as rude or hurtful",
        "toxicity.severe": "reads as very hurtful",
        "toxicity.insult": "reads as an insult",
        "toxicity.threat": "reads as a threat",
        "toxicity.identity": "reads as an attack on a group of people",
        "toxicity.profanity": "has obscene words",
        "toxicity.sexual": "is sexual",
        "toxicity.flirtation": "reads as an advance",
    }
    categories = frozenset(_reasons)
