"""A request in the words of the Messages API.

Source: https://platform.claude.com/docs/en/api/messages (version 2026-10-21) and the types of the vendor's own client
2.12.0, read on 2026-11-24.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from athanor.engines.adapters.anthropic.answer import VENDOR
from athanor.engines.formats.proofs import own
from athanor.engines.formats.schemas import any_object
from athanor.engines.formats.translation import answer_limit, as_object, closed
from athanor.errors import InputError, UnsupportedError
from athanor.types import Attachment, Image, Message, Part, Profile, Request, Role, Text, Thinking, Tool, ToolChoice

_IMAGES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
_MARKS = 4
"""Cache breakpoints that the vendor takes; the last reach furthest."""
_SMALLEST_BUDGET = 1024
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768}
"""Of reasoning, in tokens, for models that know no efforts."""
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_ANY_OBJECT = "Answer with one JSON object and nothing else: no text around it, and no code fence."
"""For JSON of any shape, which the vendor cannot enforce: its schemas must name every property."""
Block = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Dialect:
    """What a model knows, as far as its refusals tell: older ones take a budget for reasoning, newer ones an effort."""

    budgets: bool = True
    efforts: bool = True
    temperature: bool = True


def messages_body(request: Request, profile: Profile, model: str, dialect: Dialect) -> dict[str, Any]:
    """The body of `POST /messages`.

    All system messages become the one that the vendor takes, in order. `Image.detail` and the names of participants
    have no counterpart, and are hints.

    Raises:
        InputError: no user or assistant message, or a budget for reasoning that does not fit.
        UnsupportedError: a file or image of a kind or in a place that the vendor does not take.
    """
    limit, budget = answer_limit(request, profile), _budget(request, dialect)
    if request.sampling.max_tokens is None and request.thinking is not None and request.thinking.tokens is None:
        limit += budget or 0
    body: dict[str, Any] = {"model": model, "max_tokens": limit, "messages": []}
    marked: list[Block] = []
    system = _system(request.messages, marked)
    if request.json_schema is not None and any_object(request.json_schema):
        system.append({"type": "text", "text": _ANY_OBJECT})
    if system:
        body["system"] = system
    body["messages"] = _messages(request, marked)
    if not body["messages"]:
        raise InputError("The request holds no user message.", where="messages")
    for block in marked[-_MARKS:]:
        block["cache_control"] = {"type": "ephemeral"}
    if request.stream:
        body["stream"] = True
    body |= _sampling(request, profile, dialect)
    body |= _tools(request)
    if request.thinking is not None:
        body |= _thinking(request.thinking, budget, limit, dialect)
    if request.json_schema is not None and not any_object(request.json_schema):
        shape = {"type": "json_schema", "schema": closed(request.json_schema, where="json_schema")}
        body["output_config"] = {**body.get("output_config", {}), "format": shape}
    if request.user:
        body["metadata"] = {"user_id": request.user}
    return body


def _sampling(request: Request, profile: Profile, dialect: Dialect) -> dict[str, Any]:
    """What the request says, and the profile's temperature where the model would take it."""
    sampling = request.sampling
    found: dict[str, Any] = {"stop_sequences": list(sampling.stop)} if sampling.stop else {}
    temperature = sampling.temperature
    if temperature is None:
        # Not beside top_p, and thinking goes with the vendor's own only.
        thinks = request.thinking is not None and request.thinking.effort != "none"
        if dialect.temperature and "temperature" not in profile.lacks and sampling.top_p is None and not thinks:
            temperature = profile.temperature
    elif temperature > 1:
        raise UnsupportedError("This vendor's temperature lies between 0 and 1.", where="temperature")
    elif not dialect.temperature:
        raise UnsupportedError(
            f"The model {profile.name} does not know `temperature`.", where="temperature", hint="Leave it out."
        )
    named = {"temperature": temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    return found | {name: value for name, value in named.items() if value is not None}


def _thinking(thinking: Thinking, budget: int | None, limit: int, dialect: Dialect) -> dict[str, Any]:
    """The way that is asked for, or its nearest in the way that the model takes."""
    if thinking.effort == "none":
        return {"thinking": {"type": "disabled"}}
    effort: str | None = thinking.effort
    how: dict[str, Any] = {"type": "adaptive"}
    if budget is not None:
        if not _SMALLEST_BUDGET <= budget < limit:
            raise InputError(
                f"A budget for reasoning lies between {_SMALLEST_BUDGET} and max_tokens ({limit}).", where="thinking"
            )
        how = {"type": "enabled", "budget_tokens": budget}
    elif thinking.tokens is not None:
        effort = effort or next((name for name, most in _BUDGETS.items() if thinking.tokens <= most), "xhigh")
    if thinking.summary:
        how["display"] = "summarized"
    if effort is None or not dialect.efforts:
        return {"thinking": how}
    return {"thinking": how, "output_config": {"effort": "low" if effort == "minimal" else effort}}


def _budget(request: Request, dialect: Dialect) -> int | None:
    """Tokens for reasoning, where the model is told any: the caller's, or what stands for the caller's effort."""
    thinking = request.thinking
    if thinking is None or thinking.effort == "none":
        return None
    if thinking.tokens is not None:
        return thinking.tokens if dialect.budgets else None
    if dialect.efforts:
        return None
    wish, most = _BUDGETS[thinking.effort or "medium"], request.sampling.max_tokens
    return wish if most is None else min(wish, max(most // 2, _SMALLEST_BUDGET))


def _tools(request: Request) -> dict[str, Any]:
    if request.tools:
        choice = _choice(request.tool_choice)
        return {"tools": [_tool(tool) for tool in request.tools], **({"tool_choice": choice} if choice else {})}
    names = dict.fromkeys(call.name for message in request.messages for call in message.calls)
    if not names:
        return {}
    # The vendor wants the tools of earlier calls described; they must not be called again.
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    return {"tools": tools, "tool_choice": {"type": "none"}}


def _tool(tool: Tool) -> dict[str, Any]:
    schema = closed({"properties": {}, **tool.parameters}, where="tools") if tool.strict else dict(tool.parameters)
    found: dict[str, Any] = {"name": tool.name, "input_schema": {"type": "object", **schema}}
    if tool.description:
        found["description"] = tool.description
    if tool.strict is not None:
        found["strict"] = tool.strict
    return found


def _choice(choice: ToolChoice) -> dict[str, Any] | None:
    if choice.mode == "none":
        return {"type": "none"}
    found: dict[str, Any] = {"type": {"required": "any"}.get(choice.mode, choice.mode)}
    if choice.mode == "tool":
        found["name"] = choice.name
    if choice.parallel is False:
        found["disable_parallel_tool_use"] = True
    return found if choice.mode != "auto" or choice.parallel is False else None


def _system(messages: Iterable[Message], marked: list[Block]) -> list[Block]:
    blocks: list[Block] = []
    for message in messages:
        if message.role is Role.SYSTEM:
            mine = _texts_only(message)
            blocks += mine
            _mark(message, mine, marked)
    return blocks


def _messages(request: Request, marked: list[Block]) -> list[dict[str, Any]]:
    """Turns that alternate. What has no content is left out: the vendor refuses empty and blank text."""
    turns: list[dict[str, Any]] = []
    keep = request.thinking is None or request.thinking.effort != "none"
    for message in request.messages:
        match message.role:
            case Role.SYSTEM:
                continue
            case Role.ASSISTANT:
                role, blocks = "assistant", _assistant(message, thoughts=keep)
            case Role.TOOL:
                role, blocks = "user", [_result(message)]
            case _:
                role, blocks = "user", [_block(part) for part in _filled(message.pieces())]
        if not blocks:
            continue
        _mark(message, blocks, marked)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        # Results come before anything else that the user says, or the vendor does not find them.
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    if turns and turns[-1]["role"] == "assistant" and (last := turns[-1]["content"][-1])["type"] == "text":
        last["text"] = last["text"].rstrip()  # the beginning of an answer may not end in a blank
    return turns


def _assistant(message: Message, *, thoughts: bool) -> list[Block]:
    blocks: list[Block] = []
    for thought, proof in own(VENDOR, message.reasoning) if thoughts else ():
        if thought.redacted:
            blocks.append({"type": "redacted_thinking", "data": proof})
        else:
            blocks.append({"type": "thinking", "thinking": thought.text, "signature": proof})
    blocks += _texts_only(message)
    for call in message.calls:
        blocks.append({"type": "tool_use", "id": _id(call.id), "name": call.name, "input": as_object(call.arguments)})
    return blocks


def _result(message: Message) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": _id(message.call or "")}
    if message.parts:
        block["content"] = [_block(part) for part in _filled(message.parts)]
    elif message.content:
        block["content"] = message.content
    if message.failed:
        block["is_error"] = True
    return block


def _texts_only(message: Message) -> list[Block]:
    parts = _filled(message.pieces())
    if not all(isinstance(part, Text) for part in parts):
        raise UnsupportedError(f"This vendor takes only text from the {message.role}.", where="messages")
    return [_block(part) for part in parts]


def _filled(parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if not isinstance(part, Text) or part.text.strip()]


def _block(part: Part) -> Block:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        if part.url:
            return {"type": "image", "source": {"type": "url", "url": part.url}}
        if part.mime not in _IMAGES:
            raise UnsupportedError(f"This vendor takes no images of the type {part.mime}.", where="messages")
        return {"type": "image", "source": {"type": "base64", "media_type": part.mime, "data": part.data}}
    block = {"type": "document", "source": _document(part)}
    return {**block, "title": part.name} if part.name else block


def _document(part: Attachment) -> Block:
    if part.mime == "application/pdf":
        if part.url:
            return {"type": "url", "url": part.url}
        return {"type": "base64", "media_type": part.mime, "data": part.data}
    if part.mime.startswith("text/") and part.data is not None:
        try:
            text = b64decode(part.data, validate=True).decode()
        except ValueError as error:
            raise InputError("A text file is base64 of UTF-8.", where="messages") from error
        return {"type": "text", "media_type": "text/plain", "data": text}
    raise UnsupportedError(
        f"This vendor takes no files of the type {part.mime}{' by URL' if part.url else ''}.",
        where="messages",
        hint="Send a PDF, or text in the message.",
    )


def _mark(message: Message, blocks: list[Block], marked: list[Block]) -> None:
    """Remember where the cache should end after this message: thoughts cannot carry the mark."""
    if message.cache and blocks and not blocks[-1]["type"].endswith("thinking"):
        marked.append(blocks[-1])


def _id(call: str) -> str:
    """Ids that other vendors made may hold characters that this one refuses; the same comes out for the result."""
    return _NOT_IN_IDS.sub("_", call)
