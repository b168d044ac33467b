"""The engine of the Gemini API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines.adapters.gemini.answer import ContentAnswer
from athanor.engines.adapters.gemini.body import content_body
from athanor.engines.remote import RemoteEngine
from athanor.engines.upstream import Timeouts, Upstream
from athanor.types import Profile, Request

LACKS: frozenset[str] = frozenset()
"""Every parameter has a counterpart; single models may lack some."""


class GeminiEngine(RemoteEngine):
    """A chat model behind `POST {url}/models/{model}:generateContent`.

    Each chunk of a stream tells what was used until then, so a stream that is closed early is nearly exact. A tool call
    comes in one piece, arguments included.
    """

    backend: ClassVar[str] = "gemini"

    def __init__(self, profile: Profile, upstream: Upstream, *, model: str | None = None) -> None:
        super().__init__(profile, upstream, model=model)
        # Tuned models have a collection of their own: `tunedModels/name`.
        name = quote(self._model, safe="/@:")
        self._resource = f"/{name}" if "/" in name else f"/models/{name}"

    def path_for(self, request: Request) -> str:
        return (
            f"{self._resource}:streamGenerateContent?alt=sse" if request.stream else f"{self._resource}:generateContent"
        )

    def body(self, request: Request) -> Mapping[str, Any]:
        return content_body(request, self._profile)

    def reader(self, request: Request) -> ContentAnswer:
        return ContentAnswer(request, self._upstream)


def connect(url: str, *, api_key: SecretStr | None, settings: ModelSettings, timeouts: Timeouts) -> Upstream:
    """The endpoint at `url`, such as `https://generativelanguage.googleapis.com/v1beta`.

    Raises:
        ConfigError: the URL is not http(s).
    """
    return Upstream(url, api_key=api_key, key_header="x-goog-api-key", headers=settings.headers, timeouts=timeouts)
