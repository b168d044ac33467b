"""The Gemini API on loopback (`generateContent` and its stream), with the rules that it refuses requests by.

Source: ai.google.dev/api/generate-content, ai.google.dev/gemini-api/docs/thought-signatures, read on 2026-11-24.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from tests.upstreams.scenes import CACHED, KEY, PROMPT, Asked, Call, FakeVendor, Refused, Scene

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_KNOWN = {
    "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent",
    "labels", "serviceTier", "store",
}  # fmt: skip
_CONFIG = {
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "responseLogprobs", "logprobs",
    "presencePenalty", "frequencyPenalty", "seed", "responseMimeType", "responseJsonSchema", "responseSchema",
    "responseModalities", "mediaResolution", "thinkingConfig", "speechConfig",
}  # fmt: skip
_PATH = re.compile(r"^/v1(?:beta)?/(models|tunedModels)/[^/:]+:(generateContent|streamGenerateContent)$")
SIGNATURE = "CiQB0e2Kb1vAh3nW"
_REASONS = {
    "stop": "STOP",
    "stop_string": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "filter": "SAFETY",
}


class FakeGemini(FakeVendor):
    prefix = "/v1beta"

    def key(self, headers: Mapping[str, str]) -> str:
        return headers.get("x-goog-api-key", "")

    def streams(self, call: Call) -> bool:
        return ":streamGenerateContent" in call.path

    def asked(self, call: Call) -> Asked:
        path, _, query = call.path.partition("?")
        if not _PATH.match(path):
            raise Refused(404, "Not found")
        if self.streams(call) and query != "alt=sse":
            raise Refused(400, "This fake streams only server-sent events")
        _check(call.body)
        asked = Asked(stop=tuple(call.body.get("generationConfig", {}).get("stopSequences", ())))
        for content in call.body["contents"]:
            for part in content["parts"]:
                media = part.get("inlineData") or part.get("fileData") or {}
                asked.image |= media.get("mimeType", "").startswith("image/")
                asked.file |= media.get("mimeType", "").startswith("application/")
                if content.get("role", "user") == "user" and "text" in part:
                    asked.text = part["text"]
        last = call.body["contents"][-1]["parts"][-1]
        if "functionResponse" in last:
            response = last["functionResponse"]["response"]
            asked.result = str(response.get("output", response.get("error", response.get("result"))))
        return asked

    def events(self, scene: Scene) -> Iterator[bytes]:
        parts = list(self._parts(scene))
        if scene.reason == "filter":
            yield _event(_chunk([], scene, "SAFETY", 0))
            return
        for i, part in enumerate(parts):
            last = i == len(parts) - 1 and scene.how in {"", "slow"}
            yield _event(
                _chunk([part], scene, _REASONS[scene.reason] if last else None, scene.completion if last else i + 1)
            )

    def _parts(self, scene: Scene) -> Iterator[dict[str, Any]]:
        for thought in scene.thoughts:
            yield {"text": thought, "thought": True}
        for piece in scene.pieces:
            yield {"text": piece}
        for i, (id_, name, arguments) in enumerate(scene.calls):
            part: dict[str, Any] = {"functionCall": {"id": id_, "name": name, "args": arguments}}
            yield {**part, "thoughtSignature": SIGNATURE} if i == 0 else part
        if scene.thoughts:
            yield {"text": "", "thoughtSignature": SIGNATURE}

    def whole(self, scene: Scene) -> Any:
        parts = list(self._parts(scene))
        return _chunk(parts, scene, _REASONS[scene.reason], 0 if scene.reason == "filter" else scene.completion)

    def error(self, status: int, message: str) -> Any:
        if status == 401:  # that vendor's way to refuse a key
            status = 400
            details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        else:
            details = []
        name = _STATUSES.get(status, "INTERNAL")
        return {"error": {"code": status, "message": message, "status": name, "details": details}}

    def late_error(self) -> bytes:
        return _event(self.error(503, f"The model is overloaded, and your key is {KEY}"))


def _chunk(parts: list[Any], scene: Scene, reason: str | None, output: int) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": parts}
    if reason:
        candidate["finishReason"] = reason
    usage = {
        "promptTokenCount": PROMPT,
        "cachedContentTokenCount": CACHED,
        "totalTokenCount": PROMPT + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": PROMPT}],
    }
    thoughts = min(scene.reasoning, output)
    if output - thoughts:
        usage["candidatesTokenCount"] = output - thoughts
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-fake",
        "responseId": "r_01",
    }


def _event(chunk: Any) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\r\n\r\n"


def _check(body: Mapping[str, Any]) -> None:
    """The rules that translations break most often."""
    for known, given in ((_KNOWN, body), (_CONFIG, body.get("generationConfig", {}))):
        for name in given:
            if name not in known:
                raise Refused(400, f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    contents = body.get("contents")
    if not contents:
        raise Refused(400, "contents is not specified")
    begins = max(i for i, c in enumerate(contents) if c.get("role") != "model" and any("text" in p for p in c["parts"]))
    called: list[str] = []
    for i, content in enumerate(contents):
        parts = content.get("parts")
        if not parts:
            raise Refused(400, "Unable to submit request because it must have at least one part.")
        if content.get("role", "user") not in {"user", "model"}:
            raise Refused(400, "Please use a valid role: user, model.")
        answered = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
        if answered != called:
            raise Refused(400, "The number of function response parts must equal that of the function call parts.")
        calls = [part for part in parts if "functionCall" in part]
        called = [part["functionCall"]["name"] for part in calls]
        if i > begins and calls and not calls[0].get("thoughtSignature"):
            raise Refused(400, "Function call is missing a thought_signature in functionCall parts.")
    config = body.get("generationConfig", {})
    if {"thinkingBudget", "thinkingLevel"} <= set(config.get("thinkingConfig", {})):
        raise Refused(400, "You can only set one of thinking budget and thinking level.")
