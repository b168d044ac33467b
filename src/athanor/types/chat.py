"""What is asked of an engine, and what it answers: a request in, a stream of events out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from athanor.types.knowledge import AnswerMode, Citation
from athanor.types.records import Principal


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    role: Role
    content: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw tokens. `None` leaves the choice to the model's profile."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One chat request, free of any vendor's wire format."""

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    json_schema: Mapping[str, Any] | None = None
    """The answer must be JSON that satisfies this schema (JSON Schema 2020-12)."""
    mode: AnswerMode | None = None
    """For a knowledge base: how to answer. `None` lets the model's profile decide."""

    @property
    def question(self) -> str:
        """The last user message, or an empty string."""
        return next((m.content for m in reversed(self.messages) if m.role is Role.USER), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens and compute seconds. Adds up, so that a cancelled stream is billed for what it produced."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            seconds=self.seconds + other.seconds,
        )

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


NO_USAGE = Usage()


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """The next piece of the answer."""

    text: str
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """The answer's characters `start:end` (all deltas joined) rest on `citation`."""

    citation: Citation
    start: int
    end: int
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last event of a stream that succeeded. A stream that fails raises an `AthanorError` instead."""

    reason: FinishReason = FinishReason.STOP
    usage: Usage = NO_USAGE
    mode: AnswerMode | None = None
    abstained: bool = False
    confidence: float | None = None
    """For a knowledge base: the calibrated probability that the cited text holds the answer."""
    dropped: int = 0
    """Sentences the model wrote that its source did not support, and that were left out."""


Event = TextDelta | Cited | Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who asks, through which door, under which trace. Passed along, never global."""

    principal: Principal
    trace: str
    door: str
    """The interface that was used: `chat.completions`, `console`, …"""
