"""A request in the words of the Gemini API.

Source: https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/thought-signatures and the
types of the vendor's own client 3.4.0, read on 2026-11-24.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping
from typing import Any

from athanor.engines.adapters.gemini.answer import OURS, VENDOR
from athanor.engines.formats.proofs import own, unseal
from athanor.engines.formats.schemas import any_object
from athanor.engines.formats.translation import answer_limit, as_object
from athanor.errors import InputError, UnsupportedError
from athanor.types import Attachment, Image, Message, Part, Profile, Request, Role, Text, Thinking, Tool

_UNSIGNED = "skip_thought_signature_validator"
"""The vendor's word for calls that another model made: without it, newer models refuse them."""
Json = dict[str, Any]


def content_body(request: Request, profile: Profile) -> Json:
    """The body of `generateContent`.

    All system messages become the one that the vendor takes, in order. `Message.cache` needs nothing: the vendor caches
    by itself. The names of participants and `Request.user` have no counterpart, and are hints.

    Raises:
        InputError: no user or assistant message, or a tool's result without its call.
        UnsupportedError: what the vendor cannot be told.
    """
    contents = _contents(request.messages)
    if not contents:
        raise InputError("The request holds no user message.", where="messages")
    body: Json = {"contents": contents}
    if system := _system(request.messages):
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
        if config := _calling(request):
            body["toolConfig"] = {"functionCallingConfig": config}
    body["generationConfig"] = _config(request, profile)
    return body


def _config(request: Request, profile: Profile) -> Json:
    sampling = request.sampling
    temperature = sampling.temperature
    if temperature is None and "temperature" not in profile.lacks:
        temperature = profile.temperature
    config: Json = {
        "maxOutputTokens": answer_limit(request, profile),
        "temperature": temperature,
        "topP": sampling.top_p,
        "topK": sampling.top_k,
        # A signed 32-bit number there.
        "seed": None if sampling.seed is None else sampling.seed & 0x7FFFFFFF,
        "stopSequences": list(sampling.stop) or None,
        "presencePenalty": sampling.presence_penalty,
        "frequencyPenalty": sampling.frequency_penalty,
        "mediaResolution": _resolution(request.messages),
    }
    if request.json_schema is not None:
        schema = None if any_object(request.json_schema) else dict(request.json_schema)
        config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
    if request.thinking is not None and (thinking := _thinking(request.thinking)):
        config["thinkingConfig"] = thinking
    if request.logprobs is not None:
        config |= {"responseLogprobs": True, "logprobs": request.logprobs or None}
    return {name: value for name, value in config.items() if value is not None}


def _thinking(thinking: Thinking) -> Json:
    config: Json = {}
    if thinking.effort == "none":
        return {"thinkingBudget": 0}
    if thinking.tokens is not None and thinking.effort is not None:
        raise UnsupportedError("This vendor takes an effort or a budget for reasoning, not both.", where="thinking")
    if thinking.tokens is not None:
        config["thinkingBudget"] = thinking.tokens
    elif thinking.effort is not None:
        config["thinkingLevel"] = thinking.effort.upper()
    if thinking.summary:
        config["includeThoughts"] = True
    return config


def _resolution(messages: Iterable[Message]) -> str | None:
    """One for all images, as the vendor takes it: the finest that is asked for."""
    asked = {part.detail for message in messages for part in message.parts if isinstance(part, Image)}
    if "high" in asked:
        return "MEDIA_RESOLUTION_HIGH"
    return "MEDIA_RESOLUTION_LOW" if asked == {"low"} else None


def _tool(tool: Tool) -> Json:
    found: Json = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    if tool.parameters:
        found["parametersJsonSchema"] = dict(tool.parameters)
    return found


def _calling(request: Request) -> Json | None:
    choice = request.tool_choice
    if choice.parallel is False and choice.mode != "none":
        raise UnsupportedError("This vendor cannot be held to one tool call at a time.", where="parallel_tool_calls")
    match choice.mode:
        case "none":
            return {"mode": "NONE"}
        case "required":
            return {"mode": "ANY"}
        case "tool":
            return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    # Free to call or not, but arguments keep to the schema; ANY implies that.
    return {"mode": "VALIDATED"} if any(tool.strict for tool in request.tools) else None


def _system(messages: Iterable[Message]) -> list[Json]:
    parts = [part for message in messages if message.role is Role.SYSTEM for part in message.pieces()]
    if not all(isinstance(part, Text) for part in parts):
        raise UnsupportedError("This vendor takes only text from the system.", where="messages")
    return [_part(part) for part in _filled(parts)]


def _contents(messages: tuple[Message, ...]) -> list[Json]:
    """Turns that alternate. What has no content is left out."""
    turns: list[Json] = []
    calls: dict[str, Json] = {}
    # Signatures are checked from the last thing that the user said.
    current = max((i for i, message in enumerate(messages) if message.role is Role.USER), default=-1)
    for i, message in enumerate(messages):
        match message.role:
            case Role.SYSTEM:
                continue
            case Role.ASSISTANT:
                role, parts = "model", _model(message, calls, signed=i > current)
            case Role.TOOL:
                role, parts = "user", [_result(message, calls)]
            case _:
                role, parts = "user", [_part(part) for part in _filled(message.pieces())]
        if not parts:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        else:
            turns.append({"role": role, "parts": parts})
    # Calls without ids are told apart by their order, and their results come before anything else.
    order = {id(call): place for place, call in enumerate(calls.values())}
    for turn in turns:
        turn["parts"].sort(key=lambda part: order.get(id(part.get("answers")), len(order)))
        for part in turn["parts"]:
            part.pop("answers", None)
    return turns


def _model(message: Message, calls: dict[str, Json], *, signed: bool) -> list[Json]:
    """Text, then calls. Of the thoughts only the proofs go back: their text is a summary that the vendor does not need.

    Args:
        calls: by their ids; this message's are added.
        signed: the vendor will refuse a first call without a signature.
    """
    parts = [_part(part) for part in _filled(message.pieces())]
    if proofs := own(VENDOR, message.reasoning):
        if not parts:
            parts.append({"text": ""})
        parts[-1]["thoughtSignature"] = proofs[-1][1]
    signatures = [unseal(VENDOR, call.signature) for call in message.calls]
    for i, (call, signature) in enumerate(zip(message.calls, signatures, strict=True)):
        made: Json = {"name": call.name, "args": as_object(call.arguments)}
        if any(signatures) and not call.id.startswith(OURS):
            made["id"] = call.id  # the vendor's own
        calls[call.id] = made
        proof = signature or (_UNSIGNED if signed and i == 0 else None)
        parts.append({"functionCall": made, **({"thoughtSignature": proof} if proof else {})})
    return parts


def _result(message: Message, calls: Mapping[str, Json]) -> Json:
    call = calls.get(message.call or "")
    if call is None:
        raise InputError(f"The tool result {message.call!r} answers no call in this conversation.", where="messages")
    response = {"error" if message.failed else "output": message.content}
    found: Json = {"name": call["name"], "response": response}
    if "id" in call:
        found["id"] = call["id"]
    if media := [_part(part) for part in message.parts if not isinstance(part, Text)]:
        found["parts"] = media
    return {"functionResponse": found, "answers": call}


def _filled(parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if not isinstance(part, Text) or part.text]


def _part(part: Part) -> Json:
    if isinstance(part, Text):
        return {"text": part.text}
    if part.url:
        if part.url.startswith("http:"):
            raise UnsupportedError(
                "This vendor fetches files by https only.", where="messages", hint="Send the file itself, as base64."
            )
        return {"fileData": {"mimeType": _mime(part), "fileUri": part.url}}
    return {"inlineData": {"mimeType": part.mime, "data": part.data}}


def _mime(part: Image | Attachment) -> str:
    """By the URL's ending, because a caller of a URL is seldom asked for a type."""
    guess, _ = mimetypes.guess_type((part.url or "").partition("?")[0])
    return guess or part.mime
