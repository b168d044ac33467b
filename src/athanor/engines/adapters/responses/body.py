"""A request in the format of OpenAI's responses. Nothing is stored at the vendor.

Source: https://developers.openai.com/api/reference/resources/responses, read on 2026-11-24.
"""

from __future__ import annotations

from typing import Any

from athanor.engines.formats.chat_request import data_url, effort_of
from athanor.engines.formats.proofs import own
from athanor.engines.formats.schemas import ANSWER, any_object, fits_strict
from athanor.errors import UnsupportedError
from athanor.types import Attachment, Image, Message, Part, Profile, Request, Role, Text, Tool

VENDOR = "openai"
"""Marks our reasoning's proofs, so that no other vendor is sent them."""


def responses_body(request: Request, *, model: str, profile: Profile, encrypted: bool) -> dict[str, Any]:
    """The body of `POST /responses`. What the request does not say is left to the endpoint.

    Args:
        encrypted: ask for reasoning that can be sent back, which models without reasoning refuse.

    Raises:
        UnsupportedError: a part that the format has no word for.
    """
    body: dict[str, Any] = {
        "model": model,
        "input": [item for message in request.messages for item in _items(message)],
        "stream": request.stream,
        "store": False,
    }
    sampling = request.sampling
    temperature = profile.temperature if sampling.temperature is None else sampling.temperature
    if temperature is not None:
        body["temperature"] = temperature
    if sampling.top_p is not None:
        body["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        body["max_output_tokens"] = sampling.max_tokens
    include = ["reasoning.encrypted_content"] if encrypted else []
    if request.logprobs is not None:
        include.append("message.output_text.logprobs")
        body["top_logprobs"] = request.logprobs
    if include:
        body["include"] = include
    if request.tools:
        _add_tools(body, request)
    if request.json_schema is not None:
        body["text"] = {"format": _format(request.json_schema)}
    if reasoning := _reasoning(request):
        body["reasoning"] = reasoning
    if request.user is not None:
        body["user"] = request.user
    return body


def _add_tools(body: dict[str, Any], request: Request) -> None:
    body["tools"] = [_tool(tool) for tool in request.tools]
    choice = request.tool_choice
    if choice.mode == "tool":
        body["tool_choice"] = {"type": "function", "name": choice.name}
    elif choice.mode != "auto":
        body["tool_choice"] = choice.mode
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel


def _tool(tool: Tool) -> dict[str, Any]:
    # Unlike chat completions, this format is strict where nothing is said.
    out: dict[str, Any] = {
        "type": "function",
        "name": tool.name,
        "parameters": dict(tool.parameters),
        "strict": bool(tool.strict),
    }
    if tool.description:
        out["description"] = tool.description
    return out


def _format(schema: Any) -> dict[str, Any]:
    if any_object(schema):
        return {"type": "json_object"}
    return {"type": "json_schema", "name": ANSWER, "schema": dict(schema), "strict": fits_strict(schema)}


def _reasoning(request: Request) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if request.thinking is not None:
        if effort := effort_of(request.thinking):
            out["effort"] = effort
        if request.thinking.summary:
            out["summary"] = "auto"
    return out


def _items(message: Message) -> list[dict[str, Any]]:
    if message.role is Role.TOOL:
        return [{"type": "function_call_output", "call_id": message.call or "", "output": _output(message)}]
    if message.role is not Role.ASSISTANT:
        return [{"role": message.role.value, "content": _content(message)}]
    if any(not isinstance(part, Text) for part in message.parts):
        raise UnsupportedError("In this vendor's format the assistant's messages hold text only.", where="messages")
    items: list[dict[str, Any]] = []
    # The vendor refuses a thought that nothing follows.
    followed = message.content or message.calls
    for thought, proof in own(VENDOR, message.reasoning) if followed else ():
        summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
        items.append({"type": "reasoning", "summary": summary, "encrypted_content": proof})
    if message.content:
        items.append({"role": "assistant", "content": message.content})
    items += [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
        for call in message.calls
    ]
    return items


def _content(message: Message) -> str | list[dict[str, Any]]:
    if all(isinstance(part, Text) for part in message.parts):
        return message.content
    return [_part(part) for part in message.parts]


def _output(message: Message) -> str | list[dict[str, Any]]:
    content = _content(message)
    # The format has no mark for a failure, and the model must know.
    if message.failed and not message.content.lower().startswith("error"):
        return f"Error: {content}" if isinstance(content, str) else [{"type": "input_text", "text": "Error:"}, *content]
    return content


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Image():
            return {"type": "input_image", "image_url": data_url(part), "detail": part.detail or "auto"}
        case Attachment():
            if part.url is not None:
                return {"type": "input_file", "file_url": part.url}
            return {"type": "input_file", "filename": part.name or "file", "file_data": data_url(part)}
