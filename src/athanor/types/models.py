"""Facts about models. Code asks a profile, never a model's name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from athanor.types.knowledge import AnswerMode


class EngineStatus(StrEnum):
    STOPPED = "stopped"
    LOADING = "loading"
    READY = "ready"
    BACKING_OFF = "backing_off"
    """It crashed and starts again after a pause; `detail` says when."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    status: EngineStatus
    backend: str
    detail: str = ""
    """For people: what failed and when it is tried again, or an empty string."""
    restarts: int = 0
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a chat model is and can do."""

    name: str
    context: int
    """Tokens, prompt and answer together."""
    licence: str
    grounded: AnswerMode
    """The answer mode it can be trusted with when it answers from passages."""
    note: str = ""
    """For people: limits they should know of; shown in the console."""
    json_schema: bool = False
    temperature: float = 0.0
    max_tokens: int = 512
    prompt_price: float = 0.0
    """US dollars per million tokens."""
    completion_price: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderProfile:
    """What an embedder is. Vectors are float32, little-endian and of unit length."""

    id: str
    """Name, version and file hash: vectors of different ids are never mixed."""
    dimension: int
    max_tokens: int
    licence: str
    query_prefix: str = ""
    document_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankerProfile:
    """What a reranker is."""

    id: str
    """Name and file hash."""
    max_tokens: int
    """Of query and passage together; more is cut off the passage."""
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """`count` × `dimension` float32 values, little-endian, row-major, in `data`."""

    data: bytes
    count: int
    dimension: int
    tokens: int

    def rows(self) -> list[bytes]:
        """One `bytes` of `4 * dimension` per text."""
        width = 4 * self.dimension
        return [self.data[i : i + width] for i in range(0, width * self.count, width)]
