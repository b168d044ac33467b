"""The ports of everything that runs a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Literal, Protocol, runtime_checkable

from athanor.types import (
    Context,
    EmbedderProfile,
    Embeddings,
    EngineState,
    Event,
    Profile,
    Request,
    RerankerProfile,
    TaggerProfile,
    Tagging,
)


@runtime_checkable
class Engine(Protocol):
    """Answers a request with a stream of events.

    A provider, a local model, a wrapper of another engine and a knowledge base all satisfy it.
    `run` ends with exactly one `Finished`, or raises an `AthanorError`. Closing the iterator early
    (`aclose`, cancellation) stops the work behind it.
    """

    @property
    def profile(self) -> Profile: ...

    def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]: ...

    def state(self) -> EngineState: ...

    async def start(self) -> None:
        """Begin loading; return at once. `run` on a loading engine waits for it."""
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Embedder(Protocol):
    """Maps texts to unit vectors."""

    @property
    def profile(self) -> EmbedderProfile: ...

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        """Embed `texts` in order. Texts over the profile's `max_tokens` are truncated."""
        ...

    def state(self) -> EngineState: ...

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Reranker(Protocol):
    """Scores how well each passage answers a query."""

    @property
    def profile(self) -> RerankerProfile: ...

    async def score(self, query: str, passages: Sequence[str]) -> list[float]:
        """One raw logit per passage, higher is better. Not a probability."""
        ...

    def state(self) -> EngineState: ...

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Tagger(Protocol):
    """Says of every word of a text what it is: part of a name, of an address, …"""

    @property
    def profile(self) -> TaggerProfile: ...

    async def tag(self, texts: Sequence[str]) -> list[Tagging]:
        """One tagging per text, of all of it, however long. Loads the model if it was not."""
        ...

    def state(self) -> EngineState: ...

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...
