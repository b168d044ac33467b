"""What is asked of an engine, and what it answers: a request in, a stream of events out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal, Protocol

from athanor.types.content import ANY_TOOL, Part, Reasoning, Text, Thinking, TokenLogprob, Tool, ToolCall, ToolChoice
from athanor.types.knowledge import AnswerMode, Citation, Conflict
from athanor.types.records import ApiKey, Principal


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    role: Role
    content: str
    """All of its text."""
    name: str | None = None
    parts: tuple[Part, ...] = ()
    """Everything in order, where there is more than text; `content` is then the text of it."""
    calls: tuple[ToolCall, ...] = ()
    """Of an assistant: the tools it asked for, after its text."""
    call: str | None = None
    """Of a tool: the id of the call that this is the result of."""
    failed: bool = False
    """Of a tool: the result is an error."""
    reasoning: tuple[Reasoning, ...] = ()
    """Of an assistant: what it thought before its text."""
    cache: bool = False
    """A vendor's prompt cache should end after this message."""

    def pieces(self) -> tuple[Part, ...]:
        """The content as parts, whatever it is."""
        return self.parts or ((Text(text=self.content),) if self.content else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw tokens. `None` leaves the choice to the model's profile."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What a caller lets our answer cache do (`cache-control` of HTTP, RFC 9111)."""

    read: bool = True
    """`no-cache` switches it off."""
    write: bool = True
    """`no-store` switches it off."""
    max_age: float | None = None
    """Seconds: older answers are not taken."""


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
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ANY_TOOL
    thinking: Thinking | None = None
    logprobs: int | None = None
    """Log-probabilities of the tokens, and of so many alternatives at each place; `None` asks for none."""
    stream: bool = True
    """The caller reads piece by piece. Where False, an engine may answer in one piece, which costs less."""
    user: str | None = None
    """The caller's own name for its end user, passed to vendors that take one."""
    cache: CacheUse = CacheUse()

    @property
    def question(self) -> str:
        """The last user message, or an empty string."""
        return next((m.content for m in reversed(self.messages) if m.role is Role.USER), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, compute seconds and money. Adds up, so that a cancelled stream is billed for what it produced."""

    prompt_tokens: int = 0
    """All of the prompt, cached parts included."""
    completion_tokens: int = 0
    """All of the answer, reasoning included."""
    cached_tokens: int = 0
    """Of the prompt: read from a vendor's or an engine's prompt cache."""
    written_tokens: int = 0
    """Of the prompt: written to a vendor's prompt cache."""
    reasoning_tokens: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    """US dollars. Filled in where the price is known, at the engine that was used, and nowhere else."""

    def __add__(self, other: Usage) -> Usage:
        if other is NO_USAGE:  # most pieces of most streams
            return self
        if self is NO_USAGE:
            return other
        return _usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.written_tokens + other.written_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.seconds + other.seconds,
            self.cost + other.cost,
        )

    def costing(self, cost: float) -> Usage:
        """The same, at `cost` US dollars."""
        return _usage(
            self.prompt_tokens,
            self.completion_tokens,
            self.cached_tokens,
            self.written_tokens,
            self.reasoning_tokens,
            self.seconds,
            cost,
        )

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


_SETTERS = tuple(getattr(Usage, field.name).__set__ for field in fields(Usage))


def _usage(*values: float) -> Usage:
    """The fields in their order, straight into their slots: a frozen class's own way costs three times as much, and
    every piece of a stream adds up once."""
    made = object.__new__(Usage)
    for put, value in zip(_SETTERS, values, strict=True):
        put(made, value)
    return made


NO_USAGE = Usage()


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    FILTERED = "filtered"
    """The vendor's own filter, or the model itself, refused."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The first event of a request through the gateway: what is known before the first piece of the answer."""

    target: str = ""
    """The model that answers."""
    cached: Literal["", "exact", "semantic"] = ""
    dropped: tuple[str, ...] = ()
    """Parameters that this model does not know and that its settings let us leave out."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Rate-limit headers for the caller."""
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """The next piece of the answer."""

    text: str
    usage: Usage = NO_USAGE
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """The next piece of what the model thinks. `signature` comes with the last piece of a block, where there is one."""

    text: str = ""
    signature: str | None = None
    redacted: bool = False
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """The next piece of a tool call. The first of each `index` has `id` and `name`; arguments add up."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    signature: str | None = None
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """The answer's characters `start:end` (all deltas joined) rest on `citation`."""

    citation: Citation
    start: int
    end: int
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """How well the sources support the answer's characters `start:end`, one sentence of it."""

    start: int
    end: int
    score: float
    """Calibrated probability that the sources support it, 0 to 1."""
    supported: bool
    """Is it at or over the threshold. What is not is marked by this, or was never sent, as the policy says."""
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The last event of a stream that succeeded. A stream that fails raises an `AthanorError` instead."""

    reason: FinishReason = FinishReason.STOP
    usage: Usage = NO_USAGE
    stop: str | None = None
    """The stop string that ended it, where the engine says which."""
    mode: AnswerMode | None = None
    abstained: bool = False
    confidence: float | None = None
    """For a knowledge base: the calibrated probability that the cited text holds the answer."""
    dropped: int = 0
    """Sentences the model wrote that its source did not support, and that were left out."""
    groundedness: float | None = None
    """Of the whole answer, 0 to 1: the least of its sentences' scores."""
    nearest: tuple[Citation, ...] = ()
    """Where it abstained: the passages that came closest."""
    conflicts: tuple[Conflict, ...] = ()
    """Cited sources that do not agree with one another."""


Event = Started | TextDelta | ReasoningDelta | ToolCallDelta | Cited | Graded | Finished


class SpanHandle(Protocol):
    """A stage of a request that is being measured."""

    def child(self, name: str, **attributes: Any) -> AbstractContextManager[SpanHandle]:
        """Measure a stage within this one. Attributes are JSON, and never the text of a request or an answer."""
        ...

    def set(self, **attributes: Any) -> None: ...


class NoSpan:
    """Measures nothing."""

    @contextmanager
    def child(self, name: str, **attributes: Any) -> Iterator[SpanHandle]:
        yield self

    def set(self, **attributes: Any) -> None:
        """Forget them."""


NO_SPAN = NoSpan()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who asks, through which door, under which trace. Passed along, never global."""

    principal: Principal
    trace: str
    door: str
    """The interface that was used: `chat.completions`, `console`, …"""
    key: ApiKey | None = None
    """The key that was used; `None` for a person in the console."""
    span: SpanHandle = NO_SPAN
    """The stage that this belongs to; engines open their own stages under it."""
    conversation: str = ""
    """A hash of what all requests of one conversation share; empty where nothing is known of it."""
