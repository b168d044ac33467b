"""Taking found characters out of a text, with the way from the old offsets to the new ones."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from athanor.types import Decision, Finding, How

HowOf = How | Callable[[Finding], How]
"""What a redaction leaves: the same for all, or as each finding's rule says."""


class Names(Protocol):
    """What stands for a value. One text's names never stand for two values."""

    def pseudonym(self, category: str, value: str) -> str: ...

    def hashed(self, category: str, value: str) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Characters `start:end` of the old text, and what stands there now."""

    start: int
    end: int
    text: str


class Moves:
    """From the offsets of a text to those of the edited one. Grows at its end, with edits in their order."""

    def __init__(self, edits: Iterable[Edit] = ()) -> None:
        self._edits: list[Edit] = []
        self._starts: list[int] = []
        self._shifts: list[int] = [0]
        for edit in edits:
            self.add(edit)

    def add(self, edit: Edit) -> None:
        """Take in an edit that begins at or after the end of the last one."""
        self._edits.append(edit)
        self._starts.append(edit.start)
        self._shifts.append(self._shifts[-1] + len(edit.text) - (edit.end - edit.start))

    def start(self, place: int) -> int:
        """Where a span that began at `place` begins: before what stands there now, if that was edited."""
        return self._moved(place, inside=0)

    def end(self, place: int) -> int:
        """Where a span that ended at `place` ends: after what stands there now, if that was edited."""
        return self._moved(place, inside=1)

    def _moved(self, place: int, *, inside: int) -> int:
        at = bisect_right(self._starts, place - inside) - 1
        if at >= 0 and place < self._edits[at].end + inside:
            edit = self._edits[at]
            begin = edit.start + self._shifts[at]
            if place >= edit.end:  # the end of the span is the end of the edit
                return begin + len(edit.text)
            return begin + (len(edit.text) if inside else 0)
        return place + self._shifts[at + 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A text without what was found in it."""

    text: str
    edits: tuple[Edit, ...] = ()
    """In the order of the text; none overlap."""

    def moves(self) -> Moves:
        """From offsets of the old text to offsets of this one."""
        return Moves(self.edits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Findings that overlap: one redaction."""

    start: int
    end: int
    finding: Finding
    """The one that gives it its name: the longest, and of equally long ones the surest."""


def redact(text: str, findings: Iterable[Finding], how: HowOf = How.MASK, names: Names | None = None) -> Redacted:
    """`text` without the spans of those `findings` that are to be redacted.

    Overlapping spans become one. For JSON, see `arguments.redact_json`.

    Args:
        names: needed for pseudonyms and hashes; without it, masks stand in their place.
    """
    pieces: list[str] = []
    edits: list[Edit] = []
    at = 0
    for group in grouped(findings, len(text)):
        edit = Edit(start=group.start, end=group.end, text=stand_in(group, text[group.start : group.end], how, names))
        pieces += (text[at : group.start], edit.text)
        edits.append(edit)
        at = group.end
    return Redacted(text="".join((*pieces, text[at:])), edits=tuple(edits)) if edits else Redacted(text=text)


def grouped(findings: Iterable[Finding], length: int) -> list[Group]:
    """The redactions among `findings`, in order, those that overlap as one. `length` is the text's."""
    found = sorted(
        (f for f in findings if f.decision is Decision.REDACT and max(f.start, 0) < min(f.end, length)),
        key=lambda f: (f.start, -f.end, -f.score, f.category),
    )
    groups: list[Group] = []
    for finding in found:
        start, end = max(finding.start, 0), min(finding.end, length)
        if groups and start < groups[-1].end:
            last = groups[-1]
            best = max(last.finding, finding, key=lambda f: (f.end - f.start, f.score))
            groups[-1] = Group(start=last.start, end=max(last.end, end), finding=best)
        else:
            groups.append(Group(start=start, end=end, finding=finding))
    return groups


def stand_in(group: Group, value: str, how: HowOf, names: Names | None) -> str:
    """What comes in the place of `value`. Holds no quote, backslash or line break, so that it may stand in a string."""
    finding = group.finding
    way = how if isinstance(how, How) else how(finding)
    if names is not None and way is How.PSEUDONYM:
        return names.pseudonym(finding.category, value)
    if names is not None and way is How.HASH:
        return names.hashed(finding.category, value)
    return f"[{label(finding.category)}]"


def label(category: str) -> str:
    """What people and models are told of a category: `pii.email` is `EMAIL`, `secret.aws` is `SECRET`."""
    family, _, kind = category.partition(".")
    return (kind.partition(".")[0] if family == "pii" and kind not in {"", "*"} else family).upper() or "REMOVED"


def spans(findings: Sequence[Finding], length: int) -> list[tuple[int, int]]:
    """Where `redact` would take something out."""
    return [(group.start, group.end) for group in grouped(findings, length)]
