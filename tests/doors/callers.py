"""The vendors' own SDKs as callers of our doors, and what each heard in one form."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

WEATHER = {
    "name": "get_weather",
    "description": "Get the weather.",
    "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n picture").decode()
PDF = base64.b64encode(b"%PDF-1.4 paper").decode()


@dataclass(slots=True, kw_only=True)
class Ask:
    """A request in no one's words."""

    turns: list[Any]
    """Texts of the user, and messages in the door's own words."""
    tools: bool = False
    schema: dict[str, Any] | None = None
    think: bool = False
    stop: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """Parameters in the door's own words."""


@dataclass(slots=True, kw_only=True)
class Heard:
    """An answer in no one's words."""

    text: str = ""
    thoughts: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    """Id, name and arguments."""
    reason: str = ""
    """`stop`, `length`, `tool_calls` or `filtered`."""
    usage: tuple[int, int, int, int] | None = None
    """Tokens of the prompt, cached of them, of the answer, reasoning of them."""
    pieces: int = 0
    history: list[Any] = field(default_factory=list)
    """The answer, to be sent back."""
    raw: Any = None


class Chat:
    name = "chat"

    def __init__(self, url: str, key: str) -> None:
        self.sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    def user(self, text: str, *, image: bool = False, file: bool = False) -> Any:
        parts: list[Any] = [{"type": "text", "text": text}]
        if image:
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}})
        if file:
            url = f"data:application/pdf;base64,{PDF}"
            parts.append({"type": "file", "file": {"file_data": url, "filename": "paper.pdf"}})
        return {"role": "user", "content": parts}

    def results(self, calls: Sequence[tuple[str, str, Any]], texts: Sequence[str]) -> list[Any]:
        return [
            {"role": "tool", "tool_call_id": call[0], "content": text} for call, text in zip(calls, texts, strict=True)
        ]

    def body(self, model: str, ask: Ask, streamed: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": t} if isinstance(t, str) else t for t in ask.turns],
            "stream": streamed,
            **ask.extra,
        }
        if ask.tools:
            function = {"name": WEATHER["name"], "description": "Now.", "parameters": WEATHER["schema"]}
            body["tools"] = [{"type": "function", "function": function}]
        if ask.schema:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": ask.schema}}
        if ask.think:
            body["reasoning_effort"] = "low"
        if ask.stop:
            body["stop"] = ask.stop
        if streamed:
            body["stream_options"] = {"include_usage": True}
        return body

    async def ask(self, model: str, ask: Ask, streamed: bool) -> Heard:
        found = await self.sdk.chat.completions.create(**self.body(model, ask, streamed))
        return await self._stream(found) if streamed else self._whole(found)

    def _whole(self, reply: Any) -> Heard:
        message = reply.choices[0].message
        calls = [(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or ()]
        back = message.model_dump(exclude_none=True)
        return Heard(
            text=message.content or "",
            thoughts=getattr(message, "reasoning_content", "") or "",
            calls=calls,
            reason=_chat_reason(reply.choices[0].finish_reason),
            usage=_chat_usage(reply.usage),
            history=[back],
            raw=reply,
        )

    async def _stream(self, stream: Any) -> Heard:
        heard, calls, details = Heard(raw=[]), {}, []
        async for chunk in stream:
            heard.raw.append(chunk)
            if chunk.usage:
                heard.usage = _chat_usage(chunk.usage)
            for choice in chunk.choices:
                delta = choice.delta
                heard.text += delta.content or ""
                heard.pieces += bool(delta.content)
                heard.thoughts += getattr(delta, "reasoning_content", "") or ""
                details += getattr(delta, "reasoning_details", None) or []
                for call in delta.tool_calls or ():
                    found = calls.setdefault(call.index, {"id": call.id, "name": call.function.name, "raw": ""})
                    found["raw"] += call.function.arguments or ""
                    if extra := getattr(call, "extra_content", None):
                        found["extra_content"] = extra
                if choice.finish_reason:
                    heard.reason = _chat_reason(choice.finish_reason)
        heard.calls = [(c["id"], c["name"], json.loads(c["raw"])) for c in calls.values()]
        back: dict[str, Any] = {"role": "assistant", "content": heard.text}
        if calls:
            back["tool_calls"] = [
                {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["raw"]}}
                | ({"extra_content": c["extra_content"]} if "extra_content" in c else {})
                for c in calls.values()
            ]
        if details:
            back["reasoning_details"] = _joined(details, heard.thoughts)
        heard.history = [back]
        return heard


def _joined(details: list[Any], thoughts: str) -> list[Any]:
    """As a client does: the text of the deltas, and the proof that came last."""
    return [d if d["type"] == "reasoning.encrypted" else d | {"text": thoughts} for d in details]


def _chat_reason(reason: str) -> str:
    return "filtered" if reason == "content_filter" else reason


def _chat_usage(usage: Any) -> tuple[int, int, int, int]:
    cached, reasoning = usage.prompt_tokens_details.cached_tokens, usage.completion_tokens_details.reasoning_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    return usage.prompt_tokens, cached, usage.completion_tokens, reasoning


class Responses:
    name = "responses"

    def __init__(self, url: str, key: str) -> None:
        self.sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    def user(self, text: str, *, image: bool = False, file: bool = False) -> Any:
        parts: list[Any] = [{"type": "input_text", "text": text}]
        if image:
            url = f"data:image/png;base64,{PIXEL}"
            parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
        if file:
            url = f"data:application/pdf;base64,{PDF}"
            parts.append({"type": "input_file", "file_data": url, "filename": "paper.pdf"})
        return {"role": "user", "content": parts}

    def results(self, calls: Sequence[tuple[str, str, Any]], texts: Sequence[str]) -> list[Any]:
        return [
            {"type": "function_call_output", "call_id": call[0], "output": text}
            for call, text in zip(calls, texts, strict=True)
        ]

    def body(self, model: str, ask: Ask, streamed: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "input": [{"role": "user", "content": t} if isinstance(t, str) else t for t in ask.turns],
            "stream": streamed,
            **ask.extra,
        }
        if ask.tools:
            function = {"name": WEATHER["name"], "description": "Now.", "parameters": WEATHER["schema"]}
            body["tools"] = [{"type": "function", "strict": False, **function}]
        if ask.schema:
            body["text"] = {"format": {"type": "json_schema", "name": "x", "schema": ask.schema}}
        if ask.think:
            body["reasoning"] = {"effort": "low", "summary": "auto"}
        assert not ask.stop, "this API has no stop strings"
        return body

    async def ask(self, model: str, ask: Ask, streamed: bool) -> Heard:
        found = await self.sdk.responses.create(**self.body(model, ask, streamed))
        if not streamed:
            return self._whole(found)
        events = [event async for event in found]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        last = events[-1]
        if last.type == "response.failed":
            raise StreamFailedError(events[-2], last)
        heard = self._whole(last.response)
        heard.raw = events
        deltas = [event for event in events if event.type == "response.output_text.delta"]
        heard.pieces = len(deltas)
        assert "".join(event.delta for event in deltas) == heard.text
        return heard

    def _whole(self, reply: Any) -> Heard:
        calls = [
            (item.call_id, item.name, json.loads(item.arguments))
            for item in reply.output
            if item.type == "function_call"
        ]
        thoughts = [part.text for item in reply.output if item.type == "reasoning" for part in item.summary]
        reason = "tool_calls" if calls else "stop"
        if reply.status == "incomplete":
            why = reply.incomplete_details.reason
            reason = {"max_output_tokens": "length", "content_filter": "filtered"}[why]
        usage = reply.usage
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens
        return Heard(
            text=reply.output_text,
            thoughts="".join(thoughts),
            calls=calls,
            reason=reason,
            usage=(
                usage.input_tokens,
                usage.input_tokens_details.cached_tokens,
                usage.output_tokens,
                usage.output_tokens_details.reasoning_tokens,
            ),
            history=[item.model_dump(exclude_none=True) for item in reply.output],
            raw=reply,
        )


class StreamFailedError(Exception):
    """A response failed in the middle of its stream."""

    def __init__(self, error: Any, failed: Any) -> None:
        super().__init__(error.message)
        self.error, self.failed = error, failed


class Messages:
    name = "messages"

    def __init__(self, url: str, key: str) -> None:
        self.sdk = AsyncAnthropic(base_url=url, api_key=key, max_retries=0)

    def user(self, text: str, *, image: bool = False, file: bool = False) -> Any:
        blocks: list[Any] = [{"type": "text", "text": text}]
        if image:
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            blocks.append({"type": "image", "source": source})
        if file:
            source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
            blocks.append({"type": "document", "source": source})
        return {"role": "user", "content": blocks}

    def results(self, calls: Sequence[tuple[str, str, Any]], texts: Sequence[str]) -> list[Any]:
        blocks = [
            {"type": "tool_result", "tool_use_id": call[0], "content": text}
            for call, text in zip(calls, texts, strict=True)
        ]
        return [{"role": "user", "content": blocks}]

    def body(self, model: str, ask: Ask, streamed: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": model,
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": t} if isinstance(t, str) else t for t in ask.turns],
            "stream": streamed,
            **ask.extra,
        }
        if ask.tools:
            body["tools"] = [{"name": WEATHER["name"], "description": "Now.", "input_schema": WEATHER["schema"]}]
        if ask.schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
        if ask.think:
            body["thinking"] = {"type": "enabled", "budget_tokens": 1024, "display": "summarized"}
        if ask.stop:
            body["stop_sequences"] = [ask.stop]
        return body

    async def ask(self, model: str, ask: Ask, streamed: bool) -> Heard:
        body = self.body(model, ask, streamed)
        if not streamed:
            return self._whole(await self.sdk.messages.create(**body))
        del body["stream"]
        pieces = 0
        async with self.sdk.messages.stream(**body) as stream:
            async for event in stream:
                pieces += event.type == "text"
            heard = self._whole(await stream.get_final_message())
        heard.pieces = pieces
        return heard

    def _whole(self, reply: Any) -> Heard:
        reasons = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
        usage = reply.usage
        cached = usage.cache_read_input_tokens
        prompt = usage.input_tokens + cached + usage.cache_creation_input_tokens
        return Heard(
            text="".join(block.text for block in reply.content if block.type == "text"),
            thoughts="".join(block.thinking for block in reply.content if block.type == "thinking"),
            calls=[(block.id, block.name, block.input) for block in reply.content if block.type == "tool_use"],
            reason=reasons.get(reply.stop_reason, "filtered"),
            usage=(prompt, cached, usage.output_tokens, usage.output_tokens_details.thinking_tokens),
            history=[
                {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in reply.content]}
            ],
            raw=reply,
        )


class Completions:
    name = "completions"

    def __init__(self, url: str, key: str) -> None:
        self.sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)

    async def ask(self, model: str, ask: Ask, streamed: bool) -> Heard:
        (prompt,) = ask.turns
        body: dict[str, Any] = {"model": model, "prompt": prompt, "stream": streamed, **ask.extra}
        if ask.stop:
            body["stop"] = ask.stop
        if not streamed:
            reply = await self.sdk.completions.create(**body)
            choice = reply.choices[0]
            reason, usage = _chat_reason(choice.finish_reason), _chat_usage(reply.usage)
            return Heard(text=choice.text, reason=reason, usage=usage, raw=reply)
        heard = Heard(raw=[])
        async for chunk in await self.sdk.completions.create(**body, stream_options={"include_usage": True}):
            heard.raw.append(chunk)
            if chunk.usage:
                heard.usage = _chat_usage(chunk.usage)
            for choice in chunk.choices:
                heard.text += choice.text
                heard.pieces += bool(choice.text)
                if choice.finish_reason:
                    heard.reason = _chat_reason(choice.finish_reason)
        return heard


Caller = Chat | Responses | Messages
CALLERS: dict[str, type[Chat] | type[Responses] | type[Messages]] = {
    "chat": Chat,
    "responses": Responses,
    "messages": Messages,
}
