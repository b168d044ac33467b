"""The engine of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines.adapters.anthropic.answer import MessagesAnswer
from athanor.engines.adapters.anthropic.body import messages_body
from athanor.engines.remote import RemoteEngine
from athanor.engines.upstream import Timeouts, Upstream
from athanor.types import Profile, Request

VERSION = "2026-10-21"
"""Of the API. It knows no sampling parameters; `2023-06-01` still does, for models up to Claude 4.6."""

_NEVER = frozenset({"seed", "logprobs", "presence_penalty", "frequency_penalty"})
LACKS = _NEVER | {"temperature", "top_p", "top_k"}
"""What this version lacks. With `api_version = "2023-06-01"`, a model's own `lacks` may leave out the last three."""


class AnthropicEngine(RemoteEngine):
    """A chat model behind `POST {url}/messages`.

    The vendor tells the tokens of the prompt before the first piece, so a stream that is closed early is exact in these
    and counts one token per piece of the answer.
    """

    backend: ClassVar[str] = "anthropic"
    path: ClassVar[str] = "/messages"

    def __init__(self, profile: Profile, upstream: Upstream, *, model: str | None = None) -> None:
        # Whoever made the profile: no version has these.
        super().__init__(replace(profile, lacks=profile.lacks | _NEVER), upstream, model=model)

    def body(self, request: Request) -> Mapping[str, Any]:
        return messages_body(request, self._profile, self._model)

    def reader(self, request: Request) -> MessagesAnswer:
        return MessagesAnswer(request, self._upstream)


def connect(url: str, *, api_key: SecretStr | None, settings: ModelSettings, timeouts: Timeouts) -> Upstream:
    """The endpoint at `url`, such as `https://api.anthropic.com/v1`.

    Raises:
        ConfigError: the URL is not http(s).
    """
    headers = {"anthropic-version": settings.api_version or VERSION, **settings.headers}
    return Upstream(url, api_key=api_key, key_header="x-api-key", headers=headers, timeouts=timeouts)
