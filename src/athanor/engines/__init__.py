"""Engines: everything that runs a model. Implementations are in `adapters/`, found through their entry points."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Names are imported on first use: a model's process is a module of this package too, and should not pay with 30 MiB
# for an HTTP client and settings that it never needs.
if TYPE_CHECKING:
    from athanor.engines.auto import AutoEngine
    from athanor.engines.base import Embedder, Engine, Reranker, Tagger
    from athanor.engines.build import build_embedder, build_engine
    from athanor.engines.local import LocalEngine, LocalSettings
    from athanor.engines.process import ModelProcess
    from athanor.engines.spec import WorkerSpec
    from athanor.engines.upstream import Timeouts, Upstream

__all__ = [
    "AutoEngine",
    "Embedder",
    "Engine",
    "LocalEngine",
    "LocalSettings",
    "ModelProcess",
    "Reranker",
    "Tagger",
    "Timeouts",
    "Upstream",
    "WorkerSpec",
    "build_embedder",
    "build_engine",
]

_HOMES = {
    "AutoEngine": "auto",
    "Embedder": "base",
    "Engine": "base",
    "LocalEngine": "local",
    "LocalSettings": "local",
    "ModelProcess": "process",
    "Reranker": "base",
    "Tagger": "base",
    "Timeouts": "upstream",
    "Upstream": "upstream",
    "WorkerSpec": "spec",
    "build_embedder": "build",
    "build_engine": "build",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
