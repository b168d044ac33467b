"""The two runtimes that can run an ONNX file of an encoder: ONNX Runtime, and OpenVINO where it is installed.

Runs in a model's process only. A runtime is an implementation, never another embedder: OpenVINO is taken only after its
vectors of a few probes agreed with those of ONNX Runtime, so that both may write into one knowledge base.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Protocol

from athanor.errors import ModelError
from athanor.plugins import require

log = logging.getLogger(__name__)

AGREEMENT = 0.999
"""Cosine of two vectors of one text below which two runtimes are two embedders."""
_DYNAMIC = b"DynamicQuantizeLinear"
PROBES = (
    "lamp",
    "Revenue in 2024: 1,200 EUR; 33 % more than in the year before.",
    "price rises café decides, the of 3 % court a 東京 contract",
    "Zürich's court (2024) decides when by the too; the price of a contract rises " * 4,
    "The keeper lit the lamp of the lighthouse at dusk, and the ships found their way home. " * 12,
)


class EncoderModel(Protocol):
    """An encoder with its tokenizer."""

    tokenizer: Any
    width: int
    batch: int
    """Texts in one run; a query waits for the run before it."""
    runtime: str

    def run(self, encodings: Sequence[Any]) -> Any:
        """Unit vectors of an embedder, or logits of a reranker: float32, one row per encoding."""
        ...


def load_encoder(
    numpy: Any, settings: Mapping[str, Any], threads: int | None, *, spin: bool, runtime: str = "onnxruntime"
) -> EncoderModel:
    """Load a model. `runtime` is `onnxruntime`, `openvino`, or `auto`: OpenVINO if it is there and agrees.

    Raises:
        ModelError: OpenVINO was asked for, and its vectors are others or the file quantises as it runs.
        MissingExtraError: the library is not installed.
    """
    if runtime == "onnxruntime" or (runtime == "auto" and find_spec("openvino") is None):
        return OnnxRuntimeModel(numpy, settings, threads, spin=spin)
    if quantises(Path(settings["model"])):
        if runtime == "openvino":
            raise ModelError(
                f"The model quantises its activations as it runs ({_DYNAMIC.decode()}), and OpenVINO rounds them "
                "otherwise than ONNX Runtime does.",
                where=settings["model"],
                hint='Set knowledge.runtime = "onnxruntime": vectors of two kinds in one base would not compare.',
            )
        return OnnxRuntimeModel(numpy, settings, threads, spin=spin)
    reference = OnnxRuntimeModel(numpy, settings, threads, spin=spin)
    try:
        model = OpenVINOModel(numpy, settings, threads)
        found = agreement(reference, model)
    except Exception as error:  # a file that it cannot read, an instruction set that it lacks
        if runtime == "openvino":
            raise
        log.warning("OpenVINO cannot run the embedder (%s); ONNX Runtime does.", error)
        return reference
    if found >= AGREEMENT:
        return model
    if runtime == "openvino":
        raise ModelError(
            f"OpenVINO's vectors differ from those of ONNX Runtime (cosine {found:.4f}, needed {AGREEMENT}).",
            where=settings["model"],
            hint='Set knowledge.runtime = "onnxruntime": vectors of two kinds in one base would not compare.',
        )
    log.warning("OpenVINO's vectors differ (cosine %.4f); ONNX Runtime runs the embedder.", found)
    return reference


def quantises(model: Path) -> bool:
    """Whether an ONNX file quantises activations as it runs.

    How far two runtimes differ on such a file depends on the text, so that no few probes can vouch for it. The name of
    an operation stands as it is in the file; one that only mentions it is refused too, which costs speed alone.

    Raises:
        OSError: it cannot be read.
    """
    with model.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return content.find(_DYNAMIC) >= 0


def agreement(one: EncoderModel, other: EncoderModel) -> float:
    """Smallest cosine between the two models' vectors of a probe."""
    first = one.run(one.tokenizer.encode_batch(list(PROBES)))
    second = other.run(other.tokenizer.encode_batch(list(PROBES)))
    return float((first * second).sum(axis=1).min())


def _tokenizer(settings: Mapping[str, Any]) -> Any:
    tokenizer = require("tokenizers", extra="knowledge").Tokenizer.from_file(settings["tokenizer"])
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings["max_tokens"], strategy="longest_first")
    return tokenizer


def _pooled(numpy: Any, output: Any, mask: Any, pooling: str | None) -> Any:
    """Rows of a model's first output: logits without `pooling`, else unit vectors."""
    if pooling is None:
        return output.reshape(len(mask), -1)[:, :1]
    if output.ndim == 3:
        if pooling == "cls":
            output = output[:, 0]
        else:
            weights = mask[:, :, None].astype(output.dtype)
            output = (output * weights).sum(1) / weights.sum(1)
    norms = numpy.linalg.norm(output, axis=1, keepdims=True)
    return output / numpy.maximum(norms, 1e-12)


class OnnxRuntimeModel:
    """One session of ONNX Runtime."""

    runtime = "onnxruntime"

    def __init__(self, numpy: Any, settings: Mapping[str, Any], threads: int | None, *, spin: bool) -> None:
        runtime = require("onnxruntime", extra="knowledge")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        # Threads of ONNX Runtime are its own, not OpenMP's; this is their active wait.
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
        self._numpy = numpy
        self._session = runtime.InferenceSession(settings["model"], options, providers=["CPUExecutionProvider"])
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        self._pooling = settings.get("pooling")
        self.tokenizer = _tokenizer(settings)
        self.width = int(settings["width"])
        # Of similar length. On a CPU larger runs are not faster (design/engines.md), only larger in memory.
        self.batch = 2 if self._pooling is None else 4

    def run(self, encodings: Sequence[Any]) -> Any:
        numpy = self._numpy
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = numpy.zeros((len(encodings), longest), dtype=numpy.int64)
        mask = numpy.zeros_like(ids)
        types = numpy.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            size = len(encoding.ids)
            ids[row, :size] = encoding.ids
            mask[row, :size] = 1
            types[row, :size] = encoding.type_ids
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        output = self._session.run(None, {name: feeds[name] for name in feeds if name in self._inputs})[0]
        return _pooled(numpy, output, mask, self._pooling)


class OpenVINOModel:
    """OpenVINO with one stream for each thread, and one text at a time in each.

    Streams that share nothing waste no time on waiting for each other, and a text alone needs no padding. A batch gains
    nothing (8 texts at a time were level with 1: 31.5 against 31.8 texts/s), and without one a text's vector does not
    depend on what else is embedded.
    """

    runtime = "openvino"

    def __init__(self, numpy: Any, settings: Mapping[str, Any], threads: int | None) -> None:
        openvino = require("openvino", extra="openvino")
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": "f32",  # on a processor with bf16 it would take that, and differ
            "NUM_STREAMS": threads or _processors(),
        }
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        self._numpy = numpy
        compiled = openvino.Core().compile_model(settings["model"], "CPU", options)
        self._inputs = {name for entry in compiled.inputs for name in entry.get_names()}
        streams = int(options["NUM_STREAMS"])
        self._queue = openvino.AsyncInferQueue(compiled, streams)
        self._queue.set_callback(self._take)
        self._pooling = settings.get("pooling")
        self.tokenizer = _tokenizer(settings)
        self.width = int(settings["width"])
        self.batch = 4 * streams

    def run(self, encodings: Sequence[Any]) -> Any:
        numpy = self._numpy
        results = numpy.zeros((len(encodings), self.width), dtype="<f4")
        for row, encoding in enumerate(encodings):
            feeds = {
                "input_ids": numpy.array([encoding.ids], dtype=numpy.int64),
                "attention_mask": numpy.ones((1, len(encoding.ids)), dtype=numpy.int64),
                "token_type_ids": numpy.array([encoding.type_ids], dtype=numpy.int64),
            }
            self._queue.start_async({name: feeds[name] for name in feeds if name in self._inputs}, (results, row))
        self._queue.wait_all()
        return results

    def _take(self, request: Any, place: tuple[Any, int]) -> None:
        results, row = place
        output = request.get_output_tensor(0).data
        mask = self._numpy.ones(output.shape[:2], dtype=self._numpy.int64)
        results[row] = _pooled(self._numpy, output, mask, self._pooling)[0]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
