"""The engine, and how its endpoint is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines.adapters.responses.answer import ResponsesAnswer
from athanor.engines.adapters.responses.body import responses_body
from athanor.engines.formats.azure_urls import HOSTS, azure_url
from athanor.engines.remote import RemoteEngine
from athanor.engines.upstream import Timeouts, Upstream
from athanor.errors import InputError
from athanor.types import Profile, Request

LACKS = frozenset({"top_k", "seed", "stop", "presence_penalty", "frequency_penalty"})
"""What the format has no word for."""


def connect(url: str, *, api_key: SecretStr | None, settings: ModelSettings, timeouts: Timeouts) -> Upstream:
    """The endpoint, with the key as a bearer token; at Azure, in its own header.

    Raises:
        ConfigError: an Azure URL of another form.
    """
    header = None
    if (urlsplit(url).hostname or "").endswith(HOSTS):
        # Responses exist in the v1 form only, whatever version is set.
        url, header = azure_url(url, deployment=settings.upstream, version=None), "api-key"
    return Upstream(url, api_key=api_key, key_header=header, headers=settings.headers, timeouts=timeouts)


class ResponsesEngine(RemoteEngine):
    """A model behind `POST {url}/responses`. The conversation is sent whole each time, encrypted reasoning included."""

    backend: ClassVar[str] = "responses"
    path: ClassVar[str] = "/responses"

    def __init__(self, profile: Profile, upstream: Upstream, *, model: str | None = None) -> None:
        super().__init__(profile, upstream, model=model)
        self._encrypted = True

    def body(self, request: Request) -> Mapping[str, Any]:
        return responses_body(request, model=self._model, profile=self._profile, encrypted=self._encrypted)

    def reader(self, request: Request) -> ResponsesAnswer:
        return ResponsesAnswer(request, self._upstream)

    def adapt(self, body: Mapping[str, Any], error: InputError) -> bool:
        """Models without reasoning refuse to encrypt it, and some servers do not know the word."""
        said = error.message.lower()
        if "reasoning.encrypted_content" in body.get("include", ()) and ("encrypted" in said or "include" in said):
            self._encrypted = False
            return True
        return False
