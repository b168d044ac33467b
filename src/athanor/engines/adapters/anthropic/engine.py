"""The engine of Anthropic's Messages API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines.adapters.anthropic.answer import MessagesAnswer
from athanor.engines.adapters.anthropic.body import Dialect, messages_body
from athanor.engines.remote import RemoteEngine
from athanor.engines.upstream import Timeouts, Upstream
from athanor.errors import InputError
from athanor.types import Profile, Request

VERSION = "2026-10-21"
"""Of the API. It knows no sampling parameters; `2023-06-01` still does, for models up to Claude 4.6."""

_NEVER = frozenset({"seed", "logprobs", "presence_penalty", "frequency_penalty"})
LACKS = _NEVER | {"temperature", "top_p", "top_k"}
"""What this version lacks. With `api_version = "2023-06-01"`, a model's own `lacks` may leave out the last three."""

_UNKNOWN = re.compile(
    r"not support|unsupported|not permitted|deprecated|does not match any of the expected", re.IGNORECASE
)
_NEWER = re.compile(r"adaptive|effort", re.IGNORECASE)


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
        self._dialect = Dialect()

    def body(self, request: Request) -> Mapping[str, Any]:
        return messages_body(request, self._profile, self._model, self._dialect)

    def reader(self, request: Request) -> MessagesAnswer:
        return MessagesAnswer(request, self._upstream)

    def adapt(self, body: Mapping[str, Any], error: InputError) -> bool:
        """Models differ in how they are told to think, and whether they take a temperature; their refusals say so."""
        said, dialect = error.message, self._dialect
        if not _UNKNOWN.search(said):
            return False
        how = body.get("thinking", {}).get("type")
        # The other way is tried only while nothing is known against it.
        if how == "enabled" and "thinking" in said and dialect.efforts:
            dialect.budgets = False
            return True
        if how == "adaptive" and _NEWER.search(said) and dialect.budgets:
            dialect.efforts = False
            return True
        if "temperature" in body and "temperature" in said:
            dialect.temperature = False
            return True
        return False


def connect(url: str, *, api_key: SecretStr | None, settings: ModelSettings, timeouts: Timeouts) -> Upstream:
    """The endpoint at `url`, such as `https://api.anthropic.com/v1`.

    Raises:
        ConfigError: the URL is not http(s).
    """
    headers = {"anthropic-version": settings.api_version or VERSION, **settings.headers}
    return Upstream(url, api_key=api_key, key_header="x-api-key", headers=headers, timeouts=timeouts)
