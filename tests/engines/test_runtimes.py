"""OpenVINO and ONNX Runtime are one embedder, or OpenVINO is not used."""

from __future__ import annotations

import random
from pathlib import Path

import numpy
import pytest

from athanor.engines import runtimes
from athanor.engines.runtimes import AGREEMENT, OnnxRuntimeModel, OpenVINOModel, load_encoder
from athanor.errors import ModelError
from athanor.models import resolve_embedder

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module", params=["minilm-l6-v2-int8", "bge-small-en-v1.5-int8"])
def settings(request):
    pytest.importorskip("openvino")
    try:
        found = resolve_embedder(request.param)
    except ModelError as error:
        pytest.skip(str(error))
    return {
        "model": str(found.model),
        "tokenizer": str(found.tokenizer),
        "max_tokens": found.profile.max_tokens,
        "pooling": found.pooling,
        "width": found.profile.dimension,
    }


def texts():
    chance = random.Random(3)
    words = ("price", "of", "contract", "rises", "by", "3", "%", "Zürich's", "(2024)", "decides,", "東京", "café", "🌍")
    return ["", "x", *(" ".join(chance.choices(words, k=size)) for size in (1, 4, 16, 64, 200, 900))]


def test_openvino_is_taken_only_where_its_vectors_agree(settings):
    reference, chosen = (
        OnnxRuntimeModel(numpy, settings, 2, spin=False),
        load_encoder(numpy, settings, 2, spin=False, runtime="auto"),
    )
    encodings = reference.tokenizer.encode_batch(texts())
    alone = numpy.vstack([reference.run([encoding]) for encoding in encodings])
    found = numpy.vstack([chosen.run([encoding]) for encoding in encodings])
    assert (alone * found).sum(axis=1).min() >= AGREEMENT
    # The second quantises activations, which the two round in different ways.
    assert chosen.runtime == ("openvino" if "minilm" in settings["model"] else "onnxruntime")


def test_vectors_do_not_depend_on_the_company(settings):
    model = OpenVINOModel(numpy, settings, 2)
    encodings = model.tokenizer.encode_batch(texts())
    alone = numpy.vstack([model.run([encoding]) for encoding in encodings])
    assert numpy.allclose(alone, model.run(encodings), atol=1e-6)


def test_a_runtime_with_other_vectors_is_refused(settings, monkeypatch):
    class Different(OpenVINOModel):
        def run(self, encodings):
            return super().run(encodings)[:, ::-1]

    monkeypatch.setattr(runtimes, "OpenVINOModel", Different)
    assert load_encoder(numpy, settings, 1, spin=False, runtime="auto").runtime == "onnxruntime"
    with pytest.raises(ModelError, match=r"differ|quantises"):
        load_encoder(numpy, settings, 1, spin=False, runtime="openvino")


def test_without_openvino_onnx_runtime_does_it(settings, monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    assert load_encoder(numpy, settings, 1, spin=False, runtime="auto").runtime == "onnxruntime"


def test_a_file_that_quantises_as_it_runs_is_told_by_its_operations(settings):
    assert runtimes.quantises(Path(settings["model"])) == ("minilm" not in settings["model"])
