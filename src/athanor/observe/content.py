"""The texts of a request and its answer, where they are recorded: off unless a key or the settings ask for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from athanor.types import Cited, Content, Context, Event, Finished, ReasoningDelta, Request, TextDelta, ToolCallDelta

Clean = Callable[[Content, Context, str], Awaitable[Content]]
"""Takes what was said, by whom and to which model, and gives what may be stored of it."""


class Recording:
    """Collects one request and its answer as JSON."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._reason = ""
        self._cited: list[dict[str, Any]] = []

    def add(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._text.append(event.text)
            case ReasoningDelta():
                self._reasoning.append(event.text)
            case ToolCallDelta():
                call = self._calls.setdefault(event.index, {"id": "", "name": "", "arguments": ""})
                call["id"] = event.id or call["id"]
                call["name"] = event.name or call["name"]
                call["arguments"] += event.arguments
            case Cited():
                # By id: so that who reads this can be asked for the right to it, and so that erasure finds it.
                cited = event.citation
                self._cited.append({"document": cited.document, "version": cited.version, "source": cited.source})
            case Finished():
                self._reason = event.reason.value

    def content(self, trace: str, at: float) -> Content:
        """What was said. An answer that broke off has no `finish_reason`."""
        answer: dict[str, Any] = {"content": "".join(self._text), "finish_reason": self._reason}
        if self._cited:
            answer["citations"] = self._cited
        if self._reasoning:
            answer["reasoning"] = "".join(self._reasoning)
        if self._calls:
            answer["tool_calls"] = list(self._calls.values())
        return Content(trace=trace, at=at, request=_plain(asdict(self._request)), answer=answer)


def _plain(value: Any) -> Any:
    """Without what is empty, so that a recorded chat reads like a chat."""
    if isinstance(value, dict):
        # A temperature of 0 is not empty, and in a schema nothing is.
        return {
            k: v if k in {"json_schema", "parameters"} else _plain(v)
            for k, v in value.items()
            if v is not None and v is not False and v not in ((), [], {}, "")
        }
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
