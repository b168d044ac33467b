"""A fake vendor that behaves as a model would: it counts its tokens, and keeps to limits, stop strings and schemas."""

from __future__ import annotations

from typing import Any

import orjson

from athanor.engines.schema import smallest_instance
from tests.upstreams.anthropic import FakeAnthropic
from tests.upstreams.gemini import FakeGemini
from tests.upstreams.scenes import Asked, Call, Refused, Scene, pieces_of

CONTEXT = 4096
_STORY = "Once there was a lighthouse on a rock in the sea, and the people there told stories. " * 30


def answer(asked: Asked, *, schema: Any, limit: int) -> Scene:
    if len(asked.text.split()) >= CONTEXT:
        raise Refused(400, f"prompt is too long: the maximum is {CONTEXT} tokens")
    text = _STORY if "story" in asked.text or "stories" in asked.text else f"You said: {asked.text} 🌍"
    if schema is not None:
        text = orjson.dumps(smallest_instance(schema)).decode()
    stop = min((s for s in asked.stop if s in text), key=text.index, default=None)
    tokens = pieces_of(text.split(stop)[0] if stop else text)
    used = tokens[:limit]
    reason = "length" if len(tokens) > len(used) else "stop_string" if stop else "stop"
    return Scene(pieces=used, reason=reason, stop=stop if reason == "stop_string" else None, completion=len(used))


class FakeClaude(FakeAnthropic):
    def scene(self, call: Call, asked: Asked) -> Scene:
        schema = call.body.get("output_config", {}).get("format", {}).get("schema")
        return answer(asked, schema=schema, limit=call.body["max_tokens"])


class FakeGeminiModel(FakeGemini):
    def scene(self, call: Call, asked: Asked) -> Scene:
        config = call.body["generationConfig"]
        return answer(asked, schema=config.get("responseJsonSchema"), limit=config["maxOutputTokens"])
