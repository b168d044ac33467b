"""What the tests of the vendors' adapters share."""

from __future__ import annotations

from typing import Any

import orjson

from athanor.types import Event, Message, Part, Request, Role, Sampling, Tool, ToolCallDelta, Usage

WEATHER = Tool(
    name="get_weather",
    description="Get the weather.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
FULL = Usage(prompt_tokens=10, completion_tokens=6, cached_tokens=4)
"""What every fake vendor counts."""


def system(text: str, **fields: Any) -> Message:
    return Message(role=Role.SYSTEM, content=text, **fields)


def user(text: str = "", *parts: Part, **fields: Any) -> Message:
    return Message(role=Role.USER, content=text, parts=parts, **fields)


def said(text: str = "", **fields: Any) -> Message:
    return Message(role=Role.ASSISTANT, content=text, **fields)


def result(text: str, call: str, **fields: Any) -> Message:
    return Message(role=Role.TOOL, content=text, call=call, **fields)


def ask(*messages: Message | str, stream: bool = True, sampling: Sampling | None = None, **fields: Any) -> Request:
    built = tuple(user(m) if isinstance(m, str) else m for m in messages)
    return Request(model="test", messages=built, stream=stream, sampling=sampling or Sampling(), **fields)


def calls_of(events: list[Event]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call, put together."""
    found: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            call = found.setdefault(event.index, [event.id, event.name, ""])
            call[2] += event.arguments
    return [(call[0], call[1], call[2]) for _, call in sorted(found.items())]


def stream_of(*events: Any) -> bytes:
    """Server-sent events."""
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)
