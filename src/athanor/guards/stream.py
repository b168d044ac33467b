"""Checking a text while it grows: what is given out is sure, and for any split the same as for the whole text.

Two kinds of guards look. Those with a finite `reach` see the text at every step, and decide about a character once
nothing that follows can change their mind: `reach` characters later, or earlier where the guard has a method
`pending(text) -> int`, which says how many of the last characters of `text` could still belong to a match that is not
complete. What such a guard sees begins some way before what is not given out yet; one that would read that otherwise
than in its place has a method `lead(text, at) -> str`, which gives what has to stand before the characters from `at`
on, such as the fence of a block of code that is open there. The others see whole sentences, one at a time. Where one
sentence ends is a matter of the text alone, never of how it arrived.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from athanor.guards.base import Guard
from athanor.guards.redact import Edit, HowOf, Names, grouped, stand_in
from athanor.types import Decision, Finding, How

Look = Callable[[str, Sequence[Guard]], Awaitable[Sequence[Finding]]]
"""Asks guards about a text and gives what the policy makes of it: findings with the decision that counts."""

Settle = Callable[[Sequence[tuple[Finding, str]]], Awaitable[None]]
"""Told of findings that are sure, each with its characters, before anything that follows them is given out. Spans count
the characters of the whole text. May raise `BlockedError`."""

_KEPT = 4096
"""Characters that no window holds any more are let go in lots of so many."""
LONGEST = 800
"""Characters after which a sentence is cut, whatever it says."""

_END = re.compile(r"[.!?…][\"'”’»)\]*_`]*\s+(?=\S)|[。！？]+\s*(?=\S)|[^\S\n]*\n\s*(?=\S)")
_SHORT = re.compile(r"(?:^|[\s(\"'“‘])(?:[A-Z][a-z]{0,2}|(?:[A-Za-z]\.)+[A-Za-z]?|Prof|Messrs|Corp|approx|ca)$")
_BETWEEN = re.compile(r"(?<=[a-z,;])\s+(?=[a-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What may be given out now."""

    text: str
    end: int
    """So many characters of the text as it came are decided."""
    edits: tuple[Edit, ...] = ()
    """New ones, in order, with offsets of the whole text as it came."""


class Holdback:
    """One text that grows. Tell it every piece in order, and the last one as such.

    Args:
        guards: all that are asked.
        look: see `Look`.
        settle: see `Settle`.
        how: what redactions leave.
        names: for pseudonyms and hashes.
    """

    def __init__(
        self,
        guards: Sequence[Guard],
        look: Look,
        settle: Settle | None = None,
        *,
        how: HowOf = How.MASK,
        names: Names | None = None,
    ) -> None:
        self._near = [(guard, guard.reach) for guard in guards if guard.reach is not None]
        self._far = [guard for guard in guards if guard.reach is None]
        self._look = look
        self._settle = settle
        self._how = how
        self._names = names
        self._text = ""
        self._base = 0
        """Offset of `_text` in the whole."""
        self._done = 0
        self._cut = 0
        """Up to here, whole sentences were looked at."""
        self._told = 0
        self._leads: dict[str, str] = {}
        """Guard → what it wants before `_text`."""
        self._found: list[Finding] = []
        """Of sentences, as far as they are not given out."""

    @property
    def holding(self) -> bool:
        """Is there anything that was not given out."""
        return self._done < self._base + len(self._text)

    async def feed(self, text: str, *, last: bool = False) -> Piece:
        """Take in the next piece, and give out what is sure.

        Raises:
            AthanorError: whatever `look` and `settle` raise.
        """
        self._text += text
        total = self._base + len(self._text)
        limit = min(await self._sentences(last=last), total if last else self._sure())
        if limit <= self._done:
            return Piece(text="", end=self._done)
        found = [*self._found, *await self._windows()]
        # Nothing is cut in two: what is to be taken out waits until all of it is sure.
        for finding in sorted(found, key=lambda f: f.start, reverse=True):
            if finding.decision.severity >= Decision.REDACT.severity and finding.start < limit < finding.end:
                limit = finding.start
        await self._tell(found, limit)
        return self._give(found, limit) if limit > self._done else Piece(text="", end=self._done)

    async def _sentences(self, *, last: bool) -> int:
        if not self._far:
            return self._base + len(self._text)
        while (end := sentence(self._text, self._cut - self._base, last=last)) is not None:
            seen = self._text[self._cut - self._base : end]
            self._found += [self._moved(f, self._cut) for f in await self._look(seen, self._far)]
            self._cut = self._base + end
        return self._cut

    def _sure(self) -> int:
        """Up to where guards that look at every step have made up their minds."""
        total = self._base + len(self._text)
        sure = total
        for guard, reach in self._near:
            pending = getattr(guard, "pending", None)
            held = reach if pending is None else pending(self._text[-reach:] if reach else "")
            sure = min(sure, total - min(held, reach))
        return sure

    async def _windows(self) -> list[Finding]:
        found: list[Finding] = []
        groups: dict[tuple[int, str], list[Guard]] = {}
        for guard, reach in self._near:
            start = self._window(reach)
            groups.setdefault((start, self._lead(guard, start)), []).append(guard)
        for (start, lead), guards in groups.items():
            by = self._base + start - len(lead)
            found += [self._moved(f, by) for f in await self._look(lead + self._text[start:], guards)]
        return found

    def _lead(self, guard: Guard, at: int) -> str:
        """What `guard` wants before a window that begins at `at`."""
        lead = getattr(guard, "lead", None)
        if lead is None:
            return ""
        before = self._leads.get(guard.name, "")
        said: str = lead(before + self._text, len(before) + at)
        return said

    def _window(self, reach: int) -> int:
        """Where to begin to look, so that everything from `_done` on is seen as in the whole text."""
        far = max(0, self._done - self._base - reach - 1)
        line = self._text.rfind("\n", max(0, far - reach), far + 1)
        if line >= 0:
            return line + 1 if line < far else far
        space = self._text.rfind(" ", max(0, far - reach), far + 1)
        return space + 1 if 0 <= space < far else far

    async def _tell(self, found: Sequence[Finding], limit: int) -> None:
        new = [f for f in found if self._told < f.end <= limit]
        self._told = limit
        if new and self._settle is not None:
            await self._settle([(f, self._text[max(0, f.start - self._base) : f.end - self._base]) for f in new])

    def _give(self, found: Sequence[Finding], limit: int) -> Piece:
        pieces: list[str] = []
        edits: list[Edit] = []
        done = self._done - self._base
        for group in grouped((self._moved(f, -self._base) for f in found), limit - self._base):
            # What a guard thought better of after its characters had gone: the rest of them does not follow.
            start = max(group.start, done)
            if group.end <= start:
                continue
            put = stand_in(group, self._text[group.start : group.end], self._how, self._names)
            edits.append(Edit(start=self._base + start, end=self._base + group.end, text=put))
            pieces += (self._text[done:start], put)
            done = group.end
        pieces.append(self._text[done : limit - self._base])
        self._done = limit
        self._found = [f for f in self._found if f.end > limit]
        self._forget()
        return Piece(text="".join(pieces), end=limit, edits=tuple(edits))

    def _forget(self) -> None:
        """Let go of what no window can hold any more."""
        keep = min([self._window(reach) for _, reach in self._near], default=self._done - self._base)
        keep = min(keep, self._cut - self._base if self._far else keep)
        if keep > _KEPT:
            self._leads = {guard.name: self._lead(guard, keep) for guard, _ in self._near}
            self._text = self._text[keep:]
            self._base += keep

    @staticmethod
    def _moved(finding: Finding, by: int) -> Finding:
        return replace(finding, start=finding.start + by, end=finding.end + by) if by else finding


def sentence(text: str, start: int, *, last: bool) -> int | None:
    """Where the sentence that begins at `start` ends, blanks after it included; `None` while that is open.

    Rather too long than too short: a name is not cut in two at the point of an abbreviation or before a figure.

    Args:
        last: nothing follows `text`.
    """
    most = start + LONGEST
    for match in _END.finditer(text, start, min(len(text), most + 1)):
        point = text[match.start()] == "."
        if match.end() > most:
            break
        before = text[max(start, match.start() - 24) : match.start()]
        if point and (text[match.end()].isdigit() or _SHORT.search(before)):
            continue
        return match.end()
    if len(text) > most:
        return next((m.end() for m in reversed([*_BETWEEN.finditer(text, start, most)])), most)
    return len(text) if last and len(text) > start else None


async def findings_of(text: str, guards: Sequence[Guard], look: Look) -> list[Finding]:
    """What a `Holdback` finds in all of `text`: for answers that are there at once, and as the measure of streams."""
    found = [*await look(text, [guard for guard in guards if guard.reach is not None])]
    far = [guard for guard in guards if guard.reach is None]
    at = 0
    while far and (end := sentence(text, at, last=True)) is not None:
        found += [replace(f, start=f.start + at, end=f.end + at) for f in await look(text[at:end], far)]
        at = end
    return found
