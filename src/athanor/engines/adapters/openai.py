"""Any OpenAI-compatible endpoint: a vendor, Ollama, vLLM, or another Athanor.

Nothing an upstream sends is trusted to be what the specification says: lines may be cut anywhere, events may be
malformed, the stream may end in the middle, and error bodies may quote our key back (which is taken out).
"""

from __future__ import annotations

import math
import sys
from array import array
from base64 import b64decode
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

from athanor.engines.local import check_request
from athanor.engines.upstream import DONE, Upstream, error_message
from athanor.errors import EngineError, EngineUnavailableError
from athanor.types import (
    Context,
    EmbedderProfile,
    Embeddings,
    EngineState,
    EngineStatus,
    Event,
    Finished,
    FinishReason,
    Profile,
    Request,
    TextDelta,
    Usage,
)

_EMBED_BATCH = 128


class OpenAIEngine:
    """A chat model behind `POST {url}/chat/completions`.

    A stream that is closed early is counted by a lower bound: one token per word of the prompt and per piece of the
    answer, because the endpoint's own count comes last.
    """

    def __init__(self, profile: Profile, upstream: Upstream, *, model: str | None = None) -> None:
        self._profile = profile
        self._upstream = upstream
        self._model = model or profile.name
        self._detail = ""
        self._closed = False

    @property
    def profile(self) -> Profile:
        return self._profile

    def state(self) -> EngineState:
        status = EngineStatus.STOPPED if self._closed else EngineStatus.READY
        return EngineState(status=status, backend="openai", detail=self._detail)

    async def start(self) -> None:
        """Nothing to load; the endpoint is asked when somebody asks."""

    async def aclose(self) -> None:
        self._closed = True
        await self._upstream.aclose()

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        check_request(request, self._profile)
        if self._closed:
            raise EngineUnavailableError(f"The model {self._profile.name} is shutting down.")
        tally = _Tally(prompt_words=sum(len(m.content.split()) for m in request.messages))
        try:
            async with (
                self._upstream.post("/chat/completions", self._body(request), stream=True) as reply,
                aclosing(reply.payloads()) as payloads,
            ):
                async for payload in payloads:
                    if text := tally.take(self._check(payload)):
                        yield TextDelta(text=text, usage=tally.step())
            if tally.reason is None:
                raise EngineError(
                    "The endpoint's stream ended in the middle of the answer.",
                    where=self._upstream.shown,
                    hint="Ask again. If it recurs, look at the endpoint's log.",
                )
        except EngineError as error:
            self._detail = f"The last request failed: {error.message}"
            raise
        self._detail = ""
        yield Finished(reason=tally.reason, usage=tally.rest())

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": m.role.value, "content": m.content} for m in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": sampling.max_tokens or self._profile.max_tokens,
            "temperature": self._profile.temperature if sampling.temperature is None else sampling.temperature,
        }
        if sampling.top_p is not None:
            body["top_p"] = sampling.top_p
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if request.json_schema is not None:
            schema = {"name": "answer", "strict": True, "schema": dict(request.json_schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _check(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        if payload.get("error"):
            said = self._upstream.clean(error_message(payload) or "no reason given")
            raise EngineError(f"The endpoint failed while answering: {said}", where=self._upstream.shown)
        return payload


class _Tally:
    """Text, tokens and the end of one upstream stream, from payloads of doubtful shape."""

    def __init__(self, *, prompt_words: int) -> None:
        self._prompt_words = prompt_words
        self._told = Usage()
        self._truth: Usage | None = None
        self.reason: FinishReason | None = None

    def take(self, payload: Mapping[str, Any]) -> str:
        """The text of a payload; remembers usage and the reason of the end."""
        if payload is DONE:
            self.reason = self.reason or FinishReason.STOP
        usage = payload.get("usage")
        if isinstance(usage, Mapping):
            details = usage.get("prompt_tokens_details")
            cached = details.get("cached_tokens") if isinstance(details, Mapping) else 0
            self._truth = Usage(
                prompt_tokens=_count(usage.get("prompt_tokens")),
                completion_tokens=_count(usage.get("completion_tokens")),
                cached_tokens=_count(cached),
            )
        choices = payload.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            return ""
        reason = choices[0].get("finish_reason")
        if reason:
            self.reason = FinishReason.LENGTH if reason == "length" else FinishReason.STOP
        delta = choices[0].get("delta")
        text = delta.get("content") if isinstance(delta, Mapping) else None
        return text if isinstance(text, str) else ""

    def step(self) -> Usage:
        """What a piece of text adds."""
        prompt = 0 if self._told.completion_tokens else self._prompt_words
        usage = Usage(prompt_tokens=prompt, completion_tokens=1)
        self._told += usage
        return usage

    def rest(self) -> Usage:
        """What is missing from the pieces to the endpoint's own count; the bound, where it gave none."""
        if self._truth is None:
            return Usage() if self._told.completion_tokens else Usage(prompt_tokens=self._prompt_words)
        return Usage(
            prompt_tokens=self._truth.prompt_tokens - self._told.prompt_tokens,
            completion_tokens=self._truth.completion_tokens - self._told.completion_tokens,
            cached_tokens=self._truth.cached_tokens,
        )


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


class OpenAIEmbedder:
    """An embedding model behind `POST {url}/embeddings`. Vectors are brought to unit length here."""

    def __init__(self, profile: EmbedderProfile, upstream: Upstream, *, model: str) -> None:
        self._profile = profile
        self._upstream = upstream
        self._model = model
        self._closed = False

    @property
    def profile(self) -> EmbedderProfile:
        return self._profile

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        prefix = self._profile.query_prefix if kind == "query" else self._profile.document_prefix
        data = bytearray()
        tokens = 0
        for at in range(0, len(texts), _EMBED_BATCH):
            batch = [prefix + text for text in texts[at : at + _EMBED_BATCH]]
            body = {"model": self._model, "input": batch, "encoding_format": "float"}
            async with self._upstream.post("/embeddings", body) as reply:
                payload = await reply.json()
            vectors, used = self._vectors(payload, len(batch))
            tokens += used or sum(len(text.split()) for text in batch)
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

    def _vectors(self, payload: Any, expected: int) -> tuple[list[bytes], int]:
        try:
            rows = sorted(payload["data"], key=lambda row: int(row["index"]))
            vectors = [_unit(row["embedding"]) for row in rows]
            used = _count((payload.get("usage") or {}).get("total_tokens"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineError("The endpoint's embeddings cannot be read.", where=self._upstream.shown) from error
        dimension = self._profile.dimension
        if len(vectors) != expected or any(len(vector) != 4 * dimension for vector in vectors):
            found = len(vectors[0]) // 4 if vectors else 0
            raise EngineError(
                f"The endpoint gave {len(vectors)} vectors of {found} dimensions, not {expected} of {dimension}.",
                where=self._upstream.shown,
            )
        return vectors, used


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
    norm = math.sqrt(math.fsum(value * value for value in values))
    if not math.isfinite(norm) or norm == 0:
        raise ValueError("a vector without a direction")
    unit = array("f", (value / norm for value in values))
    if sys.byteorder == "big":
        unit.byteswap()
    return unit.tobytes()
