"""Answers that give a system prompt away: by the mark in it, or by its own words.

Words alone prove little: whoever tells a model the opening hours wants it to repeat them. So what counts is a long run
of the prompt's words in their order that speaks to the model (`_ORDER`), or a run so long that no fact needs it. What
the user has said too is theirs to hear again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from athanor.guards.canary import REACH as MARK_REACH
from athanor.guards.canary import Canaries, merged
from athanor.guards.parts import Parts
from athanor.guards.patterns import folded
from athanor.guards.subject import Subject
from athanor.types import NOTHING_FOUND, Context, Decision, Finding, Origin, Request, Role, Verdict

SHORT = 12
"""Words in a row that are a leak where they speak to the model."""
LONG = 40
"""Words in a row that are one whatever they say."""
REACH = 600
"""Characters of a run after which it is told in pieces."""

_GRAM = 4
_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힣]|[^\W぀-ヿ㐀-鿿가-힣]+")
_ORDER = re.compile(
    r"\b(?:you|your|yourself|never|always|must|do\s+not|don't|assistant|instructions?|respond|reply|answer\s+only|refuse|"
    r"secret|confidential|internal|du|sie|nie(?:mals)?|immer|vous|tu|jamais|toujours|debes|nunca|siempre|devi|mai|sempre|"
    r"ты|вы|никогда|всегда)\b|你|禁止|必须|必ず"
)


class Prompt:
    """The system text of one request, for finding runs of it."""

    def __init__(self, system: Sequence[str], heard: Sequence[str]) -> None:
        known = {gram for text in heard for gram in _grams(_words(text))}
        self._next: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        self._texts = [[word for word, _, _ in _words(text)] for text in system]
        self._speaks = [_speaking(text) for text in system]
        for which, words in enumerate(self._texts):
            for at in range(len(words) - _GRAM + 1):
                gram = tuple(words[at : at + _GRAM])
                if gram not in known:
                    self._next.setdefault(gram, []).append((which, at))
        self._after: dict[tuple[str, ...], set[str]] = {}
        for gram in self._next:
            for length in range(_GRAM):
                self._after.setdefault(gram[:length], set()).add(gram[length])

    def __bool__(self) -> bool:
        return bool(self._next)

    def runs(self, text: str) -> Iterator[tuple[int, int, bool]]:
        """Characters of `text` that are a run of the prompt's words, and whether these are few and orders (`False`) or
        many (`True`)."""
        words = _words(text)
        said = [word for word, _, _ in words]
        at = 0
        while at + _GRAM <= len(said):
            which, place, length = self._longest(said, at)
            speaks = length >= SHORT and any(self._speaks[which][place : place + length])
            if length >= LONG or speaks:
                yield words[at][1], words[at + length - 1][2], length >= LONG
            at += max(1, length - _GRAM + 1) if length else 1

    def pending(self, text: str) -> int:
        """How many of the last characters of `text` could be the beginning of a run."""
        words = _words(text)
        said = [word for word, _, _ in words]
        open_at = (at for at in range(max(0, len(said) - 2 * LONG), len(said)) if self._open(said, at))
        first = next(open_at, None)
        return 0 if first is None else len(text) - words[first][1]

    def _open(self, said: list[str], at: int) -> bool:
        """Do all words from `at` to the end continue the prompt? The last of them may be half a word."""
        rest = said[at:]
        if len(rest) <= _GRAM:
            return any(word.startswith(rest[-1]) for word in self._after.get(tuple(rest[:-1]), ()))
        places = self._next.get(tuple(rest[:_GRAM]), ())
        for which, place in places:
            here = self._texts[which][place : place + len(rest)]
            if here[:-1] == rest[:-1] and len(here) == len(rest) and here[-1].startswith(rest[-1]):
                return True
        return False

    def _longest(self, said: list[str], at: int) -> tuple[int, int, int]:
        best = (0, 0, 0)
        for which, place in self._next.get(tuple(said[at : at + _GRAM]), ()):
            words = self._texts[which]
            length = _GRAM
            while (
                at + length < len(said) and place + length < len(words) and said[at + length] == words[place + length]
            ):
                length += 1
            if length > best[2]:
                best = (which, place, length)
        return best


class LeakGuard:
    """Finds the caller's mark in what a model says; bound to a request, also its system text."""

    contextual = True
    """What it finds depends on who asks."""

    def __init__(self, canaries: Canaries, prompt: Prompt | None = None) -> None:
        self._canaries = canaries
        self._prompt = prompt
        self._ctx: Context | None = None

    @classmethod
    def make(cls, parts: Parts) -> Self:
        """By the installation's key."""
        return cls(Canaries(parts.key("canary")))

    def bound(self, request: Request, ctx: Context) -> LeakGuard:
        """For the answer to one request."""
        system = [m.content for m in request.messages if m.role is Role.SYSTEM and m.content]
        heard = [m.content for m in request.messages if m.role is Role.USER and m.content]
        guard = LeakGuard(self._canaries, (Prompt(system, heard) or None) if system else None)
        guard._ctx = ctx
        return guard

    @property
    def name(self) -> str:
        return "leak"

    @property
    def categories(self) -> frozenset[str]:
        return frozenset({"leak.canary", "leak.system"})

    @property
    def reach(self) -> int | None:
        return REACH

    def pending(self, text: str) -> int:
        """How many of the last characters of an answer could be the beginning of a leak."""
        held = 0
        if self._ctx is not None:
            held = self._canaries.pending(text[-MARK_REACH:], self._ctx)
        if self._prompt is not None:
            held = max(held, self._prompt.pending(text))
        return held

    async def check(self, subject: Subject, origin: Origin, ctx: Context) -> Verdict:
        if origin is not Origin.MODEL:
            return NOTHING_FOUND
        marks = list(self._canaries.find(subject.text, ctx))
        found = [
            _finding("leak.canary", 1.0, start, end, "holds the secret mark of a system prompt") for start, end in marks
        ]
        if self._prompt is not None:
            found += self._own_words(subject, self._prompt)
        return Verdict(findings=tuple(found)) if found else NOTHING_FOUND

    def _own_words(self, subject: Subject, prompt: Prompt) -> Iterable[Finding]:
        runs = list(prompt.runs(subject.plain))
        for first, last in merged((start, end) for start, end, _ in runs):
            score = 0.8 if any(many for start, _, many in runs if first <= start < last) else 0.9
            yield from _pieces(score, *subject.span(first, last))
        for part in subject.decoded:
            if any(True for _ in prompt.runs(part.text)):
                yield from _pieces(0.95, part.start, part.end)


def _pieces(score: float, start: int, end: int) -> Iterator[Finding]:
    """Findings no longer than the guard reaches."""
    for at in range(start, end, REACH):
        yield _finding("leak.system", score, at, min(end, at + REACH), "repeats a long run of the system prompt")


def _finding(category: str, score: float, start: int, end: int, reason: str) -> Finding:
    decision = Decision.BLOCK if category == "leak.canary" else Decision.REDACT
    return Finding(guard="leak", category=category, score=score, start=start, end=end, reason=reason, decision=decision)


def _words(text: str) -> list[tuple[str, int, int]]:
    """Each word as it compares, and its place. Letters of scripts without blanks are words of their own."""
    return [(match[0], *match.span()) for match in _WORD.finditer(folded(text))]


def _grams(words: Sequence[tuple[str, int, int]]) -> Iterator[tuple[str, ...]]:
    for at in range(len(words) - _GRAM + 1):
        yield tuple(word for word, _, _ in words[at : at + _GRAM])


def _speaking(text: str) -> list[bool]:
    """Of each word: does it speak to the model."""
    reading = folded(text)
    orders = [match.span() for match in _ORDER.finditer(reading)]
    return [any(start < end and first < last for start, last in orders) for _, first, end in _words(text)]
