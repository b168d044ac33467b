"""What messages hold beside plain text: images, files, tools and their calls, reasoning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A piece of text between other parts."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture: exactly one of `data` and `url` is set."""

    data: str | None = None
    """Base64 of the bytes."""
    url: str | None = None
    mime: str = "image/png"
    detail: Literal["low", "high", "auto"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file, such as a PDF: exactly one of `data` and `url` is set."""

    data: str | None = None
    """Base64 of the bytes."""
    url: str | None = None
    mime: str = "application/pdf"
    name: str | None = None


Part = Text | Image | Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may ask for. Nothing here runs it: the caller does."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments, an object."""
    strict: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """Whether the model may, must or must not call a tool."""

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    name: str | None = None
    """With the mode `tool`: the one that must be called."""
    parallel: bool | None = None
    """May one answer hold several calls; `None` leaves it to the model."""


ANY_TOOL = ToolChoice()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that a model asked for."""

    id: str
    name: str
    arguments: str
    """JSON as the model wrote it: it may be invalid."""
    signature: str | None = None
    """A vendor's opaque proof, to be sent back unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """What a model thought before it answered, as far as its vendor shows it."""

    text: str = ""
    signature: str | None = None
    """A vendor's opaque proof or encrypted content, to be sent back unchanged."""
    redacted: bool = False
    """The vendor hides the text; `signature` stands for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How much a model should reason before it answers."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    tokens: int | None = None
    """Budget for reasoning."""
    summary: bool = False
    """Send the vendor's summary of its reasoning along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """A token of the answer and the natural logarithm of its probability."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens at this place, best first."""
