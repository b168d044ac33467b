"""How many tokens a prompt has, before anybody has counted them."""

from __future__ import annotations

from typing import NamedTuple

from athanor.types import Attachment, Image, Request

_IMAGE_TOKENS = 1600
"""What most vendors bill for a large picture."""
_TOOLS_TOKENS = 600
"""What vendors put before the first tool: Anthropic lists up to 530."""
_TEMPLATE_TOKENS = 32
"""What a model's template may add once, such as its own system prompt."""
_MESSAGE_TOKENS = 4
_MESSAGE_TOKENS_AT_MOST = 8
_CALL_TOKENS = 8
_TOOL_TOKENS = 16


class Size(NamedTuple):
    """Tokens of a prompt."""

    likely: int
    """One for every three bytes: more than texts of most languages take, where English has four bytes a token."""
    most: int
    """One for every byte: no tokenizer that starts from bytes or characters makes more of a text. Of pictures and
    files only their vendor knows; they are counted as large ones."""


def size(request: Request) -> Size:
    """The size of a request's prompt."""
    text = 0
    parts = 0
    calls = 0
    for message in request.messages:
        text += _bytes(message.content)
        for part in message.parts:
            if isinstance(part, Image):
                parts += _IMAGE_TOKENS
            elif isinstance(part, Attachment):
                parts += len(part.data or "") * 3 // 16 + _IMAGE_TOKENS  # four bytes a token, and a page as a picture
        for call in message.calls:
            calls += 1
            text += _bytes(call.name) + _bytes(call.arguments)
        for thought in message.reasoning:
            text += _bytes(thought.text or thought.signature or "")
    for tool in request.tools:
        text += _bytes(tool.name) + _bytes(tool.description) + _bytes(str(tool.parameters))
    if request.json_schema is not None:
        text += _bytes(str(request.json_schema))
    fixed = parts + _CALL_TOKENS * calls + _TOOL_TOKENS * len(request.tools)
    count = len(request.messages)
    extra = _TEMPLATE_TOKENS + (_TOOLS_TOKENS if request.tools else 0)
    return Size(
        likely=3 + _MESSAGE_TOKENS * count + fixed + text // 3,
        most=extra + _MESSAGE_TOKENS_AT_MOST * count + fixed + text,
    )


def estimate(request: Request) -> int:
    """Tokens of a prompt, likely somewhat too many."""
    return size(request).likely


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
