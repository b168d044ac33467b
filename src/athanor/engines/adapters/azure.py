"""Azure OpenAI: deployments behind Azure's URLs, with its key header or an Entra token."""

from __future__ import annotations

from typing import ClassVar

from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines.formats.azure_urls import azure_url
from athanor.engines.formats.chat_engine import ChatEngine
from athanor.engines.formats.chat_request import Dialect
from athanor.engines.upstream import Timeouts, Upstream
from athanor.types import Profile

LACKS = frozenset({"top_k"})
"""What the format has no word for."""


def connect(url: str, *, api_key: SecretStr | None, settings: ModelSettings, timeouts: Timeouts) -> Upstream:
    """The endpoint, with the key in `api-key`.

    Args:
        settings: `upstream` names the deployment.

    Raises:
        ConfigError: the URL has another form, or names no deployment.
    """
    base = azure_url(url, deployment=settings.upstream, version=settings.api_version)
    return Upstream(base, api_key=api_key, key_header="api-key", headers=settings.headers, timeouts=timeouts)


class AzureEngine(ChatEngine):
    """A deployment of Azure OpenAI."""

    backend: ClassVar[str] = "azure"

    def __init__(self, profile: Profile, upstream: Upstream, *, model: str | None = None) -> None:
        # Dated versions before 2024-12 know only `max_tokens`; their newer models refuse it, which is learnt.
        limit = "max_completion_tokens" if upstream.shown.endswith("/openai/v1") else "max_tokens"
        super().__init__(profile, upstream, model=model, dialect=Dialect(limit=limit, reasoning=False))
