"""A request in the format of OpenAI's chat completions.

Source: https://developers.openai.com/api/reference/resources/chat, read on 2026-11-24.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from athanor.engines.formats.schemas import ANSWER, any_object, fits_strict
from athanor.errors import UnsupportedError
from athanor.types import Attachment, Image, Message, Part, Profile, Request, Role, Text, Thinking, Tool, ToolChoice


@dataclass(slots=True, kw_only=True)
class Dialect:
    """How one endpoint speaks the format. It is learnt from refusals: see `ChatEngine.adapt`."""

    limit: str = "max_tokens"
    """Its name for the most tokens of an answer."""
    usage: bool = True
    """It takes `stream_options`."""
    reasoning: bool = True
    """It takes back, in `reasoning_content`, what a model thought between its tool calls."""


def chat_body(request: Request, *, model: str, profile: Profile, dialect: Dialect) -> dict[str, Any]:
    """The body of `POST /chat/completions`. What the request does not say is left to the endpoint.

    Raises:
        UnsupportedError: a part that the format has no word for.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message, dialect) for message in request.messages],
        "stream": request.stream,
    }
    if request.stream and dialect.usage:
        body["stream_options"] = {"include_usage": True}
    _add_sampling(body, request, profile, dialect)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        _add_choice(body, request.tool_choice)
    schema = request.json_schema
    if schema is not None:
        body["response_format"] = (
            {"type": "json_object"}
            if any_object(schema)
            else {
                "type": "json_schema",
                "json_schema": {"name": ANSWER, "strict": fits_strict(schema), "schema": dict(schema)},
            }
        )
    if request.thinking is not None and (effort := effort_of(request.thinking)):
        body["reasoning_effort"] = effort
    if request.logprobs is not None:
        body["logprobs"] = True
        if request.logprobs:
            body["top_logprobs"] = request.logprobs
    if request.user is not None:
        body["user"] = request.user
    return body


def effort_of(thinking: Thinking) -> str | None:
    """The effort asked for; a budget in tokens, which these formats have no word for, becomes the nearest effort.

    The steps are those of OpenRouter's documentation, turned round: a fifth, a half and four fifths of 8,192 tokens.
    """
    if thinking.effort is not None or thinking.tokens is None:
        return thinking.effort
    if thinking.tokens <= 0:
        return "none"
    return "low" if thinking.tokens <= 2048 else "medium" if thinking.tokens <= 6144 else "high"


def data_url(part: Image | Attachment) -> str:
    """Its own URL, or one that holds its bytes."""
    return part.url if part.url is not None else f"data:{part.mime};base64,{part.data or ''}"


def _add_sampling(body: dict[str, Any], request: Request, profile: Profile, dialect: Dialect) -> None:
    sampling = request.sampling
    temperature = profile.temperature if sampling.temperature is None else sampling.temperature
    if temperature is not None:
        body["temperature"] = temperature
    if sampling.max_tokens is not None:
        body[dialect.limit] = sampling.max_tokens
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        body["top_k"] = sampling.top_k
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.presence_penalty is not None:
        body["presence_penalty"] = sampling.presence_penalty
    if sampling.frequency_penalty is not None:
        body["frequency_penalty"] = sampling.frequency_penalty


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _add_choice(body: dict[str, Any], choice: ToolChoice) -> None:
    if choice.mode == "tool":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.mode != "auto":
        body["tool_choice"] = choice.mode
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel


def _message(message: Message, dialect: Dialect) -> dict[str, Any]:
    role = message.role
    content: Any = message.content
    if message.parts and any(not isinstance(part, Text) for part in message.parts):
        if role is not Role.USER:
            raise UnsupportedError(
                f"In this vendor's format only the user's messages hold images and files, not the {role}'s.",
                where="messages",
                hint="Put it into a message of the user.",
            )
        content = [_part(part) for part in message.parts]
    out: dict[str, Any] = {"role": role.value, "content": content}
    if message.name is not None:
        out["name"] = message.name
    if role is Role.TOOL:
        out["tool_call_id"] = message.call or ""
        # The format has no mark for it, and the model must know.
        if message.failed and not message.content.lower().startswith("error"):
            out["content"] = f"Error: {message.content}"
    if message.calls:
        out["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
        if not message.content:
            out["content"] = None
        if dialect.reasoning and (thought := "".join(piece.text for piece in message.reasoning)):
            out["reasoning_content"] = thought
    return out


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            image: dict[str, Any] = {"url": data_url(part)}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case Attachment():
            if part.url is not None:
                raise UnsupportedError(
                    "In this vendor's format a file is sent as its bytes, not as a URL.",
                    where="messages",
                    hint="Send it as base64, or set the model's `backend` to `responses`.",
                )
            return {"type": "file", "file": {"filename": part.name or "file", "file_data": data_url(part)}}
