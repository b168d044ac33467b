"""The engine of Anthropic's format, as the tests build it."""

from __future__ import annotations

from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines import Timeouts
from athanor.engines.adapters.anthropic import LACKS, AnthropicEngine, connect
from athanor.types import AnswerMode, Profile
from tests.upstreams.scenes import KEY

PROFILE = Profile(
    name="far",
    context=200_000,
    licence="?",
    grounded=AnswerMode.GENERATIVE,
    json_schema=True,
    max_tokens=4096,
    lacks=LACKS,
    remote=True,
)


def make(url: str, profile: Profile = PROFILE, *, version: str | None = None, **timeouts: float) -> AnthropicEngine:
    settings = ModelSettings(source=url, api_version=version)
    upstream = connect(url, api_key=SecretStr(KEY), settings=settings, timeouts=Timeouts(**timeouts))
    return AnthropicEngine(profile, upstream, model="claude-test")
