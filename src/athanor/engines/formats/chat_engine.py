"""The engine of every endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from athanor.engines.formats.chat_answer import ChatAnswer
from athanor.engines.formats.chat_request import Dialect, chat_body
from athanor.engines.remote import RemoteEngine
from athanor.engines.upstream import Upstream
from athanor.errors import InputError
from athanor.types import Profile, Request

_UNKNOWN = re.compile(
    r"unsupported|not supported|unrecogni[sz]ed|unknown|not permitted|not allowed|forbidden|unexpected|extra",
    re.IGNORECASE,
)
_LIMITS = ("max_tokens", "max_completion_tokens")


class ChatEngine(RemoteEngine):
    """A chat model behind `POST {url}/chat/completions`.

    Args:
        dialect: how the endpoint speaks, as far as it is known; the rest is learnt from its refusals.
    """

    path: ClassVar[str] = "/chat/completions"

    def __init__(
        self, profile: Profile, upstream: Upstream, *, model: str | None = None, dialect: Dialect | None = None
    ) -> None:
        super().__init__(profile, upstream, model=model)
        self._dialect = dialect or Dialect()
        self._tried = {self._dialect.limit}

    def body(self, request: Request) -> Mapping[str, Any]:
        return chat_body(request, model=self._model, profile=self._profile, dialect=self._dialect)

    def reader(self, request: Request) -> ChatAnswer:
        return ChatAnswer(request, self._upstream)

    def adapt(self, body: Mapping[str, Any], error: InputError) -> bool:
        """Endpoints differ in a few parameters that we cannot do without, and say so in a refusal."""
        said, dialect = error.message, self._dialect
        if not _UNKNOWN.search(said):
            return False
        if "stream_options" in body and ("stream_options" in said or "include_usage" in said):
            dialect.usage = False
            return True
        if "reasoning_content" in said and any("reasoning_content" in message for message in body["messages"]):
            dialect.reasoning = False
            return True
        for sent, other in (_LIMITS, _LIMITS[::-1]):
            if sent in body and sent in said:
                if dialect.limit == sent and other in self._tried:
                    return False
                self._tried.add(other)
                dialect.limit = other
                return True
        return False
