"""OpenAI's chat completions and embeddings, and every server that speaks them: vLLM, Ollama, another Athanor, …"""

from __future__ import annotations

import math
import sys
from array import array
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines.formats.chat_engine import ChatEngine
from athanor.engines.formats.chat_request import Dialect
from athanor.engines.formats.counting import count, estimate
from athanor.engines.upstream import Timeouts, Upstream
from athanor.errors import EngineError, EngineUnavailableError, InputError
from athanor.types import EmbedderProfile, Embeddings, EngineState, EngineStatus, Profile

LACKS = frozenset({"top_k"})
"""What the format has no word for; `lacks = []` in the settings is for servers that take `top_k` all the same."""
_EMBED_BATCH = 128
_EMBED_CHARACTERS = 600_000
"""Of one request. OpenAI takes 300,000 tokens."""


def connect(url: str, *, api_key: SecretStr | None, settings: ModelSettings, timeouts: Timeouts) -> Upstream:
    """The endpoint, with the key as a bearer token."""
    return Upstream(url, api_key=api_key, headers=settings.headers, timeouts=timeouts)


class OpenAIEngine(ChatEngine):
    """A chat model of OpenAI's, or of a server that speaks its chat completions."""

    backend: ClassVar[str] = "openai"

    def __init__(self, profile: Profile, upstream: Upstream, *, model: str | None = None) -> None:
        own = upstream.host == "api.openai.com"
        # OpenAI's reasoning models refuse `max_tokens`, and most other servers know nothing else.
        limit = "max_completion_tokens" if own else "max_tokens"
        super().__init__(profile, upstream, model=model, dialect=Dialect(limit=limit, reasoning=not own))


class OpenAIEmbedder:
    """An embedding model behind `POST {url}/embeddings`. Vectors are brought to unit length here.

    A profile whose dimension is 0 learns it from the first answer. Nobody knows the endpoint's tokens beforehand, so
    texts are cut where four characters for each of the profile's `max_tokens` are used up.
    """

    def __init__(self, profile: EmbedderProfile, upstream: Upstream, *, model: str) -> None:
        self._profile = profile
        self._upstream = upstream
        self._model = model
        self._format = "base64"
        self._closed = False

    @property
    def profile(self) -> EmbedderProfile:
        return self._profile

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        if self._closed:
            raise EngineUnavailableError(f"The model {self._profile.id} is shutting down.")
        prefix = self._profile.query_prefix if kind == "query" else self._profile.document_prefix
        limit = 4 * self._profile.max_tokens
        data = bytearray()
        tokens = 0
        for batch in _batches((prefix + text)[:limit] for text in texts):
            payload = await self._ask(batch)
            vectors, used = self._vectors(payload, len(batch))
            tokens += used or sum(map(estimate, batch))
            for vector in vectors:
                data += vector
        return Embeddings(data=bytes(data), count=len(texts), dimension=self._profile.dimension, tokens=tokens)

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.STOPPED if self._closed else EngineStatus.READY, backend="openai")

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        self._closed = True
        await self._upstream.aclose()

    async def _ask(self, batch: list[str]) -> Any:
        # Base64 is a third of the bytes and a tenth of the work; servers that ignore the word send numbers.
        while True:
            body = {"model": self._model, "input": batch, "encoding_format": self._format}
            try:
                async with self._upstream.post("/embeddings", body) as reply:
                    return await reply.json()
            except InputError as error:
                said = error.message
                if body["encoding_format"] == "float" or not ("encoding_format" in said or "base64" in said):
                    raise
                self._format = "float"

    def _vectors(self, payload: Any, expected: int) -> tuple[list[bytes], int]:
        try:
            rows = sorted(payload["data"], key=lambda row: int(row["index"]))
            vectors = [_unit(row["embedding"]) for row in rows]
            used = count((payload.get("usage") or {}).get("total_tokens"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineError("The endpoint's embeddings cannot be read.", where=self._upstream.shown) from error
        if not self._profile.dimension and vectors:
            self._profile = replace(self._profile, dimension=len(vectors[0]) // 4)
        dimension = self._profile.dimension
        if len(vectors) != expected or any(len(vector) != 4 * dimension for vector in vectors):
            found = len(vectors[0]) // 4 if vectors else 0
            raise EngineError(
                f"The endpoint gave {len(vectors)} vectors of {found} dimensions, not {expected} of {dimension}.",
                where=self._upstream.shown,
            )
        return vectors, used


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == _EMBED_BATCH or size + len(text) > _EMBED_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _unit(embedding: object) -> bytes:
    """A vector (a list of numbers, or base64 of float32) as float32 of unit length, little-endian."""
    values = array("f")
    if isinstance(embedding, str):
        values.frombytes(b64decode(embedding, validate=True))
        if sys.byteorder == "big":
            values.byteswap()
    elif isinstance(embedding, list):
        values.extend(embedding)
    else:
        raise TypeError("an embedding is a list or a string")
    norm = math.hypot(*values)
    if not math.isfinite(norm) or norm == 0:
        raise ValueError("a vector without a direction")
    # Most vendors' vectors are of unit length already, as far as a float32 can tell.
    unit = values if abs(norm - 1) < 1e-6 else array("f", [value / norm for value in values])
    if sys.byteorder == "big":
        unit.byteswap()
    return unit.tobytes()
