"""Microsoft Presidio as a further finder of personal data, for those who have recognisers in it.

It brings spaCy and a model of its own choice; both are the installer's. Its findings stand beside those of `personal`.
"""

from __future__ import annotations

import threading
from typing import Any

from anyio import to_thread

from athanor.errors import EngineError
from athanor.guards.parts import Parts
from athanor.guards.subject import Subject
from athanor.plugins import require
from athanor.types import NOTHING_FOUND, Context, Decision, Finding, Origin, Verdict

EXTRA = "presidio"
POINT = 0.5
ENTITIES = {
    "PERSON": "pii.person",
    "LOCATION": "pii.place",
    "GPE": "pii.place",
    "ORGANIZATION": "pii.organization",
    "EMAIL_ADDRESS": "pii.email",
    "PHONE_NUMBER": "pii.phone",
    "CREDIT_CARD": "pii.card",
    "IBAN_CODE": "pii.iban",
    "IP_ADDRESS": "pii.ip",
    "MAC_ADDRESS": "pii.mac",
    "URL": "pii.url",
    "CRYPTO": "pii.crypto",
    "AGE": "pii.age",
    "US_BANK_NUMBER": "pii.account",
    "MEDICAL_LICENSE": "pii.licence",
}
"""Presidio's names → ours. Of others, `…PASSPORT` and `…DRIVER_LICENSE` go by their ends, numbers of a country
(`US_SSN`, `ES_NIF`, …) are national ids, and your own are `pii.other`. Dates and nationalities are not taken."""
_IGNORED = frozenset({"DATE_TIME", "NRP"})


class PresidioGuard:
    """The analyser of `presidio-analyzer`, in its default set-up for English, in a thread."""

    name = "presidio"
    categories = frozenset({*ENTITIES.values(), "pii.passport", "pii.national_id", "pii.other"})
    reach = None

    def __init__(self, analyzer: Any) -> None:
        self._module = analyzer
        self._engine: Any = None
        self._lock = threading.Lock()

    @classmethod
    def make(cls, parts: Parts) -> PresidioGuard:
        """Loads no model yet.

        Raises:
            MissingExtraError: `presidio-analyzer` is not installed.
        """
        return cls(require("presidio_analyzer", extra=EXTRA))

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        if not any(char.isalnum() for char in subject.plain):
            return NOTHING_FOUND
        results = await to_thread.run_sync(self._analyze, subject.plain)
        findings = [finding for result in results if (finding := _finding(subject, result)) is not None]
        return Verdict(findings=tuple(sorted(findings, key=lambda f: (f.start, f.end)))) if findings else NOTHING_FOUND

    def _analyze(self, text: str) -> list[Any]:
        with self._lock:  # its loading is not safe for threads
            if self._engine is None:
                try:
                    self._engine = self._module.AnalyzerEngine()
                except (Exception, SystemExit) as error:  # spaCy's downloader exits where it finds no model
                    raise EngineError(
                        f"Presidio cannot start: {type(error).__name__}.",
                        hint="Install the model that it wants: python -m spacy download en_core_web_lg",
                    ) from error
            return list(self._engine.analyze(text=text, language="en"))


def _finding(subject: Subject, result: Any) -> Finding | None:
    entity, score = str(result.entity_type), float(result.score)
    if entity in _IGNORED or result.end <= result.start:
        return None
    start, end = subject.span(result.start, result.end)
    return Finding(
        guard=PresidioGuard.name,
        category=category_of(entity),
        score=score,
        start=start,
        end=end,
        reason=f"{entity}, by Presidio",
        decision=Decision.FLAG if score >= POINT else Decision.ALLOW,
    )


def category_of(entity: str) -> str:
    """Ours for one of Presidio's."""
    if entity in ENTITIES:
        return ENTITIES[entity]
    if entity.endswith("PASSPORT"):
        return "pii.passport"
    if entity.endswith(("DRIVER_LICENSE", "DRIVING_LICENSE")):
        return "pii.licence"
    country, _, rest = entity.partition("_")
    return "pii.national_id" if rest and len(country) == 2 else "pii.other"
