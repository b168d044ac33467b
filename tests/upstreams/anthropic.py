"""Anthropic's Messages API on loopback, version 2026-10-21, with the rules that it refuses requests by.

Source: platform.claude.com/docs/en/api/messages, /streaming and /migration-2026-10-21, read on 2026-11-24.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from tests.upstreams.scenes import CACHED, KEY, PROMPT, Asked, Call, FakeVendor, Refused, Scene

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_KNOWN = {
    "2026-10-21": {
        "model", "messages", "max_tokens", "system", "stream", "stop_sequences", "tools", "tool_choice", "thinking",
        "output_config", "metadata", "cache_control", "container", "diagnostics", "inference_geo", "service_tier",
        "speed",
    },
}  # fmt: skip
_KNOWN["2023-06-01"] = _KNOWN["2026-10-21"] | {"temperature", "top_p", "top_k"}
_ID = re.compile(r"^[a-zA-Z0-9_-]+$")
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"
_REASONS = {
    "stop": "end_turn",
    "stop_string": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "filter": "refusal",
}


class FakeAnthropic(FakeVendor):
    prefix = "/v1"

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")

    def streams(self, call: Call) -> bool:
        return call.body.get("stream") is True

    def asked(self, call: Call) -> Asked:
        if call.path.partition("?")[0] != "/v1/messages":
            raise Refused(404, "Not found")
        version = call.headers.get("anthropic-version")
        if version not in _KNOWN:
            raise Refused(400, "anthropic-version: header is required")
        for name in call.body:
            if name not in _KNOWN[version]:
                raise Refused(400, f"{name}: Extra inputs are not permitted")
        _check(call.body)
        asked = Asked(stop=tuple(call.body.get("stop_sequences", ())))
        for message in call.body["messages"]:
            for block in _blocks(message):
                asked.image |= block["type"] == "image"
                asked.file |= block["type"] == "document"
                if message["role"] == "user" and block["type"] == "text":
                    asked.text = block["text"]
        last = _blocks(call.body["messages"][-1])[-1]
        if last["type"] == "tool_result":
            content = last.get("content", "")
            asked.result = content if isinstance(content, str) else "".join(b.get("text", "") for b in content)
        return asked

    def events(self, scene: Scene) -> Iterator[bytes]:
        usage = _usage(1)
        message = {**self._message(scene, usage), "content": [], "stop_reason": None, "stop_sequence": None}
        yield _event("message_start", message=message)
        yield _event("ping")
        for index, (start, deltas) in enumerate(self._blocks(scene)):
            yield _event("content_block_start", index=index, content_block=start)
            for delta in deltas:
                yield _event("content_block_delta", index=index, delta=delta)
            if scene.how in {"break", "malformed", "error", "stall"}:
                return
            yield _event("content_block_stop", index=index)
        delta = {"stop_reason": _REASONS[scene.reason], "stop_sequence": scene.stop, "stop_details": None}
        yield _event("message_delta", delta=delta, usage=_usage(scene.completion, scene.reasoning))
        yield _event("message_stop")

    def _blocks(self, scene: Scene) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        if scene.thoughts:
            deltas = [{"type": "thinking_delta", "thinking": thought} for thought in scene.thoughts]
            signature = {"type": "signature_delta", "signature": SIGNATURE}
            yield {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]
        if scene.pieces:
            deltas = [{"type": "text_delta", "text": piece} for piece in scene.pieces]
            yield {"type": "text", "text": ""}, deltas
        for id_, name, arguments in scene.calls:
            raw = orjson.dumps(arguments).decode()
            cuts = ["", raw[:3], raw[3:9], raw[9:]]
            deltas = [{"type": "input_json_delta", "partial_json": cut} for cut in cuts]
            yield {"type": "tool_use", "id": id_, "name": name, "input": {}}, deltas

    def whole(self, scene: Scene) -> Any:
        content: list[dict[str, Any]] = []
        if scene.thoughts:
            content.append({"type": "thinking", "thinking": "".join(scene.thoughts), "signature": SIGNATURE})
        if scene.pieces:
            content.append({"type": "text", "text": "".join(scene.pieces)})
        content += [{"type": "tool_use", "id": id_, "name": name, "input": a} for id_, name, a in scene.calls]
        message = self._message(scene, _usage(scene.completion, scene.reasoning))
        return {**message, "content": content, "stop_reason": _REASONS[scene.reason], "stop_sequence": scene.stop}

    def _message(self, scene: Scene, usage: Any) -> dict[str, Any]:
        return {
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": "claude-fake",
            "stop_details": None,
            "usage": usage,
        }

    def error(self, status: int, message: str) -> Any:
        kind = _KINDS.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_01"}

    def late_error(self) -> bytes:
        error = {"type": "overloaded_error", "message": f"Overloaded, and your key is {KEY}"}
        return _event("error", error=error, request_id="req_01")


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\r\ndata: " + orjson.dumps({"type": kind, **fields}) + b"\r\n\r\n"


def _usage(output: int, thinking: int | None = None) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": PROMPT - CACHED,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": CACHED,
        "output_tokens": output,
    }
    if thinking is not None:
        usage["output_tokens_details"] = {"thinking_tokens": thinking}
    return usage


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check(body: Mapping[str, Any]) -> None:
    """The rules that translations break most often."""
    for name in ("model", "messages", "max_tokens"):
        if not body.get(name):
            raise Refused(400, f"{name}: Field required")
    turns = [_blocks(message) for message in body["messages"]]
    _check_turns(body["messages"], turns)
    blocks = [*body.get("system", ()), *(block for turn in turns for block in turn)]
    for block in blocks:
        _check_block(block)
    if (marks := sum("cache_control" in block for block in blocks)) > 4:
        raise Refused(400, f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")
    if "tool_choice" in body and not body.get("tools"):
        raise Refused(400, "tool_choice may only be specified while providing tools")
    if any(block["type"] == "tool_use" for block in blocks) and not body.get("tools"):
        raise Refused(400, "Requests which include `tool_use` or `tool_result` blocks must define tools")
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        raise Refused(400, "`max_tokens` must be greater than `thinking.budget_tokens`")


def _check_turns(messages: list[Any], turns: list[list[dict[str, Any]]]) -> None:
    pending: set[str] = set()
    for message, blocks in zip(messages, turns, strict=True):
        if message["role"] not in {"user", "assistant"}:
            raise Refused(400, f"role '{message['role']}' is not supported on this model")
        if message["role"] == "assistant" and any(block["type"] in {"image", "document"} for block in blocks):
            raise Refused(400, "document blocks are not permitted in assistant messages")
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if results != pending or any(block["type"] != "tool_result" for block in blocks[: len(results)]):
            raise Refused(400, "`tool_use` ids were found without `tool_result` blocks immediately after")
        pending = {block["id"] for block in blocks if block["type"] == "tool_use"}


def _check_block(block: Mapping[str, Any]) -> None:
    if block["type"] == "text" and not block["text"].strip():
        raise Refused(400, "text content blocks must contain non-whitespace text")
    if block["type"] == "thinking" and (not block["signature"] or "cache_control" in block):
        raise Refused(400, "thinking.signature: Field required")
    if not _ID.match(block.get("id", block.get("tool_use_id", "x"))):
        raise Refused(400, f"tool_use.id: String should match pattern '{_ID.pattern}'")
