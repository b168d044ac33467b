"""The texts inside a request: each with its origin and its place, and the way to put another in its stead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from athanor.types import Message, Origin, Part, Request, Role, Text, Tool, ToolCall

ORIGINS: Mapping[Role, Origin] = {
    Role.SYSTEM: Origin.SYSTEM,
    Role.USER: Origin.USER,
    Role.ASSISTANT: Origin.MODEL,
    Role.TOOL: Origin.TOOL,
}

_DESCRIBES = frozenset({"description", "title", "$comment"})
"""Keys of a JSON Schema whose text is for the model to read and for nobody to match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One text of a request."""

    text: str
    origin: Origin
    place: str
    """`messages.2`, `messages.2.parts.1`, `messages.3.calls.0`, `tools.0`, …"""
    new: bool
    """Said since the model spoke last; the rest is history, and was checked when it was new."""


Change = Callable[[Piece], str]
"""The text that goes on in place of a piece's: its own where nothing changes."""


def pieces(request: Request) -> Iterator[Piece]:
    """Every text of `request`."""
    found: list[Piece] = []

    def keep(piece: Piece) -> str:
        found.append(piece)
        return piece.text

    rewritten(request, keep)
    yield from found


def rewritten(request: Request, change: Change) -> Request:
    """`request` with every text as `change` gives it; the same object where nothing changes."""
    last = max((i for i, m in enumerate(request.messages) if m.role is Role.ASSISTANT), default=-1)
    messages = tuple(_message(m, f"messages.{i}", i > last, change) for i, m in enumerate(request.messages))
    tools = tuple(_tool(tool, f"tools.{i}", change) for i, tool in enumerate(request.tools))
    schema = request.json_schema
    if schema is not None:
        schema = _schema(schema, "json_schema", change)
    same = all(a is b for a, b in zip(messages, request.messages, strict=True))
    same = same and all(a is b for a, b in zip(tools, request.tools, strict=True)) and schema is request.json_schema
    return request if same else replace(request, messages=messages, tools=tools, json_schema=schema)


def _message(message: Message, place: str, new: bool, change: Change) -> Message:
    origin = ORIGINS[message.role]
    changes: dict[str, Any] = {}
    if message.parts:
        parts = tuple(
            _part(part, Piece(text=part.text, origin=origin, place=f"{place}.parts.{i}", new=new), change)
            if isinstance(part, Text)
            else part
            for i, part in enumerate(message.parts)
        )
        if any(a is not b for a, b in zip(parts, message.parts, strict=True)):
            changes = {"parts": parts, "content": _joined(message, parts)}
    elif message.content:
        text = change(Piece(text=message.content, origin=origin, place=place, new=new))
        if text != message.content:
            changes = {"content": text}
    if message.calls:
        calls = tuple(_call(call, f"{place}.calls.{i}", new, change) for i, call in enumerate(message.calls))
        if any(a is not b for a, b in zip(calls, message.calls, strict=True)):
            changes["calls"] = calls
    return replace(message, **changes) if changes else message


def _part(part: Text, piece: Piece, change: Change) -> Part:
    text = change(piece)
    return part if text == part.text else Text(text=text)


def _joined(message: Message, parts: tuple[Part, ...]) -> str:
    """The text of all parts, put together as it was."""
    before = [part.text for part in message.parts if isinstance(part, Text)]
    between = next((sep for sep in ("", "\n", "\n\n", " ") if sep.join(before) == message.content), "\n")
    return between.join(part.text for part in parts if isinstance(part, Text))


def _call(call: ToolCall, place: str, new: bool, change: Change) -> ToolCall:
    if not call.arguments:
        return call
    text = change(Piece(text=call.arguments, origin=Origin.MODEL, place=place, new=new))
    return call if text == call.arguments else replace(call, arguments=text)


def _tool(tool: Tool, place: str, change: Change) -> Tool:
    changes: dict[str, Any] = {}
    if tool.description:
        text = change(Piece(text=tool.description, origin=Origin.TOOL, place=place, new=False))
        if text != tool.description:
            changes["description"] = text
    parameters = _schema(tool.parameters, f"{place}.parameters", change)
    if parameters is not tool.parameters:
        changes["parameters"] = parameters
    return replace(tool, **changes) if changes else tool


def _schema(value: Any, place: str, change: Change) -> Any:
    """A JSON Schema, with what it says to a reader as `change` gives it. Names and values stay: they are matched."""
    if isinstance(value, Mapping):
        made = {
            key: change(Piece(text=inner, origin=Origin.TOOL, place=f"{place}.{key}", new=False))
            if key in _DESCRIBES and isinstance(inner, str) and inner
            else _schema(inner, place, change)
            for key, inner in value.items()
        }
        return value if all(made[key] is value[key] for key in value) else made
    if isinstance(value, list):
        items = [_schema(inner, place, change) for inner in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    return value
