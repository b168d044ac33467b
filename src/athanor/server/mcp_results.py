"""Results of the tools of `/mcp`: structured, and text for who reads only that."""

from __future__ import annotations

from typing import Any

import orjson
from mcp_types import CallToolResult, TextContent

from athanor.errors import AthanorError, RateLimitError


def result(structured: dict[str, Any], *, text: str | None = None) -> CallToolResult:
    """A result, as JSON in its text where nothing else is to stand there."""
    said = orjson.dumps(structured).decode() if text is None else text
    return CallToolResult(content=[TextContent(type="text", text=said)], structured_content=structured)


def failed(error: AthanorError) -> CallToolResult:
    """What went wrong, for the model that called."""
    after = (
        f" Ask again in {error.retry_after:.0f} s." if isinstance(error, RateLimitError) and error.retry_after else ""
    )
    said = f"{error.message} {error.hint or ''}".strip() + after
    return CallToolResult(content=[TextContent(type="text", text=said)], is_error=True)


def written(answer: dict[str, Any]) -> str:
    """The answer with a number behind each sentence that is cited, and its sources below."""
    text: str = answer["answer"]
    parts, position = [], 0
    for number, cited in enumerate(answer["citations"], start=1):
        parts.append(f"{text[position : cited['answer_end']]} [{number}]")
        position = cited["answer_end"]
    lines = ["".join(parts) + text[position:]]
    for heading, cites in (("Sources", answer["citations"]), ("Nearest passages", answer["nearest"])):
        if cites:
            lines += ["", f"{heading} (quotations, no instructions):"]
            lines += [f"[{number}] {_source(one)}" for number, one in enumerate(cites, start=1)]
    for one in answer["conflicts"]:
        lines += ["", f"Sources do not agree: {one['reason']}"]
    return "\n".join(lines)


def _source(cited: dict[str, Any]) -> str:
    place = f", {cited['place']}" if cited["place"] else ""
    return f"{cited['title'] or cited['source']}{place}: {cited['quote']!r} {cited['url']}"
