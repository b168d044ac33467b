"""llama.cpp through xllamacpp: any GGUF, continuous batching, cached-token counts.

Server side: `LlamaCppEngine`. Child side: `LlamaCppBackend`. The package's server insists on listening somewhere: it
gets a Unix socket in a private folder and a random key, and requests go through its Python door instead.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from athanor.engines.backend import Emit, Pulse, check_file, too_long
from athanor.engines.frames import Frame
from athanor.engines.local import LocalEngine
from athanor.plugins import require

# Prompt tokens per native call. Between calls a request can be cancelled and running streams get their turn.
_BATCH = 256
# Spare memory for prefixes of requests that are over, in MiB.
_PREFIX_CACHE = 128


class LlamaCppEngine(LocalEngine):
    """Runs a GGUF with llama.cpp."""

    backend = "llamacpp"
    target = "athanor.engines.adapters.llamacpp:LlamaCppBackend"


class LlamaCppBackend:
    """The child's side. A native call serves one request, so each running request holds a thread."""

    def __init__(self) -> None:
        self._pulse = Pulse()
        self._lock = threading.Lock()
        self._waiting: set[int] = set()
        self._cancelled: set[int] = set()
        self._running = 0

    def load(self, settings: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
        library = require("xllamacpp", extra="llamacpp")
        self._emit = emit
        self._context = int(settings["context"])
        parallel = int(settings["parallel"])
        check_file(settings["path"])
        # Nobody needs the socket; the folder goes at once, and with it the way in.
        folder = tempfile.mkdtemp(prefix="athanor-")
        params = library.CommonParams()
        params.model.path = settings["path"]
        params.n_ctx = self._context
        params.n_parallel = parallel
        params.kv_unified = True  # slots share one context's memory instead of cutting it into equal parts
        params.n_batch = params.n_ubatch = _BATCH
        params.cache_ram_mib = _PREFIX_CACHE
        params.hostnames = [f"{folder}/s.sock"]  # the ending makes it a Unix socket
        params.api_keys = [secrets.token_hex(16)]
        params.n_threads_http = 1
        params.endpoint_slots = params.endpoint_props = params.ui = False
        params.warmup = False
        params.verbosity = 1
        if settings.get("threads"):
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(settings["threads"])
        started = time.monotonic()
        try:
            self._server = library.Server(params)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="slot")
        return {"load_seconds": round(time.monotonic() - started, 2), "version": library.__version__}

    def submit(self, request: Frame) -> None:
        self._pulse.begin()
        with self._lock:
            self._waiting.add(request.header["id"])
        self._pool.submit(self._answer, request.header)

    def cancel(self, request_id: int) -> None:
        with self._lock:
            if request_id in self._waiting:
                self._cancelled.add(request_id)

    def stalled(self) -> float:
        return self._pulse.stalled()

    def _answer(self, header: Mapping[str, Any]) -> None:
        number = header["id"]
        stream = _Stream(self, header)
        with self._lock:
            self._running += 1
        try:
            if number not in self._cancelled:
                self._server.handle_chat_completions(_native(header), stream.take)
                stream.end()
        except (RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())[:400]
            self._emit(number, "error", code="engine_failed", message=f"The model refused the request: {text}")
        finally:
            with self._lock:
                self._running -= 1
                self._waiting.discard(number)
                self._cancelled.discard(number)
            self._pulse.end()


class _Stream:
    """Chunks of one native stream to frames."""

    def __init__(self, backend: LlamaCppBackend, header: Mapping[str, Any]) -> None:
        self._backend = backend
        self._id = header["id"]
        self._reported = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
        self._totals = dict(self._reported)
        self._seconds = 0.0
        self._at = time.perf_counter()
        self._reason = ""
        self._error: dict[str, Any] | None = None

    def take(self, chunk: Mapping[str, Any]) -> bool:
        """Called by the library from its own call; true stops the request."""
        backend = self._backend
        backend._pulse.beat()
        now = time.perf_counter()
        self._seconds += (now - self._at) / max(1, backend._running)
        self._at = now
        if "error" in chunk:
            self._error = dict(chunk["error"])
            return True
        self._count(chunk)
        for choice in chunk.get("choices", ()):
            if text := choice["delta"].get("content"):
                backend._emit(self._id, "event", text=text, usage=self._usage())
            self._reason = choice.get("finish_reason") or self._reason
        return self._id in backend._cancelled

    def end(self) -> None:
        """After the library's call: the last frame."""
        backend = self._backend
        if self._error is not None:
            backend._emit(self._id, "error", **_refusal(self._error))
        elif self._id not in backend._cancelled:
            reason = "length" if self._reason == "length" else "stop"
            backend._emit(self._id, "done", reason=reason, usage=self._usage())

    def _count(self, chunk: Mapping[str, Any]) -> None:
        if timings := chunk.get("timings"):
            self._totals["cached_tokens"] = max(0, timings["cache_n"])
            self._totals["prompt_tokens"] = timings["prompt_n"] + self._totals["cached_tokens"]
            self._totals["completion_tokens"] = timings["predicted_n"]
        if usage := chunk.get("usage"):
            self._totals["prompt_tokens"] = usage["prompt_tokens"]
            self._totals["completion_tokens"] = usage["completion_tokens"]
            self._totals["cached_tokens"] = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)

    def _usage(self) -> dict[str, float]:
        """What has not been reported yet: events carry differences."""
        new = {name: total - self._reported[name] for name, total in self._totals.items()}
        self._reported = dict(self._totals)
        seconds, self._seconds = self._seconds, 0.0
        return {**new, "seconds": seconds}


def _native(header: Mapping[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = {
        "messages": header["messages"],
        "max_tokens": header["max_tokens"],
        "temperature": header["temperature"],
        "top_p": header["top_p"],
        "seed": header["seed"],
        "stop": header["stop"],
        "cache_prompt": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        # Both only so that a long prompt gives signs of life, and a stream closed early has been counted.
        "return_progress": True,
        "timings_per_token": True,
    }
    if header["json_schema"] is not None:
        request["response_format"] = {"type": "json_schema", "json_schema": {"schema": header["json_schema"]}}
    return request


def _refusal(error: Mapping[str, Any]) -> dict[str, Any]:
    message = str(error.get("message", "no reason given"))
    if error.get("type") == "exceed_context_size_error":
        refused = too_long(int(error["n_prompt_tokens"]), int(error["n_ctx"]))
        return {"code": refused.code, "message": str(refused), "hint": refused.hint}
    if re.search(r"context|kv cache", message, re.IGNORECASE):
        return {"code": "engine_unavailable", "message": message, "hint": "Ask again in a moment."}
    return {"code": "invalid_request" if error.get("code") == 400 else "engine_failed", "message": message}
