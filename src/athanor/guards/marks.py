"""What points into a text that is edited while it grows: citations, grades, probabilities of tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from athanor.guards.redact import Edit, Moves
from athanor.types import NO_USAGE, Cited, Event, Graded, TextDelta, TokenLogprob, Usage


@dataclass(frozen=True, slots=True)
class _Odds:
    """Log-probabilities of the tokens `start:end` of the text as it came."""

    start: int
    end: int
    tokens: tuple[TokenLogprob, ...]


class Marks:
    """They wait until their text is given out, and then stand at its new places."""

    def __init__(self) -> None:
        self.given = 0
        """So much of the text as it came is decided."""
        self._moves = Moves()
        self._edits: list[Edit] = []
        self._marks: list[Cited | Graded] = []
        self._odds: list[_Odds] = []

    def edited(self, edits: Iterable[Edit], base: int) -> None:
        """Take in edits, in their order; their offsets begin at `base`."""
        for edit in edits:
            moved = replace(edit, start=edit.start + base, end=edit.end + base)
            self._moves.add(moved)
            self._edits.append(moved)

    def add(self, mark: Cited | Graded) -> None:
        self._marks.append(replace(mark, usage=NO_USAGE))

    def weigh(self, start: int, text: str, tokens: tuple[TokenLogprob, ...]) -> None:
        """Keep the probabilities of the tokens of `text`, which begins at `start`."""
        if tokens:
            self._odds.append(_Odds(start, start + len(text), tokens))

    def odds(self) -> tuple[TokenLogprob, ...]:
        """Of the tokens that were given out as they came: the others would tell what was taken out."""
        if not self._odds:
            return ()
        sure = [odds for odds in self._odds if odds.end <= self.given]
        self._odds = self._odds[len(sure) :]
        untouched = (o for o in sure if not any(e.start < o.end and o.start < e.end for e in self._edits))
        return tuple(token for odds in untouched for token in odds.tokens)

    def sure(self) -> list[Event]:
        """Citations and grades whose text was given out, at their places in what was given out."""
        if not self._marks:
            return []
        sure = [mark for mark in self._marks if mark.end <= self.given]
        self._marks = [mark for mark in self._marks if mark.end > self.given]
        if not self._edits:
            return [*sure]
        return [replace(m, start=self._moves.start(m.start), end=self._moves.end(m.end)) for m in sure]


def carrying(usage: Usage, events: list[Event]) -> list[Event]:
    """The events, the first of them with what was used; where there is none, one without text."""
    if usage is NO_USAGE:
        return events
    if not events:
        return [TextDelta(text="", usage=usage)]
    return [replace(events[0], usage=usage), *events[1:]]
