"""What the tests of endpoints share: requests that say nothing but their text, and answers put together."""

from __future__ import annotations

from dataclasses import replace

from pydantic import SecretStr

from athanor.engines import Timeouts, Upstream
from athanor.engines.adapters.openai import OpenAIEngine
from athanor.testing.engines import chat, collect
from athanor.types import AnswerMode, Profile, ReasoningDelta, Sampling, Tool, ToolCallDelta
from tests.upstreams.raw import RawServer
from tests.upstreams.scenes import KEY

PROFILE = Profile(
    name="far",
    context=4096,
    licence="?",
    grounded=AnswerMode.GENERATIVE,
    json_schema=True,
    temperature=None,
    remote=True,
)
WEATHER = Tool(
    name="get_weather",
    description="Now.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def make(url: str, profile: Profile = PROFILE, **timeouts: float) -> OpenAIEngine:
    upstream = Upstream(url, api_key=SecretStr(KEY), timeouts=Timeouts(**timeouts))
    return OpenAIEngine(profile, upstream, model="far-model")


def ask(text: str, *, streamed: bool = True, **fields):
    """A request that says nothing but its text."""
    return replace(chat(text), sampling=Sampling(), stream=streamed, **fields)


def calls_of(answer) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call, put together as a client does."""
    calls: dict[int, list[str]] = {}
    for event in answer.events:
        if isinstance(event, ToolCallDelta):
            if event.index not in calls:
                calls[event.index] = [event.id or "", event.name or "", ""]
            calls[event.index][2] += event.arguments
    return [tuple(call) for _, call in sorted(calls.items())]


def thoughts_of(answer) -> str:
    return "".join(event.text for event in answer.events if isinstance(event, ReasoningDelta))


async def answered(answers: list[bytes] | bytes, request=None, **options):
    """What an endpoint's bytes become."""
    answers = [answers] if isinstance(answers, bytes) else answers
    async with RawServer(answers, **options) as server:
        engine = make(server.url, first_token=1.0, between_tokens=0.5)
        try:
            return await collect(engine, request or ask("Hello.")), server
        finally:
            await engine.aclose()
