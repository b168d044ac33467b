"""An embedder that cannot be had: the system starts without it, and everything that needs it says why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from athanor.errors import AthanorError
from athanor.types import EmbedderProfile, Embeddings, EngineState, EngineStatus


class MissingEmbedder:
    """An `Embedder` whose every use raises `error`: weights that are missing, changed, or need an extra."""

    def __init__(self, error: AthanorError) -> None:
        self._error = error

    @property
    def profile(self) -> EmbedderProfile:
        raise self._error.with_traceback(None)

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        raise self._error.with_traceback(None)

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.FAILED, backend="onnx", detail=str(self._error))

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to close."""
