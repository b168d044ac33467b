"""From a resolved model to its engine: the one place that knows which class serves which source."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import orjson

from athanor.config import ModelSettings
from athanor.engines.auto import ORDER, AutoEngine
from athanor.engines.base import Engine
from athanor.engines.local import LocalSettings
from athanor.engines.upstream import Upstream
from athanor.errors import ConfigError
from athanor.models import ResolvedModel
from athanor.plugins import load


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
        if backend not in {"auto", "openai"}:
            raise ConfigError(f"A URL is served by the backend openai, not {backend}.", where=model.profile.name)
        key = settings.api_key.resolve() if settings and settings.api_key else None
        upstream = Upstream(model.url, api_key=key)
        engine: Engine = load("engines", "openai")(model.profile, upstream, model=model.upstream)
        return engine
    if backend == "openai":
        raise ConfigError("The backend openai needs a URL as its source.", where=model.profile.name)
    local = LocalSettings(
        threads=settings.threads if settings else None, memory_mb=settings.memory_mb if settings else None, wait=wait
    )
    if backend == "auto":
        return AutoEngine(model, local, order=ORDER, memory=home / "backends.json")
    return AutoEngine(model, local, order=(backend,))


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
