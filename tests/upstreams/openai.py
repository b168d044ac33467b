"""OpenAI on loopback: chat completions, responses and embeddings; and Azure's way to the same.

Sources: developers.openai.com/api/reference (chat, responses, embeddings) and the types of the `openai` package 3.54,
read on 2026-11-24; learn.microsoft.com/azure/ai-foundry/openai/reference.
"""

from __future__ import annotations

import asyncio
import re
import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from athanor.engines.schema import smallest_instance
from tests.upstreams.scenes import (
    CACHED,
    COMPLETION,
    KEY,
    PROMPT,
    Asked,
    Call,
    FakeVendor,
    Refused,
    Scene,
    pieces_of,
)

_KINDS = {401: "invalid_request_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}
_CHAT = {
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens",
    "stop", "seed", "presence_penalty", "frequency_penalty", "tools", "tool_choice", "parallel_tool_calls",
    "response_format", "reasoning_effort", "logprobs", "top_logprobs", "user", "n",
}  # fmt: skip
_RESPONSES = {
    "model", "input", "stream", "store", "include", "temperature", "top_p", "max_output_tokens", "top_logprobs",
    "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "user", "instructions",
}  # fmt: skip
_CHAT_REASONS = {"stop_string": "stop", "filter": "content_filter"}
ENCRYPTED = "gAAAAABencryptedreasoning=="
_BROKEN = {"break", "malformed", "error", "stall"}


def event(body: Any, name: str = "") -> bytes:
    head = f"event: {name}\r\n".encode() if name else b""
    return head + b"data: " + orjson.dumps(body) + b"\r\n\r\n"


def _cuts(arguments: dict[str, Any]) -> list[str]:
    raw = orjson.dumps(arguments).decode()
    return [raw[:3], raw[3:9], raw[9:]]


class _Format(FakeVendor):
    prefix = "/v1"

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("authorization", "").removeprefix("Bearer ")

    def streams(self, call: Call) -> bool:
        return call.body.get("stream") is True

    def error(self, status: int, message: str) -> Any:
        kind = _KINDS.get(status, "invalid_request_error")
        code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _known(body: Mapping[str, Any], names: set[str]) -> None:
    for name in body:
        if name not in names:
            raise Refused(400, f"Unrecognized request argument supplied: {name}")


def _parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _part(said: Any, when: str, kind: str, at: dict[str, Any], text: str) -> Iterator[bytes]:
    if kind == "output_text":
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        yield said(f"content_part.{when}", **at, content_index=0, part=part)
    elif kind == "reasoning_summary_text":
        yield said(f"reasoning_summary_part.{when}", **at, summary_index=0, part={"type": "summary_text", "text": text})


class FakeResponses(_Format):
    """`POST /responses`, whatever the path."""

    def asked(self, call: Call) -> Asked:
        body = call.body
        _known(body, _RESPONSES)
        if "reasoning" not in body and "gpt-4" in body["model"] and "encrypted" in str(body.get("include")):
            raise Refused(400, "Encrypted content is not supported with this model.")
        asked, called = Asked(), set()
        items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
        for item in items:
            kind = item.get("type", "message")
            if kind == "function_call":
                called.add(item["call_id"])
            elif kind == "function_call_output" and item["call_id"] not in called:
                raise Refused(400, f"No tool call found for function call output with call_id {item['call_id']}.")
            elif kind == "reasoning" and item["encrypted_content"] != ENCRYPTED:
                raise Refused(400, "The encrypted content could not be verified.")
            for part in _parts(item.get("content")):
                asked.image |= part["type"] == "input_image"
                asked.file |= part["type"] == "input_file"
                if item.get("role") == "user" and "text" in part:
                    asked.text = part["text"]
        last = items[-1]
        if last.get("type") == "function_call_output":
            output = last["output"]
            asked.result = output if isinstance(output, str) else "".join(p.get("text", "") for p in output)
        return asked

    def events(self, scene: Scene) -> Iterator[bytes]:
        number = 0

        def said(kind: str, **fields: Any) -> bytes:
            nonlocal number
            number += 1
            return event({"type": f"response.{kind}", "sequence_number": number, **fields}, f"response.{kind}")

        yield said("created", response=self._response(scene, "in_progress", []))
        yield said("in_progress", response=self._response(scene, "in_progress", []))
        items = list(self._items(scene))
        for index, (item, kind, deltas) in enumerate(items):
            at = {"output_index": index, "item_id": item["id"]}
            bare = {**item, "status": "in_progress"}
            bare |= {name: [] for name in ("content", "summary") if name in item}
            bare |= {"arguments": ""} if "arguments" in item else {}
            bare.pop("encrypted_content", None)
            yield said("output_item.added", output_index=index, item=bare)
            yield from _part(said, "added", kind, at, "")
            inner = {"content_index": 0, "logprobs": []} if kind == "output_text" else {}
            inner = {"summary_index": 0} if kind.startswith("reasoning") else inner
            for delta in deltas:
                yield said(f"{kind}.delta", **at, **inner, delta=delta)
            if scene.how in _BROKEN and index == len(items) - 1:
                return
            text = "".join(deltas)
            whole = {"arguments": text, "name": item["name"]} if "arguments" in item else {"text": text}
            yield said(f"{kind}.done", **at, **inner, **whole)
            yield from _part(said, "done", kind, at, text)
            yield said("output_item.done", output_index=index, item=item)
        status = "incomplete" if scene.reason in {"length", "filter"} else "completed"
        yield said(status, response=self._response(scene, status, [item for item, _, _ in items]))

    def whole(self, scene: Scene) -> Any:
        status = "incomplete" if scene.reason in {"length", "filter"} else "completed"
        return self._response(scene, status, [item for item, _, _ in self._items(scene)])

    def _items(self, scene: Scene) -> Iterator[tuple[dict[str, Any], str, list[str]]]:
        if scene.thoughts:
            summary = [{"type": "summary_text", "text": "".join(scene.thoughts)}]
            item = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": ENCRYPTED}
            yield item, "reasoning_summary_text", list(scene.thoughts)
        if scene.pieces:
            part = {"type": "output_text", "text": "".join(scene.pieces), "annotations": [], "logprobs": []}
            item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
            yield item, "output_text", list(scene.pieces)
        for call, name, arguments in scene.calls:
            item = {"type": "function_call", "id": f"fc_{call}", "call_id": call, "name": name, "status": "completed"}
            item["arguments"] = orjson.dumps(arguments).decode()
            yield item, "function_call_arguments", _cuts(arguments)

    def _response(self, scene: Scene, status: str, output: list[Any]) -> dict[str, Any]:
        why = {"length": "max_output_tokens", "filter": "content_filter"}.get(scene.reason)
        usage = {
            "input_tokens": PROMPT,
            "input_tokens_details": {"cached_tokens": CACHED, "cache_write_tokens": 0},
            "output_tokens": COMPLETION,
            "output_tokens_details": {"reasoning_tokens": scene.reasoning},
            "total_tokens": PROMPT + COMPLETION,
        }
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1700000000,
            "model": "fake",
            "status": status,
            "error": None,
            "incomplete_details": {"reason": why} if status == "incomplete" else None,
            "instructions": None,
            "metadata": {},
            "output": output,
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": None if status == "in_progress" else usage,
        }

    def late_error(self) -> bytes:
        body = {"type": "error", "code": "server_error", "message": f"It failed, and your key is {KEY}.", "param": None}
        return event({**body, "sequence_number": 99}, "error")


@dataclass(eq=False)
class FakeOpenAI(_Format):
    """Everything of OpenAI's that we ask."""

    refuses: set[str] = field(default_factory=set)
    """Parameters that this server does not know."""
    done: bool = True
    """It ends its streams with `[DONE]`."""
    reasoning: str = "reasoning_content"
    """Its name for what a model thinks."""

    async def _answer(self, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = call.path.partition("?")[0]
        if path.endswith("/responses"):
            other = FakeResponses()
            other.key = self.key  # type: ignore[method-assign]
            await other._answer(call, reader, writer)
        elif path.endswith("/embeddings") and self.key(call.headers) == KEY:
            await self._plain(writer, 200, embeddings(call.body))
        else:
            await super()._answer(call, reader, writer)

    def asked(self, call: Call) -> Asked:
        path, body = self._path(call), call.body
        if path != "/chat/completions":
            raise Refused(404, "Not found")
        _known(body, _CHAT - self.refuses)
        if "stream_options" in body and not body.get("stream"):
            raise Refused(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
        if "tool_choice" in body and not body.get("tools"):
            raise Refused(400, "'tool_choice' is only allowed when 'tools' are specified.")
        asked = Asked(stop=tuple(body.get("stop", ())))
        pending: set[str] = set()
        for message in body["messages"]:
            self._read_message(message, asked, pending)
        if pending:
            raise Refused(400, "An assistant message with 'tool_calls' must be followed by tool messages.")
        last = body["messages"][-1]
        asked.result = last["content"] if last["role"] == "tool" else None
        return asked

    def _path(self, call: Call) -> str:
        return call.path.partition("?")[0].removeprefix(self.prefix)

    def _read_message(self, message: Mapping[str, Any], asked: Asked, pending: set[str]) -> None:
        allowed = {"role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "refusal"}
        for name in message:
            if name not in allowed - self.refuses:
                raise Refused(400, f"Additional properties are not allowed ('{name}' was unexpected) - 'messages'")
        if message["role"] == "tool":
            if message["tool_call_id"] not in pending:
                raise Refused(400, "messages with role 'tool' must be a response to a message with 'tool_calls'.")
            pending.discard(message["tool_call_id"])
        pending.update(call["id"] for call in message.get("tool_calls", ()))
        for part in _parts(message["content"]):
            if part["type"] not in {"text", "image_url", "file"} or (message["role"] != "user" and "text" not in part):
                raise Refused(400, f"Invalid content type: {part['type']}.")
            asked.image |= part["type"] == "image_url"
            asked.file |= part["type"] == "file"
            if message["role"] == "user" and "text" in part:
                asked.text = part["text"]

    async def _plain(
        self, writer: asyncio.StreamWriter, status: int, body: Any, extra: str = "", *, how: str = ""
    ) -> None:
        await super()._plain(writer, status, body, extra + "x-request-id: req_1\r\n", how=how)

    def events(self, scene: Scene) -> Iterator[bytes]:
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        for thought in scene.thoughts:
            yield self._chunk({self.reasoning: thought})
        for piece in scene.pieces:
            yield self._chunk({"content": piece})
        for index, (call, name, arguments) in enumerate(scene.calls):
            function = {"name": name, "arguments": ""}
            first = {"index": index, "id": call, "type": "function", "function": function}
            yield self._chunk({"tool_calls": [first]})
            for cut in _cuts(arguments):
                yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": cut}}]})
        if scene.how in _BROKEN:
            return
        yield self._chunk({}, _CHAT_REASONS.get(scene.reason, scene.reason))
        # Servers that do not know the option tell their usage unasked, with no choices or with none at all.
        yield event({**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage(scene)})
        if self.done:
            yield b"data: [DONE]\r\n\r\n"

    def whole(self, scene: Scene) -> Any:
        calls = [
            {"id": call, "type": "function", "function": {"name": name, "arguments": orjson.dumps(arguments).decode()}}
            for call, name, arguments in scene.calls
        ]
        message: dict[str, Any] = {"role": "assistant", "content": "".join(scene.pieces) or None, "refusal": None}
        if calls:
            message["tool_calls"] = calls
        if scene.thoughts:
            message[self.reasoning] = "".join(scene.thoughts)
        reason = _CHAT_REASONS.get(scene.reason, scene.reason)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage(scene)}

    def usage(self, scene: Scene) -> dict[str, Any]:
        return {
            "prompt_tokens": PROMPT,
            "completion_tokens": COMPLETION,
            "total_tokens": PROMPT + COMPLETION,
            "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": scene.reasoning, "audio_tokens": 0},
        }

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**self._head("chat.completion.chunk"), "choices": [choice], "usage": None})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1700000000, "model": "fake"}

    def late_error(self) -> bytes:
        error = {"message": f"The server had an error, and your key is {KEY}.", "type": "server_error", "code": None}
        return event({"error": {**error, "param": None}})


@dataclass(eq=False)
class FakeAzure(FakeOpenAI):
    """Azure's URLs, key header and versions, before OpenAI's answers. Knows one deployment, `gpt-ours`."""

    token: str = "entra-test-token"
    prefix = ""

    def key(self, headers: Mapping[str, str]) -> str:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        return headers.get("api-key") or (KEY if bearer == self.token else bearer)

    def _path(self, call: Call) -> str:
        path, _, query = call.path.partition("?")
        match = re.fullmatch(r"/openai/(?:v1|deployments/([^/]+))(/.*)", path)
        if match is None:
            raise Refused(404, "Resource not found")
        deployment = match[1] or call.body.get("model")
        if deployment != "gpt-ours":
            raise Refused(404, "The API deployment for this resource does not exist.")
        if match[1] and not re.fullmatch(r"api-version=\d{4}-\d\d-\d\d(-preview)?", query):
            raise Refused(404, "Resource not found")
        return match[2]


class FakeModel(FakeOpenAI):
    """Behaves as a model would: counts its tokens, keeps to limits, stop strings and schemas."""

    context = 4096

    def scene(self, call: Call, asked: Asked) -> Scene:
        body = call.body
        if len(asked.text.split()) >= self.context:
            raise Refused(400, f"This model's maximum context length is {self.context} tokens.")
        text = f"You said: {asked.text} 🌍"
        if "story" in asked.text or "stories" in asked.text:
            text = "Once there was a lighthouse on a rock in the sea, and the people there told stories. " * 30
        if schema := body.get("response_format", {}).get("json_schema", {}).get("schema"):
            text = orjson.dumps(smallest_instance(schema)).decode()
        for stop in asked.stop:
            text = text.split(stop)[0]
        tokens = pieces_of(text)
        used = tokens[: body.get("max_tokens", 10**6)]
        return Scene(pieces=used, reason="length" if len(tokens) > len(used) else "stop")

    def usage(self, scene: Scene) -> dict[str, Any]:
        return {"prompt_tokens": PROMPT, "completion_tokens": len(scene.pieces)}


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Vectors of three dimensions, last first; of two for texts that begin with "short"."""
    rows = []
    for index, text in enumerate(body["input"]):
        vector: Any = [1.0, 2.0] if text.startswith("short") else [3.0, 4.0, float(len(text))]
        if body.get("encoding_format") == "base64":
            vector = b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return {"object": "list", "data": rows[::-1], "model": "fake", "usage": usage}
