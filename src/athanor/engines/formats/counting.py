"""Tokens of one answer: an estimate while it streams, the endpoint's own count at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from athanor.types import NO_USAGE, Request, Text, Usage

# A word of English with its space, and about one and a half of its tokens: too few rather than too many.
_CHARACTERS = 6
_IMAGE_TOKENS = 85
_PIECE = Usage(completion_tokens=1)
_THOUGHT = Usage(completion_tokens=1, reasoning_tokens=1)


def estimate(text: str) -> int:
    """Tokens of a text, from below; no look at its characters, as it may be long."""
    return (len(text) + _CHARACTERS - 1) // _CHARACTERS


def estimate_prompt(request: Request) -> int:
    """Tokens of a prompt, from below, at least 1."""
    tokens = 1
    for message in request.messages:
        tokens += estimate(message.content)
        if message.parts:
            tokens += _IMAGE_TOKENS * sum(not isinstance(part, Text) for part in message.parts)
    return tokens


class Tally:
    """Counts what was told piece by piece, and gives the difference to the truth at the end."""

    __slots__ = ("_pieces", "_prompt", "_thoughts", "_truth")

    def __init__(self, request: Request) -> None:
        self._prompt = estimate_prompt(request)
        self._pieces = 0
        self._thoughts = 0
        self._truth: Usage | None = None

    def piece(self) -> Usage:
        """What a piece of the answer adds: one token, and before the first the prompt."""
        self._pieces += 1
        return _PIECE if self._pieces > 1 else Usage(prompt_tokens=self._prompt, completion_tokens=1)

    def thought(self) -> Usage:
        """The same for a piece of reasoning."""
        self._pieces += 1
        self._thoughts += 1
        if self._pieces > 1:
            return _THOUGHT
        return Usage(prompt_tokens=self._prompt, completion_tokens=1, reasoning_tokens=1)

    def learn(self, truth: Usage) -> None:
        """Take the endpoint's own count. Some tell it with every piece: the last one holds."""
        self._truth = truth

    def rest(self) -> Usage:
        """What is missing from the pieces to the truth; it may be less than nothing."""
        truth = self._truth
        prompt = self._prompt if self._pieces else 0
        if truth is None:
            return NO_USAGE if self._pieces else Usage(prompt_tokens=self._prompt)
        return Usage(
            prompt_tokens=truth.prompt_tokens - prompt,
            completion_tokens=truth.completion_tokens - self._pieces,
            cached_tokens=truth.cached_tokens,
            written_tokens=truth.written_tokens,
            reasoning_tokens=truth.reasoning_tokens - self._thoughts,
        )

    def whole(self, text: str) -> Usage:
        """The usage of an answer that came in one piece."""
        return self._truth or Usage(prompt_tokens=self._prompt, completion_tokens=estimate(text))


def count(value: object) -> int:
    """A number of tokens from an endpoint, which may be anything."""
    return value if type(value) is int and value > 0 else 0


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """OpenAI's usage object, of chat completions or of responses, in the dialects of those who copied it."""
    prompt = count(usage.get("prompt_tokens", usage.get("input_tokens")))
    completion = count(usage.get("completion_tokens", usage.get("output_tokens")))
    inward = usage.get("prompt_tokens_details", usage.get("input_tokens_details"))
    outward = usage.get("completion_tokens_details", usage.get("output_tokens_details"))
    inward = inward if type(inward) is dict else {}
    outward = outward if type(outward) is dict else {}
    reasoning = count(outward.get("reasoning_tokens"))
    # xAI counts reasoning beside the completion; the total tells.
    if reasoning and count(usage.get("total_tokens")) == prompt + completion + reasoning:
        completion += reasoning
    # DeepSeek and Moonshot name their caches' hits outside of the details.
    cached = count(inward.get("cached_tokens", usage.get("prompt_cache_hit_tokens", usage.get("cached_tokens"))))
    written = count(inward.get("cache_write_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=min(cached, prompt),
        written_tokens=min(written, prompt - min(cached, prompt)),
        reasoning_tokens=min(reasoning, completion),
    )
