"""Facts about models. Code asks a profile, never a model's name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from athanor.types.chat import Usage
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
class Price:
    """US dollars: per million tokens, and per second of compute."""

    prompt: float = 0.0
    completion: float = 0.0
    cached: float | None = None
    """Prompt tokens read from the vendor's cache; `None` costs as much as others."""
    written: float | None = None
    """Prompt tokens written to the vendor's cache; `None` costs as much as others."""
    second: float = 0.0
    """For local models: a measured second of the machine."""

    def of(self, usage: Usage) -> float:
        """What `usage` costs, in US dollars."""
        plain = usage.prompt_tokens - usage.cached_tokens - usage.written_tokens
        cached = self.prompt if self.cached is None else self.cached
        written = self.prompt if self.written is None else self.written
        tokens = (
            plain * self.prompt
            + usage.cached_tokens * cached
            + usage.written_tokens * written
            + usage.completion_tokens * self.completion
        )
        return tokens / 1e6 + usage.seconds * self.second


FREE = Price()


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
    temperature: float | None = 0.0
    """Where the request does not say; `None` leaves it to the vendor."""
    max_tokens: int = 512
    """Of the answer, where the request does not say: what a hold is made for."""
    price: Price = FREE
    lacks: frozenset[str] = frozenset()
    """Parameters that it does not know: `tools`, `image`, `file`, `json_schema`, `thinking`, `logprobs`, or a name of
    `Sampling`."""
    drop: bool = False
    """Leave out what it lacks and say so, instead of refusing the request."""
    quality: float | None = None
    """From 0 to 1, as measured or believed by whoever set it up: what a route's quality floor is compared with."""
    remote: bool = False
    """Requests leave this machine."""


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
class TaggerProfile:
    """What a model that says of every word what it is can tell apart."""

    id: str
    """Name and file hash."""
    labels: tuple[str, ...]
    """Without the prefixes of the BIO scheme; what is none of them has no label."""
    max_tokens: int
    """Of one window; longer texts are read in windows that overlap."""
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagging:
    """The words of one text, and how likely each is what each label stands for."""

    words: tuple[tuple[int, int], ...]
    """Start and end of each word, in order; punctuation stands alone."""
    scores: tuple[tuple[float, ...], ...]
    """For each word the probability of each label; the rest up to 1 is that of none."""


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
