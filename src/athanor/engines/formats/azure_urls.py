"""Azure's forms of URL:

    https://NAME.openai.azure.com                                 the v1 form; with `api_version`, the third
    https://NAME.openai.azure.com/openai/v1                       the v1 form, which needs no version
    https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT   one deployment, with a version
    https://NAME.services.ai.azure.com/models                     models of others, with a version

Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference and …/api-version-lifecycle, read on 2026-11-24.
"""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

from athanor.errors import ConfigError

HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_VERSION = "2024-10-21"
"""The last dated version that is no preview; newer features come to the v1 form only."""
_MODELS_VERSION = "2024-05-01-preview"


def azure_url(url: str, *, deployment: str | None, version: str | None) -> str:
    """The base URL that `/chat/completions` and `/embeddings` are put behind, query included.

    Raises:
        ConfigError: the URL has none of these forms, or names no deployment.
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
        query = {"api-version": stated} if stated not in {None, "v1"} else {}
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
