"""OpenVINO GenAI: continuous batching on the CPU, straight from GGUF files it can read.

Server side: `OpenVINOEngine`. Child side: `OpenVINOBackend`, a loop that lets requests in and out between the
steps of one `ContinuousBatchingPipeline`. Known limits: it cannot read every quantisation (Q5_0 tensors fail), and it
does not say how much of a prompt came from its prefix cache, so `cached_tokens` is always 0.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from athanor.engines.backend import Emit, Pulse, RequestError, check_file, too_long
from athanor.engines.frames import Frame
from athanor.engines.local import LocalEngine
from athanor.engines.text import StopFilter, Utf8Joiner
from athanor.plugins import require

# Tokens of one KV block in the CPU plugin (measured: a 1,531-token prompt fills 48 blocks).
_BLOCK = 32
# Key-value memory is taken as it is needed, up to this many full contexts; then older prefixes are overwritten.
_CONTEXTS_IN_CACHE = 4
# Tokens per step, prompts included: larger reads prompts faster, smaller lets running streams wait less.
_TOKENS_PER_STEP = 512


class OpenVINOEngine(LocalEngine):
    """Runs a GGUF or OpenVINO model with openvino-genai."""

    backend = "openvino"
    target = "athanor.engines.adapters.openvino:OpenVINOBackend"


@dataclass(slots=True)
class _Active:
    """A request in the batch."""

    id: int
    handle: Any
    prompt_tokens: int
    stop: StopFilter
    text: _Detokeniser
    constrained: bool
    seconds: float = 0.0
    unsent: int = 0
    prompt_sent: bool = False


class OpenVINOBackend:
    """The child's side. All calls into the pipeline happen on one thread."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Frame | int] = queue.SimpleQueue()
        self._active: dict[int, _Active] = {}
        self._pulse = Pulse()
        self._numbers = 0

    def load(self, settings: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
        genai = self._genai = require("openvino_genai", extra="openvino")
        check_file(settings["path"])
        self._emit = emit
        self._context = int(settings["context"])
        scheduler = genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.dynamic_split_fuse = True
        scheduler.max_num_seqs = int(settings["parallel"])
        scheduler.max_num_batched_tokens = _TOKENS_PER_STEP
        scheduler.num_kv_blocks = _CONTEXTS_IN_CACHE * (self._context // _BLOCK + 1)
        # Threads that are pinned cannot make way for the embedder's; only a machine of its own gains by it.
        properties: dict[str, Any] = {"ENABLE_CPU_PINNING": settings["wait"] == "active"}
        if settings.get("threads"):
            properties["INFERENCE_NUM_THREADS"] = int(settings["threads"])
        started = time.monotonic()
        self._pipeline = genai.ContinuousBatchingPipeline(settings["path"], scheduler, "CPU", properties)
        self._tokenizer = self._pipeline.get_tokenizer()
        self._defaults = self._pipeline.get_config()
        self._vocabulary = _Vocabulary(self._tokenizer)
        # The tokenizer of a GGUF silently truncates at a length of its own, whatever it is told: find that length, so
        # that a prompt is refused and never answered without its end.
        self._context = min(self._context, self._count("a " * (self._context + 64)))
        threading.Thread(target=self._loop, name="steps", daemon=True).start()
        return {"load_seconds": round(time.monotonic() - started, 2), "version": genai.__version__}

    def submit(self, request: Frame) -> None:
        self._pulse.begin()
        self._inbox.put(request)

    def cancel(self, request_id: int) -> None:
        self._inbox.put(request_id)

    def stalled(self) -> float:
        return self._pulse.stalled()

    def _loop(self) -> None:
        """An exception here ends the process: a pipeline that has thrown once in a step does not recover."""
        while True:
            self._take_in()
            started = time.perf_counter()
            self._pipeline.step()
            self._pulse.beat()
            share = (time.perf_counter() - started) / max(1, len(self._active))
            for request in list(self._active.values()):
                request.seconds += share
                self._give_out(request)

    def _take_in(self) -> None:
        """Admit and cancel what has arrived; wait for something when idle."""
        while not self._active or not self._inbox.empty():
            item = self._inbox.get()
            if isinstance(item, int):
                self._drop(item)
                continue
            try:
                self._admit(item.header)
            except RequestError as error:
                self._refuse(item.header["id"], error.code, str(error), error.hint)
            except RuntimeError as error:
                self._refuse(item.header["id"], "engine_failed", f"The model refused the request: {error}", None)

    def _refuse(self, request_id: int, code: str, message: str, hint: str | None) -> None:
        self._pulse.end()
        self._emit(request_id, "error", code=code, message=message, hint=hint)

    def _admit(self, header: Mapping[str, Any]) -> None:
        prompt = self._tokenizer.apply_chat_template(header["messages"], True)
        tokens = self._tokenizer.encode(prompt, add_special_tokens=False).input_ids
        length = int(tokens.shape[1])
        if length >= self._context:
            raise too_long(length, self._context)
        self._numbers += 1  # the pipeline never forgives a number that is used twice
        handle = self._pipeline.add_request(self._numbers, tokens, self._config(header, self._context - length))
        self._active[header["id"]] = _Active(
            id=header["id"],
            handle=handle,
            prompt_tokens=length,
            stop=StopFilter(header["stop"]),
            text=_Detokeniser(self._vocabulary),
            constrained=header["json_schema"] is not None,
        )

    def _count(self, text: str) -> int:
        return int(self._tokenizer.encode(text, add_special_tokens=False).input_ids.shape[1])

    def _config(self, header: Mapping[str, Any], room: int) -> Any:
        config = self._genai.GenerationConfig()
        config.apply_chat_template = False
        config.eos_token_id = self._defaults.eos_token_id
        config.stop_token_ids = self._defaults.stop_token_ids
        config.max_new_tokens = min(int(header["max_tokens"]), room)
        if header["temperature"] > 0:
            config.do_sample = True
            config.temperature = float(header["temperature"])
            config.top_p = float(header["top_p"])
            config.rng_seed = int(header["seed"])
        if header["json_schema"] is not None:
            schema = _sheltered(header["json_schema"])
            config.structured_output_config = self._genai.StructuredOutputConfig(json_schema=schema)
        return config

    def _give_out(self, request: _Active) -> None:
        """Send what the last step made for one request."""
        finish = ""
        piece = ""
        while request.handle.can_read():
            for output in request.handle.read().values():
                request.unsent += len(output.generated_ids)
                piece += request.text.feed(output.generated_ids)
                finish = output.finish_reason.name
        if request.constrained:
            piece = piece.translate(_RESTORED)
        status = request.handle.get_status().name
        if status == "IGNORED":
            message = "The engine's memory for contexts is full."
            self._end(request)
            self._emit(request.id, "error", code="engine_unavailable", message=message, hint="Ask again in a moment.")
            return
        over = status != "RUNNING"
        text = request.stop.feed(piece)
        if request.stop.stopped:
            finish, over = "STOP", True
        elif over:
            text += request.stop.flush()
        if text:
            self._emit(request.id, "event", text=text, usage=self._usage(request))
        if over:
            self._end(request)
            reason = "length" if finish == "LENGTH" else "stop"
            self._emit(request.id, "done", reason=reason, usage=self._usage(request))

    def _usage(self, request: _Active) -> dict[str, float]:
        """What has not been reported yet: events carry differences."""
        usage = {
            "prompt_tokens": 0 if request.prompt_sent else request.prompt_tokens,
            "completion_tokens": request.unsent,
            "seconds": request.seconds,
        }
        request.prompt_sent, request.unsent, request.seconds = True, 0, 0.0
        return usage

    def _end(self, request: _Active) -> None:
        del self._active[request.id]
        request.handle.cancel()
        self._pulse.end()

    def _drop(self, request_id: int) -> None:
        if request := self._active.get(request_id):
            self._end(request)


# xgrammar writes U+0080 to U+00FF as \xNN and then reads a following hex digit as part of it: "Grüße" is forced to
# be "Grü\u0dfe". Such a character travels through the grammar as a private one, and is put back in the answer.
_MISREAD = re.compile("[\u0080-\u00ff](?=[0-9a-fA-F])")
_SHELTER = 0xE000
_RESTORED = {_SHELTER + number: number for number in range(0x80, 0x100)}


def _sheltered(schema: Mapping[str, Any]) -> str:
    text = json.dumps(schema, ensure_ascii=False)
    return _MISREAD.sub(lambda match: chr(_SHELTER + ord(match.group())), text)


class _Vocabulary:
    """Bytes of every token. A byte-level vocabulary needs no native call per token, and no guess at half characters."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        table = tokenizer.get_vocab()
        size = max(table.values(), default=-1) + 1
        self._bytes: list[bytes] = [b""] * size
        for piece, number in table.items():
            self._bytes[number] = piece if isinstance(piece, bytes) else piece.encode()
        self._special: dict[int, bool] = {}
        self.exact = self._is_exact("Grüße, 世界 🌍!\n\tdef f(x): return  x")

    def _is_exact(self, probe: str) -> bool:
        """Whether joined bytes are the text; false for vocabularies that write a space as ▁."""
        numbers = self.tokenizer.encode(probe, add_special_tokens=False).input_ids.data.flatten().tolist()
        joined = b"".join(self._bytes[n] for n in numbers if n < len(self._bytes))
        return joined == probe.encode()

    def piece(self, number: int) -> bytes:
        """The token's bytes; empty for a control token."""
        if number >= len(self._bytes) or self._is_special(number):
            return b""
        return self._bytes[number]

    def _is_special(self, number: int) -> bool:
        known = self._special.get(number)
        if known is None:
            text = self._bytes[number]
            # Only a token that looks like one is worth a native call.
            looks = text[:1] in {b"<", b"["} and text[-1:] in {b">", b"]"}
            known = self._special[number] = looks and self.tokenizer.decode([number]) == ""
        return known


class _Detokeniser:
    """Token numbers to text, never half a character."""

    def __init__(self, vocabulary: _Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._joiner = Utf8Joiner()
        self._numbers: list[int] = []
        self._shown = 0

    def feed(self, numbers: list[int]) -> str:
        if self._vocabulary.exact:
            return self._joiner.feed(b"".join(map(self._vocabulary.piece, numbers)))
        self._numbers += numbers
        text: str = self._vocabulary.tokenizer.decode(self._numbers)
        stable = text.rstrip("\ufffd")
        piece = stable[self._shown :]
        self._shown = max(self._shown, len(stable))
        return piece
