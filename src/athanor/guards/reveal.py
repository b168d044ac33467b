"""Putting values back: in a stream, where a pseudonym may come in pieces, and at the right offsets."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import orjson

from athanor.guards.pseudonyms import LIKE, LONGEST, Pseudonyms
from athanor.guards.redact import Edit, Moves
from athanor.types import (
    NO_USAGE,
    Citation,
    Cited,
    Event,
    Finished,
    Graded,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

_OPEN = re.compile(r"\[[ ]?(?:[A-Za-z]{1,24}(?:\\?[_ ][A-Za-z]{1,24}){0,3}(?:\\?[_ ]?[0-9]{0,6}[ ]?|\\))?$")
"""What could still become a pseudonym."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What may be given out now."""

    text: str
    end: int
    """So many characters of the text as it came are out."""
    edits: tuple[Edit, ...] = ()


class Revealing:
    """One text that grows. For any split, what comes out is `Pseudonyms.reveal` of the whole.

    Args:
        json: the text is JSON, and values go into its strings.
    """

    def __init__(self, names: Pseudonyms, *, json: bool = False) -> None:
        self._names = names
        self._json = json
        self._held = ""
        self._at = 0
        """Offset of `_held` in the text as it came."""

    def feed(self, text: str, *, last: bool = False) -> Shown:
        """The next piece; no character waits that cannot be part of a pseudonym."""
        text = self._held + text
        keep = len(text)
        if not last:
            begin = text.rfind("[", max(0, len(text) - LONGEST))
            if begin >= 0 and _OPEN.match(text, begin):
                keep = begin
        pieces: list[str] = []
        edits: list[Edit] = []
        done = 0
        for match in LIKE.finditer(text, 0, keep) if "[" in text else ():
            value = self._names.real(match)
            if value is None:
                continue
            value = in_json(value) if self._json else value
            edits.append(Edit(start=self._at + match.start(), end=self._at + match.end(), text=value))
            pieces += (text[done : match.start()], value)
            done = match.end()
        pieces.append(text[done:keep])
        self._at += keep
        self._held = text[keep:]
        return Shown(text="".join(pieces), end=self._at, edits=tuple(edits))


def in_json(value: str) -> str:
    """As it stands between the quotes of a JSON string."""
    return orjson.dumps(value.encode("utf-8", "replace").decode()).decode()[1:-1]


class Revealer:
    """One answer, with what its request's pseudonyms stand for.

    Args:
        json: the answer's text is JSON.
    """

    def __init__(self, names: Pseudonyms, *, json: bool = False) -> None:
        self._names = names
        self._text = Revealing(names, json=json)
        self._thought: Revealing | None = None
        self._calls: dict[int, Revealing] = {}
        self._moves = Moves()
        self._out = 0
        """So many characters of the text as it came are out."""
        self._came = 0
        self._marks: list[Cited | Graded] = []
        self._odds: list[tuple[int, int, tuple[TokenLogprob, ...]]] = []
        self._edits: list[Edit] = []

    async def revealed(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The events as their caller sees them."""
        async with aclosing(events):
            async for event in events:
                for one in _carrying(event.usage, self._made(event)):
                    yield one

    def _made(self, event: Event) -> list[Event]:
        made: list[Event] = []
        if self._thought is not None and not isinstance(event, ReasoningDelta):
            made += self._thinking(last=True)
        match event:
            case TextDelta():
                if event.logprobs:
                    self._odds.append((self._came, self._came + len(event.text), event.logprobs))
                self._came += len(event.text)
                made += self._told(event.text)
            case ReasoningDelta():
                made += self._reasoning(event)
            case ToolCallDelta():
                made += [*self._told("", last=True), *self._calling(event)]
            case Cited():
                self._marks.append(replace(event, citation=self._quoted(event.citation), usage=NO_USAGE))
                made += self._marked()
            case Graded():
                self._marks.append(replace(event, usage=NO_USAGE))
                made += self._marked()
            case Finished():
                made += self._told("", last=True)
                made += [self._rest(index) for index in self._calls]
                made += self._marked(last=True)
                made = [one for one in made if one != ToolCallDelta(index=getattr(one, "index", 0))]
                made.append(self._ended(event))
            case _:
                made.append(replace(event, usage=NO_USAGE))
        return made

    def _told(self, text: str, *, last: bool = False) -> list[Event]:
        shown = self._text.feed(text, last=last)
        self._out = shown.end
        for edit in shown.edits:
            self._moves.add(edit)
            self._edits.append(edit)
        made: list[Event] = [TextDelta(text=shown.text, logprobs=self._sure_odds())] if shown.text else []
        return [*made, *self._marked()]

    def _sure_odds(self) -> tuple[TokenLogprob, ...]:
        """Of the tokens that came through as they were; those of a pseudonym are of no text that the caller sees."""
        sure = [odds for odds in self._odds if odds[1] <= self._out]
        self._odds = self._odds[len(sure) :]
        return tuple(
            token
            for start, end, tokens in sure
            if not any(edit.start < end and start < edit.end for edit in self._edits)
            for token in tokens
        )

    def _marked(self, *, last: bool = False) -> list[Event]:
        sure = [mark for mark in self._marks if last or mark.end <= self._out]
        self._marks = [mark for mark in self._marks if not last and mark.end > self._out]
        return [replace(m, start=self._moves.start(m.start), end=self._moves.end(m.end)) for m in sure]

    def _reasoning(self, event: ReasoningDelta) -> list[Event]:
        if event.redacted:
            return [*self._thinking(last=True), replace(event, usage=NO_USAGE)]
        made = self._thinking(event.text, last=event.signature is not None)
        if event.signature is not None:
            made.append(ReasoningDelta(signature=event.signature))
        return made

    def _thinking(self, text: str = "", *, last: bool = False) -> list[Event]:
        if self._thought is None:
            if not text:
                return []
            self._thought = Revealing(self._names)
        shown = self._thought.feed(text, last=last)
        if last:
            self._thought = None
        return [ReasoningDelta(text=shown.text)] if shown.text else []

    def _calling(self, event: ToolCallDelta) -> list[Event]:
        made: list[Event] = [self._rest(index) for index in self._calls if index != event.index]
        call = self._calls.setdefault(event.index, Revealing(self._names, json=True))
        shown = call.feed(event.arguments)
        made = [one for one in made if isinstance(one, ToolCallDelta) and one.arguments]
        return [*made, replace(event, arguments=shown.text, usage=NO_USAGE)]

    def _rest(self, index: int) -> ToolCallDelta:
        return ToolCallDelta(index=index, arguments=self._calls[index].feed("", last=True).text)

    def _quoted(self, citation: Citation) -> Citation:
        changes: dict[str, Any] = {}
        for name in ("quote", "title", "heading", "source"):
            before = getattr(citation, name, None)
            if isinstance(before, str) and (after := self._names.reveal(before)) != before:
                changes[name] = after
        return replace(citation, **changes) if changes else citation

    def _ended(self, event: Finished) -> Finished:
        conflicts = tuple(
            replace(c, first=self._quoted(c.first), second=self._quoted(c.second)) for c in event.conflicts
        )
        return replace(
            event, usage=NO_USAGE, nearest=tuple(self._quoted(c) for c in event.nearest), conflicts=conflicts
        )


def _carrying(usage: Usage, events: list[Event]) -> list[Event]:
    """The events, the first of them with what was used."""
    if usage is NO_USAGE:
        return events
    if not events:
        return [TextDelta(text="", usage=usage)]
    return [replace(events[0], usage=usage), *events[1:]]
