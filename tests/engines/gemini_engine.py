"""The engine of Gemini's format, as the tests build it."""

from __future__ import annotations

from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines import Timeouts
from athanor.engines.adapters.gemini import LACKS, GeminiEngine, connect
from athanor.types import AnswerMode, Profile
from tests.upstreams.scenes import KEY

PROFILE = Profile(
    name="far",
    context=1_000_000,
    licence="?",
    grounded=AnswerMode.GENERATIVE,
    json_schema=True,
    max_tokens=4096,
    temperature=None,
    lacks=LACKS,
    remote=True,
)


def make(url: str, profile: Profile = PROFILE, *, model: str = "gemini-test", **timeouts: float) -> GeminiEngine:
    settings = ModelSettings(source=url)
    upstream = connect(url, api_key=SecretStr(KEY), settings=settings, timeouts=Timeouts(**timeouts))
    return GeminiEngine(profile, upstream, model=model)
