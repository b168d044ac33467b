"""Token classification from an ONNX file, in a child process of its own that starts with the first text.

Two native runtimes in one process have crashed each other (design/vectors.md), and a home that looks for no names
should not pay for the model. Words come back, not the pieces of the tokeniser: a word's probabilities are the mean of
its pieces', so that half a word is never part of a name.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import orjson

from athanor.engines.backend import Emit, Pulse
from athanor.engines.frames import Frame
from athanor.engines.local import LocalSettings, omp_environment
from athanor.engines.process import ModelProcess
from athanor.engines.spec import WorkerSpec
from athanor.errors import EngineError
from athanor.models import ResolvedTagger
from athanor.plugins import require
from athanor.types import EngineState, TaggerProfile, Tagging

WINDOW, OVERLAP = 192, 32
"""Pieces that are read at once, and that two windows share. The model can take 512; its own package found that it finds
fewer telephone numbers in long windows, and attention costs the square."""
_BATCH = 8


class OnnxTagger:
    """A `Tagger` over a process of its own. Nothing is loaded before the first text."""

    def __init__(self, tagger: ResolvedTagger, settings: LocalSettings | None = None) -> None:
        settings = settings or LocalSettings()
        self._profile = tagger.profile
        self.process = ModelProcess(
            WorkerSpec(
                name=tagger.profile.id,
                backend="onnx",
                target="athanor.engines.adapters.tagger:TaggerBackend",
                settings={
                    "model": str(tagger.model),
                    "tokenizer": str(tagger.tokenizer),
                    "labels": len(tagger.profile.labels),
                    "window": min(WINDOW, tagger.profile.max_tokens - 2),
                    "threads": settings.threads,
                    "spin": settings.wait == "active",
                },
                environment=omp_environment(settings),
                memory_mb=settings.memory_mb,
                hang_timeout=settings.hang_timeout,
                load_timeout=settings.load_timeout,
            )
        )

    @property
    def profile(self) -> TaggerProfile:
        return self._profile

    async def tag(self, texts: Sequence[str]) -> list[Tagging]:
        if not texts:
            return []
        async with aclosing(self.process.call("tag", {}, orjson.dumps(list(texts)))) as frames:
            async for frame in frames:
                if frame.header["op"] == "done":
                    return _taggings(frame.blob, frame.header["words"], len(self._profile.labels))
        raise EngineError("The model's process gave no answer.")

    def state(self) -> EngineState:
        return self.process.state()

    async def start(self) -> None:
        await self.process.start()

    async def aclose(self) -> None:
        await self.process.aclose()


def _taggings(blob: bytes, counts: Sequence[int], labels: int) -> list[Tagging]:
    """From the frame: for all words start and end, as 32-bit integers, then their scores, as 32-bit floats."""
    total = sum(counts)
    if len(blob) != 4 * total * (2 + labels):
        raise EngineError(f"The model's process gave {len(blob)} bytes for {total} words.")
    places, scores = array("i"), array("f")
    places.frombytes(blob[: 8 * total])
    scores.frombytes(blob[8 * total :])
    result, at = [], 0
    for count in counts:
        rows = range(at, at + count)
        result.append(
            Tagging(
                words=tuple((places[2 * row], places[2 * row + 1]) for row in rows),
                scores=tuple(tuple(scores[labels * row : labels * (row + 1)]) for row in rows),
            )
        )
        at += count
    return result


class TaggerBackend:
    """The child's side: one thread that runs the model."""

    def __init__(self) -> None:
        self._pulse = Pulse()
        self._wake = threading.Condition()
        self._queue: deque[Frame] = deque()
        self._cancelled: set[int] = set()

    def load(self, settings: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
        started = time.monotonic()
        self._emit = emit
        self._numpy = require("numpy", extra="knowledge")
        runtime = require("onnxruntime", extra="knowledge")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = settings["threads"] or 0
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if settings["spin"] else "0")
        self._session = runtime.InferenceSession(settings["model"], options, providers=["CPUExecutionProvider"])
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        self._tokenizer = require("tokenizers", extra="knowledge").Tokenizer.from_file(settings["tokenizer"])
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._begin = self._tokenizer.token_to_id("[CLS]")
        self._end = self._tokenizer.token_to_id("[SEP]")
        self._labels = settings["labels"]
        self._window = settings["window"]
        threading.Thread(target=self._loop, name="runs", daemon=True).start()
        return {"load_seconds": round(time.monotonic() - started, 2)}

    def submit(self, request: Frame) -> None:
        self._pulse.begin()
        with self._wake:
            self._queue.append(request)
            self._wake.notify()

    def cancel(self, request_id: int) -> None:
        with self._wake:
            if any(frame.header["id"] == request_id for frame in self._queue):
                self._cancelled.add(request_id)

    def stalled(self) -> float:
        return self._pulse.stalled()

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._queue:
                    self._wake.wait()
                frame = self._queue.popleft()
                dropped = frame.header["id"] in self._cancelled
                self._cancelled.discard(frame.header["id"])
            try:
                if not dropped:
                    self._answer(frame)
            except Exception as error:  # this text's; the process goes on
                self._emit(frame.header["id"], "error", code="engine_error", message=type(error).__name__)
            finally:
                self._pulse.end()

    def _answer(self, frame: Frame) -> None:
        numpy = self._numpy
        encodings = self._tokenizer.encode_batch(orjson.loads(frame.blob), add_special_tokens=False)
        tagged = self._probabilities(encodings)
        counts: list[int] = []
        places: list[tuple[int, int]] = []
        scores: list[Any] = []
        for encoding, probabilities in zip(encodings, tagged, strict=True):
            before = len(places)
            offsets = encoding.offsets
            for first, last in _words(encoding.word_ids):
                start, end = offsets[first][0], offsets[last - 1][1]
                if start < end:
                    places.append((start, end))
                    scores.append(probabilities[first:last].mean(axis=0))
            counts.append(len(places) - before)
        flat = numpy.array(places, dtype="<i4").tobytes()
        blob = flat + (numpy.array(scores, dtype="<f4").tobytes() if scores else b"")
        self._emit(frame.header["id"], "done", blob=blob, words=counts)

    def _probabilities(self, encodings: Sequence[Any]) -> list[Any]:
        """Of every piece of every text, the probability of each label."""
        numpy = self._numpy
        ids = [encoding.ids for encoding in encodings]
        results = [numpy.zeros((len(row), self._labels), dtype="<f4") for row in ids]
        windows = [(row, *window) for row, pieces in enumerate(ids) for window in cut(len(pieces), self._window)]
        windows.sort(key=lambda window: window[1] - window[2])
        for at in range(0, len(windows), _BATCH):
            batch = windows[at : at + _BATCH]
            output = self._run([ids[row][start:end] for row, start, end, _, _ in batch])
            for (row, start, _, left, right), found in zip(batch, output, strict=True):
                results[row][left:right] = found[left - start : right - start]
            self._pulse.beat()
        return results

    def _run(self, rows: Sequence[Sequence[int]]) -> Any:
        numpy = self._numpy
        longest = max(map(len, rows)) + 2
        ids = numpy.zeros((len(rows), longest), dtype=numpy.int64)
        mask = numpy.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row) + 2] = [self._begin, *row, self._end]
            mask[place, : len(row) + 2] = 1
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        logits = self._session.run(None, {name: feeds[name] for name in feeds if name in self._inputs})[0]
        power = numpy.exp(logits - logits.max(axis=-1, keepdims=True))
        power /= power.sum(axis=-1, keepdims=True)
        # B and I of a label are one thing here: where a name begins is seen by what stands between.
        return (power[:, 1:-1, 1::2] + power[:, 1:-1, 2::2])[:, :, : self._labels]


def cut(count: int, window: int, overlap: int = OVERLAP) -> Iterator[tuple[int, int, int, int]]:
    """Windows over `count` pieces: start, end, and the part of each that is taken from it, which tile the whole.

    A piece that two windows see is taken from the one in which it stands further from the edge.
    """
    start, taken = 0, 0
    while taken < count:
        end = min(start + window, count)
        until = count if end == count else end - overlap // 2
        yield start, end, taken, until
        taken = until
        start = end - overlap


def _words(word_ids: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """Runs of pieces of one word."""
    first = 0
    for place in range(1, len(word_ids) + 1):
        if place == len(word_ids) or word_ids[place] != word_ids[first] or word_ids[first] is None:
            yield first, place
            first = place
