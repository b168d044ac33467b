"""Texts with what was found in them, and the same without it: one set of names for all texts of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from athanor.guards.arguments import readable, redact_json
from athanor.guards.pseudonyms import GUARD, Pseudonyms
from athanor.guards.redact import HowOf, grouped, redact
from athanor.guards.texts import Piece
from athanor.types import Finding, How


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundText:
    """What follows from one text."""

    text: str
    json: bool = False
    """Guards read it by `arguments.readable`."""
    findings: tuple[Finding, ...] = ()
    how: Callable[[Finding], How]
    """What its redactions leave."""

    @property
    def read(self) -> str:
        """What guards read."""
        return readable(self.text) if self.json else self.text

    def redacted(self, more: Sequence[Finding], how: HowOf, names: Pseudonyms) -> str:
        """The text without what was found, and without `more`."""
        findings = (*self.findings, *more)
        if not findings:
            return self.text
        change = redact_json if self.json else redact
        return change(self.text, findings, how, names).text

    def way(self, finding: Finding) -> How:
        """What the redaction of `finding` leaves."""
        return How.PSEUDONYM if finding.guard == GUARD else self.how(finding)


def is_json(piece: Piece) -> bool:
    """Are its characters those of a tool call's arguments."""
    return ".calls." in piece.place


def redacted_texts(found: Mapping[str, FoundText], names: Pseudonyms) -> dict[str, str]:
    """Every text as it may go on: a value that has a pseudonym in one of them has it in all."""
    for one in found.values():  # names in the order of the texts, before the first of them is written
        read = one.read
        for group in grouped(one.findings, len(read)):
            if one.way(group.finding) is How.PSEUDONYM:
                names.pseudonym(group.finding.category, read[group.start : group.end])
    again = {place: names.again(one.read) for place, one in found.items()}
    if names.used or any(again.values()):
        for place, one in found.items():
            again[place] += names.alike(one.read)
    return {place: one.redacted(again[place], one.way, names) for place, one in found.items()}
