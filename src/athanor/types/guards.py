"""What guards look at, what they find, and what is decided."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """Where a text comes from. Only `SYSTEM` has authority; `DOCUMENT` and `TOOL` are data, whatever they say."""

    SYSTEM = "system"
    USER = "user"
    DOCUMENT = "document"
    TOOL = "tool"
    MODEL = "model"


class Decision(StrEnum):
    """What happens to a text, from the mildest to the strongest."""

    ALLOW = "allow"
    FLAG = "flag"
    """It goes on; the event is kept."""
    REDACT = "redact"
    """It goes on without the spans."""
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """0 to 3, for comparing."""
        return _SEVERITY[self]


_SEVERITY = {decision: place for place, decision in enumerate(Decision)}


class How(StrEnum):
    """What a redaction leaves in place of the characters."""

    MASK = "mask"
    """What it was: `[pii.email]`."""
    HASH = "hash"
    """The same, with a keyed hash: equal texts can be told, and not what they were."""
    PSEUDONYM = "pseudonym"
    """A made-up one of its kind, the same throughout a conversation; put back in the answer that its caller sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that one guard found. Never holds the text itself."""

    guard: str
    category: str
    """Dotted, from the general to the special: `injection`, `pii.email`, `secret.aws`, `toxicity.insult`, …"""
    score: float
    """0 to 1; calibrated where the guard says so. A rule that is certain gives 1."""
    start: int
    """First character in the text as it was given."""
    end: int
    """After the last one; the whole text where nothing narrower is known."""
    reason: str
    """For people, without any of the text."""
    decision: Decision = Decision.FLAG
    """The guard's own proposal; the policy's word is final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Everything that was found in one text, and what follows."""

    findings: tuple[Finding, ...] = ()
    policy: str = ""
    """Version of the policy that decided; empty before one has."""

    @property
    def decision(self) -> Decision:
        """The strongest of the findings'."""
        return max((f.decision for f in self.findings), key=lambda d: d.severity, default=Decision.ALLOW)

    @property
    def score(self) -> float:
        """The highest of the findings'."""
        return max((f.score for f in self.findings), default=0.0)


NOTHING_FOUND = Verdict()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEvent:
    """One finding, as it is kept: what, where, whose, and what was done. Never any of the text."""

    id: str
    at: float
    """Unix seconds."""
    trace: str
    principal: str
    key: str | None = None
    door: str
    origin: Origin
    place: str = ""
    """Which text of the request: `messages.2`, `answer`, a chunk's id."""
    model: str = ""
    base: str | None = None
    """Name of the knowledge base."""
    guard: str
    category: str
    score: float
    decision: Decision
    """The policy's."""
    action: Decision
    """What was done: weaker than the decision where guards only observe."""
    start: int
    end: int
    digest: str = ""
    """HMAC-SHA256 of the characters, with a key of this installation: the same text gives the same digest."""
    policy: str
    reason: str
