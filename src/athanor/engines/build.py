"""From a resolved model to its engine: the one place that knows which class serves which source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import orjson

from athanor.config import ModelSettings
from athanor.engines.auto import ORDER, AutoEngine
from athanor.engines.base import Embedder, Engine
from athanor.engines.formats import azure_urls
from athanor.engines.local import LocalSettings
from athanor.engines.tokens import TokenCommand
from athanor.engines.upstream import Timeouts, Upstream
from athanor.errors import ConfigError
from athanor.models import ResolvedModel, listing
from athanor.plugins import load, load_module
from athanor.types import EmbedderProfile

REMOTE = ("openai", "responses", "azure", "anthropic", "gemini")
"""The backends that need a URL."""
_HOSTS = {
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    **dict.fromkeys(azure_urls.HOSTS, "azure"),
}
_EMBEDDING_TOKENS = 8191


def build_engine(
    model: ResolvedModel,
    settings: ModelSettings | None,
    *,
    home: Path,
    wait: Literal["passive", "active"] = "passive",
) -> Engine:
    """The engine of a chat model. Nothing is loaded and nobody is asked before `start`.

    Args:
        settings: the model's table in the settings; None for a model of the catalogue.
        home: state folder; what `auto` learns about a file is kept there.

    Raises:
        ConfigError: a backend that does not fit the source, or a secret that cannot be read.
    """
    backend = settings.backend if settings else "auto"
    if backend == "scripted":
        return _scripted(model)
    if model.url is not None:
        return _remote(model, settings or ModelSettings(source=model.url))
    if backend in REMOTE:
        raise ConfigError(f"The backend {backend} needs a URL as its source.", where=model.profile.name)
    local = LocalSettings(
        threads=settings.threads if settings else None, memory_mb=settings.memory_mb if settings else None, wait=wait
    )
    if backend == "auto":
        return AutoEngine(model, local, order=ORDER, memory=home / "backends.json")
    return AutoEngine(model, local, order=(backend,))


def build_embedder(name: str, settings: ModelSettings) -> Embedder:
    """The embedder of a model with `embeddings = true`. Its dimension is 0 until the first answer.

    Raises:
        ConfigError: its source is no URL, its vendor has no such format, or its secret cannot be read.
    """
    if not settings.source.startswith(("http://", "https://")):
        raise ConfigError("An embedding model of the settings is reached at a URL.", where=name)
    backend = backend_for(settings.source, settings.backend)
    if backend not in {"openai", "azure"}:
        raise ConfigError(
            f"The backend {backend} has no embeddings.",
            where=name,
            hint='Use the vendor\'s OpenAI-compatible URL with `backend = "openai"`.',
        )
    model = settings.upstream or name
    upstream = _connect(backend, settings.source, settings.model_copy(update={"upstream": model}))
    known = listing(model)
    profile = EmbedderProfile(
        id=f"{name}@{upstream.host}/{model}",
        dimension=0,
        max_tokens=settings.context or (known.context if known else _EMBEDDING_TOKENS),
        licence="unknown",
    )
    embedder: Embedder = load_module("engines", "openai").OpenAIEmbedder(profile, upstream, model=model)
    return embedder


def backend_for(url: str, backend: str = "auto") -> str:
    """The backend that serves a URL: the one that is set, else what speaks with that host.

    Raises:
        ConfigError: one that serves no URL.
    """
    if backend != "auto":
        if backend not in REMOTE:
            hint = f"One of {', '.join(REMOTE)}, or `auto`."
            raise ConfigError(f"A URL is not served by the backend {backend}.", where=urlsplit(url).netloc, hint=hint)
        return backend
    host = urlsplit(url).hostname or ""
    return next((b for end, b in _HOSTS.items() if host == end or (end[0] == "." and host.endswith(end))), "openai")


def _remote(model: ResolvedModel, settings: ModelSettings) -> Engine:
    assert model.url is not None
    profile = model.profile
    backend = backend_for(model.url, settings.backend)
    if settings.lacks is None:
        lacks = profile.lacks | load_module("engines", backend).LACKS
        profile = replace(profile, lacks=lacks, json_schema=profile.json_schema and "json_schema" not in lacks)
    upstream = _connect(backend, model.url, settings.model_copy(update={"upstream": model.upstream}))
    engine: Engine = load("engines", backend)(profile, upstream, model=model.upstream)
    return engine


def _connect(backend: str, url: str, settings: ModelSettings) -> Upstream:
    if settings.api_key is not None and settings.token_command is not None:
        raise ConfigError("Either `api_key` or `token_command` authorises, not both.", where=urlsplit(url).netloc)
    stated = settings.timeouts
    timeouts = Timeouts(
        connect=stated.connect_s,
        first_token=stated.first_token_s,
        between_tokens=stated.between_tokens_s,
        total=stated.total_s,
    )
    key = settings.api_key.resolve() if settings.api_key else None
    upstream: Upstream = load_module("engines", backend).connect(url, api_key=key, settings=settings, timeouts=timeouts)
    if settings.token_command is not None:
        if not settings.token_command:
            raise ConfigError("`token_command` is empty.", where=urlsplit(url).netloc)
        upstream.sign = TokenCommand(settings.token_command)
    return upstream


def _scripted(model: ResolvedModel) -> Engine:
    """Echo, or the script in a JSON file: `{"rules": [{"pattern": …, "answer": …}], "process": true}`."""
    kind = load("engines", "scripted")
    if model.path is None:
        engine: Engine = kind(profile=model.profile)
        return engine
    try:
        script = orjson.loads(model.path.read_bytes())
        engine = kind.from_script(script, profile=model.profile)
    except (OSError, orjson.JSONDecodeError, TypeError, AttributeError) as error:
        raise ConfigError(f"The script cannot be read: {error}.", where=str(model.path)) from error
    return engine
