"""From settings to engines: the one place that knows which class serves which source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from athanor.config import ModelSettings
from athanor.engines.auto import ORDER, AutoEngine
from athanor.engines.base import Embedder, Engine, Reranker
from athanor.engines.local import LocalSettings
from athanor.engines.upstream import Upstream
from athanor.models import (
    Progress,
    ResolvedModel,
    Wish,
    catalogue_wish,
    provisional_profile,
    resolve,
    resolve_embedder,
    resolve_reranker,
)
from athanor.plugins import load


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What all engines share: the state folder and how threads wait."""

    home: Path
    wait: Literal["passive", "active"] = "passive"

    @property
    def hashes(self) -> Path:
        """Remembers proven files."""
        return self.home / "models" / "hashes.json"

    @property
    def backends(self) -> Path:
        """Remembers which backend loads which file."""
        return self.home / "models" / "backends.json"

    @property
    def downloads(self) -> Path:
        return self.home / "models" / "hub"


def chat_engine(name: str, settings: ModelSettings | None, shop: Workshop) -> Engine:
    """The engine of one chat model; nothing is loaded, downloaded or asked before `start`.

    Args:
        settings: its table in the settings; None looks `name` up in the catalogue.

    Raises:
        ConfigError: no such model in the catalogue, or a URL or secret that cannot be used.
    """
    if settings is None:
        return _local(catalogue_wish(name), "auto", LocalSettings(wait=shop.wait), shop)
    wish = Wish(
        name=name,
        source=settings.source,
        sha256=settings.sha256,
        context=settings.context,
        grounded=settings.grounded,
        upstream=settings.upstream,
    )
    if settings.backend == "openai" or settings.source.startswith(("http://", "https://")):
        key = settings.api_key.resolve() if settings.api_key else None
        upstream = Upstream(settings.source, api_key=key)
        engine: Engine = load("engines", "openai")(provisional_profile(wish), upstream, model=settings.upstream or name)
        return engine
    local = LocalSettings(threads=settings.threads, memory_mb=settings.memory_mb, wait=shop.wait)
    if settings.backend == "scripted":
        scripted: Engine = load("engines", "scripted")(profile=provisional_profile(wish))
        return scripted
    return _local(wish, settings.backend, local, shop)


def knowledge_models(
    embedder: str, reranker: str | None, shop: Workshop, *, threads: int | None = None
) -> tuple[Embedder, Reranker | None]:
    """The embedder and, if wanted, the reranker, in one process. Proves their files: reads them once per change.

    Raises:
        ConfigError, ModelError, WeightsMismatchError: as `resolve_embedder`.
    """
    from athanor.engines.adapters.onnx import OnnxEmbedder, OnnxReranker, onnx_process  # noqa: PLC0415

    found = resolve_embedder(embedder, cache=shop.hashes)
    second = resolve_reranker(reranker, cache=shop.hashes) if reranker else None
    process = onnx_process(found, second, LocalSettings(threads=threads, wait=shop.wait))
    return OnnxEmbedder(process, found.profile), OnnxReranker(process) if second else None


def _local(wish: Wish, backend: str, settings: LocalSettings, shop: Workshop) -> Engine:
    find: Callable[[Progress], ResolvedModel] = partial(_find, wish, shop)
    order = ORDER if backend == "auto" else (backend,)
    memory = shop.backends if backend == "auto" else None
    return AutoEngine(provisional_profile(wish), find, settings, order=order, memory=memory)


def _find(wish: Wish, shop: Workshop, progress: Progress) -> ResolvedModel:
    return resolve(wish, cache=shop.hashes, downloads=shop.downloads, progress=progress)
