"""Rules for orders, forged roles and jailbreaks, over the text as it reads and over what is encoded in it.

They are certain about little and quick about that; paraphrases are the classifier's work (`injection`). What the
reading of the text itself has noticed (`Subject.odd`) is told here as `encoding.*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from athanor.guards.patterns import RULES, Rule, folded
from athanor.guards.subject import Subject
from athanor.types import NOTHING_FOUND, Context, Finding, Origin, Verdict

CATEGORY = "injection.rule"

MOST = 8
"""Findings of one rule in one text."""
_ODD = {
    "tags": (0.95, "spells something in characters that nobody sees"),
    "bidi": (0.6, "turns the direction of writing, so that it reads otherwise than it looks"),
    "invisible": (0.5, "has characters inside words that nobody sees"),
    "confusable": (0.6, "has letters of another script that look like Latin ones"),
    "entropy": (0.3, "has a long run of noise"),
    "long": (0.3, "is very long"),
}
"""What is odd about a text → how much that says, and in words."""

_DENSE = re.compile(
    r"(?:ignor|disregard|forget|bypass|overrid)\w{0,24}?(?:instruction|previous|prompt|rules|above)"
    r"|(?:reveal|show|print|repeat|giveme)\w{0,16}?(?:systemprompt|instructions|yourprompt)|doanythingnow"
)
"""For letters with gaps, where it cannot be seen any more where a word ends."""


class RulesGuard:
    """Finds what one of `RULES` says of a text, and what is odd about its characters."""

    @property
    def name(self) -> str:
        return "rules"

    @property
    def categories(self) -> frozenset[str]:
        return frozenset({CATEGORY, *(f"encoding.{odd}" for odd in _ODD)})

    @property
    def reach(self) -> int | None:
        return None

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        found = [*_of_text(subject, origin), *_of_encoded(subject, origin), *_of_characters(subject)]
        return Verdict(findings=tuple(found)) if found else NOTHING_FOUND


def matches(text: str, origin: Origin) -> Iterator[tuple[Rule, int, int]]:
    """Every rule that fits a text, and where."""
    reading = folded(text)
    for rule in RULES:
        if origin in rule.only and any(need in reading for need in rule.needs):
            for count, match in enumerate(rule.pattern.finditer(reading)):
                if count == MOST:
                    break
                yield rule, match.start(), match.end()


def _of_text(subject: Subject, origin: Origin) -> Iterator[Finding]:
    for rule, start, end in matches(subject.plain, origin):
        first, last = subject.span(start, end)
        yield _finding(rule.score, first, last, f"{rule.name}: {rule.why}")


def _of_encoded(subject: Subject, origin: Origin) -> Iterator[Finding]:
    """An order that was hidden is meant: its score is raised."""
    for part in subject.decoded:
        best = max((rule for rule, _, _ in matches(part.text, origin)), key=lambda rule: rule.score, default=None)
        if best is not None:
            score = round(1 - (1 - best.score) / 2, 3)
            yield _finding(score, part.start, part.end, f"{best.name}, hidden by {part.how}: {best.why}")
        elif part.how == "spaced" and _DENSE.search("".join(part.text.lower().split())):
            yield _finding(0.9, part.start, part.end, "override, hidden by spaced: spells an order with gaps")


def _of_characters(subject: Subject) -> Iterator[Finding]:
    for odd in subject.odd:
        if odd in _ODD:
            score, why = _ODD[odd]
            yield Finding(
                guard="rules", category=f"encoding.{odd}", score=score, start=0, end=len(subject.text), reason=why
            )


def _finding(score: float, start: int, end: int, reason: str) -> Finding:
    return Finding(guard="rules", category=CATEGORY, score=score, start=start, end=end, reason=reason)
