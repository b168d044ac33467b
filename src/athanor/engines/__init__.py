"""Engines: everything that runs a model. Implementations are in `adapters/`, found through their entry points."""

from athanor.engines.base import Embedder, Engine, Reranker
from athanor.engines.local import LocalEngine, LocalSettings
from athanor.engines.process import ModelProcess, WorkerSpec

__all__ = ["Embedder", "Engine", "LocalEngine", "LocalSettings", "ModelProcess", "Reranker", "WorkerSpec"]
