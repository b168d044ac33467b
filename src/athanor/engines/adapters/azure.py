"""Azure OpenAI: its two forms of URL, and its key header or an Entra token.

    https://NAME.openai.azure.com                                 the v1 form; with `api_version`, the one below
    https://NAME.openai.azure.com/openai/v1                       the v1 form, which needs no version
    https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT   one deployment, with a version
    https://NAME.services.ai.azure.com/models                     models of others, with a version

Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference and …/api-version-lifecycle, read on 2026-11-24.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines.formats.chat_engine import ChatEngine
from athanor.engines.formats.chat_request import Dialect
from athanor.engines.upstream import Timeouts, Upstream
from athanor.errors import ConfigError
from athanor.types import Profile

LACKS = frozenset({"top_k"})
_VERSION = "2024-10-21"
"""The last dated version that is no preview; newer features come to the v1 form only."""
_MODELS_VERSION = "2024-05-01-preview"


def connect(url: str, *, api_key: SecretStr | None, settings: ModelSettings, timeouts: Timeouts) -> Upstream:
    """The endpoint, with the key in `api-key`.

    Args:
        settings: `upstream` names the deployment.

    Raises:
        ConfigError: the URL has another form, or names no deployment.
    """
    base = azure_url(url, deployment=settings.upstream, version=settings.api_version)
    return Upstream(base, api_key=api_key, key_header="api-key", headers=settings.headers, timeouts=timeouts)


def azure_url(url: str, *, deployment: str | None, version: str | None) -> str:
    """The base URL that `/chat/completions` and `/embeddings` are put behind, query included.

    Raises:
        ConfigError: the URL has none of the forms above.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/embeddings")
    given = parse_qs(parts.query)
    stated = version or next(iter(given.get("api-version", ())), None)
    if path in {"", "/openai"}:
        if stated is None or stated in {"v1", "preview"}:
            path = "/openai/v1"
        elif deployment is None:
            raise ConfigError("Azure's deployment is not named.", where=parts.netloc, hint="Set `upstream`.")
        else:
            path = f"/openai/deployments/{quote(deployment, safe='')}"
    if path.endswith("/openai/v1"):
        query = {"api-version": stated} if stated else {}
    elif "/openai/deployments/" in path:
        query = {"api-version": stated or _VERSION}
    elif path.endswith("/models"):
        query = {"api-version": stated or _MODELS_VERSION}
    else:
        raise ConfigError(
            "Azure's URL has another form.",
            where=f"{parts.netloc}{parts.path}",
            hint="Take https://NAME.openai.azure.com/openai/v1, and name the deployment in `upstream`.",
        )
    kept = {name: values[-1] for name, values in given.items() if name != "api-version"}
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode({**kept, **query}), ""))


class AzureEngine(ChatEngine):
    """A deployment of Azure OpenAI."""

    backend: ClassVar[str] = "azure"

    def __init__(self, profile: Profile, upstream: Upstream, *, model: str | None = None) -> None:
        # Dated versions before 2024-12 know only `max_tokens`; their newer models refuse it, which is learnt.
        limit = "max_completion_tokens" if upstream.shown.endswith("/openai/v1") else "max_tokens"
        super().__init__(profile, upstream, model=model, dialect=Dialect(limit=limit, reasoning=False))
