"""Attacks by their features: heads on windows of sentences, and attacks that are known.

Two heads, since an order is an attack by where it stands: people may tell the assistant what to do, and documents and
tools may not. What is found is the window that looks most like an attack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread

from athanor.guards.builtin._trained import TrainedGuard
from athanor.guards.features import Reading, WordVectors, read, reading_of
from athanor.guards.linear import Head
from athanor.guards.nearest import NEAR, Nearest, nearest_of
from athanor.guards.sheet import load, word_vectors
from athanor.guards.subject import Subject
from athanor.types import NOTHING_FOUND, Context, Decision, Finding, Origin, Verdict

_LONG = 8000
"""Characters from which on a text is read in a thread: some 8 ms."""
_JAILBREAK = 80
"""Words: a user's attack of so many sets a scene, and is called a jailbreak."""
_SUSPECT = 0.35
"""Share of the threshold from which on known attacks are looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    heads: dict[str, Head]
    nearest: Nearest
    vectors: WordVectors


class InjectionGuard(TrainedGuard):
    """Finds `injection.model`, `jailbreak.model` and `injection.nearest`. Scores are calibrated probabilities; what is
    under the operating point of its head is not found."""

    name = "injection"
    categories = frozenset({"injection.model", "jailbreak.model", "injection.nearest"})
    reach = None
    """What a sentence wants is seen at its end."""

    def __init__(self, home: Path | None = None, *, strict: bool = False) -> None:
        super().__init__(home, strict=strict)
        self._model: _Model | None = None

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        """The most suspicious window of the text, and of what it encodes."""
        if origin is Origin.SYSTEM or not any(char.isalpha() for char in subject.plain):
            return NOTHING_FOUND
        if self._model is None:
            self._model = await to_thread.run_sync(self._loaded)
        look = partial(self._found, self._model, subject, origin)
        found = look() if len(subject.plain) < _LONG else await to_thread.run_sync(look)
        return Verdict(findings=tuple(found)) if found else NOTHING_FOUND

    def _loaded(self) -> _Model:
        file = load("injection", home=self._home, strict=self._strict)
        nearest = nearest_of(file.arrays, file.sheet["families"])
        return _Model(heads=dict(file.heads), nearest=nearest, vectors=word_vectors())

    def _found(self, model: _Model, subject: Subject, origin: Origin) -> list[Finding]:
        head = model.heads["document" if origin in {Origin.DOCUMENT, Origin.TOOL} else "user"]
        found = list(self._in(model, head, subject.plain, origin, subject))
        for part in subject.decoded:
            found += [
                replace(f, start=part.start, end=part.end, reason=f"{f.reason}, encoded as {part.how}")
                for f in self._in(model, head, part.text, origin, None)
            ]
        return found

    def _in(self, model: _Model, head: Head, text: str, origin: Origin, subject: Subject | None) -> Iterator[Finding]:
        reading = read(text, model.vectors) if subject is None else reading_of(subject, model.vectors)
        if reading is None:
            return
        scores = head.scores(reading)
        chance = head.probability(reading, scores)
        if chance < head.threshold * _SUSPECT:
            return
        worst = _worst(reading, scores)
        near = model.nearest.of(reading, scores.argsort()[-5:])
        if chance >= head.threshold:
            jailbreak = origin in {Origin.USER, Origin.MODEL} and len(text.split()) >= _JAILBREAK
            reason = _REASONS[jailbreak, origin in {Origin.DOCUMENT, Origin.TOOL}]
            if near is not None and near[0] >= NEAR - 0.1:
                reason += f"; nearest known: {near[1]}"
            category = "jailbreak.model" if jailbreak else "injection.model"
            yield self._finding(category, chance, reading.spans[worst], subject, reason)
        if near is not None and near[0] >= NEAR:
            yield self._finding(
                "injection.nearest", near[0], reading.spans[near[2]], subject, f"like a known attack: {near[1]}"
            )

    def _finding(self, category: str, score: float, span: Any, subject: Subject | None, reason: str) -> Finding:
        start, end = (0, 0) if subject is None else subject.span(int(span[0]), int(span[1]))
        return Finding(
            guard=self.name,
            category=category,
            score=score,
            start=start,
            end=end,
            reason=reason,
            decision=Decision.BLOCK if score > 0.95 else Decision.FLAG,
        )


_REASONS = {
    (True, False): "sets the assistant a scene in which its rules do not hold",
    (False, False): "tries to change what the assistant was told",
    (False, True): "gives orders to whoever reads it",
}


def _worst(reading: Reading, scores: Any) -> int:
    """The window with the highest score; of those that are nearly as high the widest, so that an attack of several
    sentences is found whole."""
    sizes = reading.words[:, 1] - reading.words[:, 0]
    close = scores >= scores.max() - 0.5
    return int((sizes * close).argmax())
