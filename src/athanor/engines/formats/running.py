"""Tokens of one answer where the vendor tells them as it goes: exact as far as it has said, an estimate beyond."""

from __future__ import annotations

from dataclasses import replace

from athanor.engines.formats.counting import estimate_prompt
from athanor.types import NO_USAGE, Request, Usage

_ONE = Usage(completion_tokens=1)


class RunningTally:
    """Gives each piece what is new since the piece before, so that a stream closed at any of them has been counted.

    Of the prompt the vendor's count is told as soon as it is known. Of the answer a piece is at least one token, which
    is a lower bound.
    """

    __slots__ = ("_final", "_known", "_news", "_request", "_told")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._told = NO_USAGE
        self._known = NO_USAGE
        self._news = True
        self._final = False

    @property
    def known(self) -> Usage:
        """What the vendor has said last."""
        return self._known

    def learn(self, usage: Usage, *, final: bool = False) -> None:
        """The vendor's own count of all until now; `final` if nothing will be added."""
        self._known = usage
        self._news = True
        self._final = self._final or final

    def piece(self) -> Usage:
        """What the next piece adds. Once all is known, the next piece tells it: none after it may be read."""
        if self._final:
            return self.rest()
        if not self._news:
            self._told = self._told + _ONE
            return _ONE
        self._news = False
        completion = max(self._told.completion_tokens + 1, self._known.completion_tokens)
        return self._tell(replace(self._known, prompt_tokens=self._prompt(), completion_tokens=completion))

    def rest(self) -> Usage:
        """What is missing from the pieces to the vendor's own count; the bound, where it gave none."""
        told, known = self._told.completion_tokens, self._known.completion_tokens
        # A count of nothing for an answer that we saw is no count.
        completion = known or told if self._final else max(told, known)
        return self._tell(replace(self._known, prompt_tokens=self._prompt(), completion_tokens=completion))

    def _prompt(self) -> int:
        return self._known.prompt_tokens or self._told.prompt_tokens or estimate_prompt(self._request)

    def _tell(self, target: Usage) -> Usage:
        told = self._told
        if target == told:
            return NO_USAGE
        self._told = target
        return Usage(
            prompt_tokens=target.prompt_tokens - told.prompt_tokens,
            completion_tokens=target.completion_tokens - told.completion_tokens,
            cached_tokens=target.cached_tokens - told.cached_tokens,
            written_tokens=target.written_tokens - told.written_tokens,
            reasoning_tokens=target.reasoning_tokens - told.reasoning_tokens,
        )
