"""Embedder and cross-encoder reranker from ONNX files, both in one child process.

A process costs some 50 MiB before it has loaded anything, so the two share one. Queries and reranking go before
documents that are being ingested: a person waits for the first, a progress bar for the second.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from athanor.engines.backend import Emit, Pulse
from athanor.engines.frames import Frame
from athanor.engines.local import LocalSettings, omp_environment
from athanor.engines.process import ModelProcess
from athanor.engines.runtimes import load_encoder
from athanor.engines.spec import WorkerSpec
from athanor.errors import EngineError
from athanor.models import ResolvedEmbedder, ResolvedReranker
from athanor.plugins import require
from athanor.types import EmbedderProfile, Embeddings, EngineState, RerankerProfile


def onnx_process(
    embedder: ResolvedEmbedder, reranker: ResolvedReranker | None = None, settings: LocalSettings | None = None
) -> ModelProcess:
    """The process that `OnnxEmbedder` and `OnnxReranker` share."""
    settings = settings or LocalSettings()
    models: dict[str, Any] = {
        "embedder": {
            "model": str(embedder.model),
            "tokenizer": str(embedder.tokenizer),
            "max_tokens": embedder.profile.max_tokens,
            "pooling": embedder.pooling,
            "width": embedder.profile.dimension,
            "runtime": settings.encoder,
        }
    }
    if reranker is not None:
        models["reranker"] = {
            "model": str(reranker.model),
            "tokenizer": str(reranker.tokenizer),
            "max_tokens": reranker.profile.max_tokens,
            "width": 1,
        }
    return ModelProcess(
        WorkerSpec(
            name=embedder.profile.id,
            backend="onnx",
            target="athanor.engines.adapters.onnx:OnnxBackend",
            settings={"models": models, "threads": settings.threads, "spin": settings.wait == "active"},
            environment=omp_environment(settings),
            memory_mb=settings.memory_mb,
            hang_timeout=settings.hang_timeout,
            load_timeout=settings.load_timeout,
        )
    )


class OnnxEmbedder:
    """An `Embedder` over a process made by `onnx_process`."""

    def __init__(self, process: ModelProcess, profile: EmbedderProfile) -> None:
        self.process = process
        self._profile = profile

    @property
    def profile(self) -> EmbedderProfile:
        return self._profile

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        dimension = self._profile.dimension
        if not texts:
            return Embeddings(data=b"", count=0, dimension=dimension, tokens=0)
        prefix = self._profile.query_prefix if kind == "query" else self._profile.document_prefix
        body = orjson.dumps([prefix + text for text in texts])
        frame = await _one(self.process, "embed", {"urgent": kind == "query"}, body)
        if len(frame.blob) != 4 * dimension * len(texts):
            raise EngineError(
                f"The embedder gave {len(frame.blob)} bytes for {len(texts)} texts of {dimension} dimensions.",
                hint="The profile's `dimension` does not fit the model.",
            )
        return Embeddings(data=frame.blob, count=len(texts), dimension=dimension, tokens=frame.header["tokens"])

    def state(self) -> EngineState:
        return self.process.state()

    async def start(self) -> None:
        await self.process.start()

    async def aclose(self) -> None:
        await self.process.aclose()


class OnnxReranker:
    """A `Reranker` over a process made by `onnx_process` with a reranker."""

    def __init__(self, process: ModelProcess, profile: RerankerProfile) -> None:
        self.process = process
        self._profile = profile

    @property
    def profile(self) -> RerankerProfile:
        return self._profile

    async def score(self, query: str, passages: Sequence[str]) -> list[float]:
        if not passages:
            return []
        frame = await _one(self.process, "rerank", {"urgent": True}, orjson.dumps([query, *passages]))
        scores: list[float] = frame.header["scores"]
        return scores

    def state(self) -> EngineState:
        return self.process.state()

    async def start(self) -> None:
        await self.process.start()

    async def aclose(self) -> None:
        await self.process.aclose()


async def _one(process: ModelProcess, op: str, header: Mapping[str, Any], blob: bytes) -> Frame:
    async with aclosing(process.call(op, header, blob)) as frames:
        async for frame in frames:
            if frame.header["op"] == "done":
                return frame
    raise EngineError("The model's process gave no answer.")


@dataclass(slots=True)
class _Work:
    """A request in pieces: runs of texts of similar length, longest first."""

    id: int
    role: str
    encodings: list[Any]
    runs: deque[list[int]]
    results: Any


class OnnxBackend:
    """The child's side: one thread that runs the models, urgent work first."""

    def __init__(self) -> None:
        self._pulse = Pulse()
        self._wake = threading.Condition()
        self._urgent: deque[Frame | _Work] = deque()
        self._patient: deque[Frame | _Work] = deque()
        self._cancelled: set[int] = set()
        self._known: set[int] = set()

    def load(self, settings: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
        self._emit = emit
        self._numpy = require("numpy", extra="knowledge")
        started = time.monotonic()
        threads, spin = settings["threads"], settings["spin"]
        self._models = {
            role: load_encoder(self._numpy, model, threads, spin=spin, runtime=model.get("runtime", "onnxruntime"))
            for role, model in settings["models"].items()
        }
        threading.Thread(target=self._loop, name="runs", daemon=True).start()
        runtimes = {role: model.runtime for role, model in self._models.items()}
        return {"load_seconds": round(time.monotonic() - started, 2), "models": runtimes}

    def submit(self, request: Frame) -> None:
        self._pulse.begin()
        with self._wake:
            self._known.add(request.header["id"])
            (self._urgent if request.header["urgent"] else self._patient).append(request)
            self._wake.notify()

    def cancel(self, request_id: int) -> None:
        with self._wake:
            if request_id in self._known:
                self._cancelled.add(request_id)

    def stalled(self) -> float:
        return self._pulse.stalled()

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._urgent and not self._patient:
                    self._wake.wait()
                queue = self._urgent or self._patient
                item = queue.popleft()
            work = self._prepare(item) if isinstance(item, Frame) else item
            if work is None:
                continue
            if work.id in self._cancelled:
                self._over(work.id)
                continue
            rows = work.runs.popleft()
            work.results[rows] = self._models[work.role].run([work.encodings[row] for row in rows])
            self._pulse.beat()
            if work.runs:
                with self._wake:
                    queue.appendleft(work)
            else:
                self._finish(work)

    def _prepare(self, frame: Frame) -> _Work | None:
        number = frame.header["id"]
        role = "embedder" if frame.header["op"] == "embed" else "reranker"
        model = self._models.get(role)
        if model is None:
            self._emit(number, "error", code="unsupported", message=f"This process holds no {role}.")
            self._over(number)
            return None
        texts = orjson.loads(frame.blob)
        if role == "reranker":
            query, *passages = texts
            texts = [(query, passage) for passage in passages]
        encodings = model.tokenizer.encode_batch(texts)
        order = sorted(range(len(encodings)), key=lambda row: -len(encodings[row].ids))
        size = model.batch
        runs = deque(order[at : at + size] for at in range(0, len(order), size))
        results = self._numpy.zeros((len(encodings), model.width), dtype="<f4")
        return _Work(number, role, encodings, runs, results)

    def _finish(self, work: _Work) -> None:
        if work.role == "embedder":
            tokens = sum(len(encoding.ids) for encoding in work.encodings)
            self._emit(work.id, "done", blob=work.results.tobytes(), tokens=tokens)
        else:
            self._emit(work.id, "done", scores=work.results[:, 0].tolist())
        self._over(work.id)

    def _over(self, number: int) -> None:
        self._pulse.end()
        with self._wake:
            self._known.discard(number)
            self._cancelled.discard(number)
