from __future__ import annotations

import asyncio
import math
from array import array
from dataclasses import replace

import pytest

from athanor.engines import LocalSettings
from athanor.engines.adapters.onnx import OnnxEmbedder, OnnxReranker, onnx_process
from athanor.errors import ModelError, UnsupportedError
from athanor.models import resolve_embedder, resolve_reranker
from athanor.types import EngineStatus

pytestmark = [pytest.mark.anyio, pytest.mark.weights]

TEXTS = [
    "The keeper lit the lamp of the lighthouse at dusk.",
    "A cat sleeps on the warm stove.",
    "Grüße aus 東京 🌍",
    "x",
    "The lamp of the lighthouse was lit every evening by its keeper. " * 20,
    "Interest rates rose by a quarter of a point in June.",
]


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def resolved():
    try:
        return resolve_embedder(), resolve_reranker()
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
async def process(request, anyio_backend, resolved):
    pytest.importorskip(request.param)
    process = onnx_process(*resolved, LocalSettings(threads=2, encoder=request.param))
    await process.start()
    yield process
    await process.aclose()


@pytest.fixture
def embedder(process, resolved):
    return OnnxEmbedder(process, resolved[0].profile)


@pytest.fixture
def reranker(process):
    return OnnxReranker(process, resolve_reranker().profile)


def vectors(embeddings):
    return [array("f", row) for row in embeddings.rows()]


def cosine(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


async def test_vectors_are_of_unit_length_and_in_order(embedder):
    result = await embedder.embed(TEXTS, kind="document")
    assert (result.count, result.dimension) == (len(TEXTS), embedder.profile.dimension)
    assert result.tokens > len(TEXTS)
    found = vectors(result)
    assert all(math.isclose(cosine(v, v), 1, abs_tol=1e-5) for v in found)
    alone = [vectors(await embedder.embed([text], kind="document"))[0] for text in TEXTS]
    assert all(cosine(a, b) > 0.9999 for a, b in zip(found, alone, strict=True))
    backwards = vectors(await embedder.embed(TEXTS[::-1], kind="document"))[::-1]
    assert all(cosine(a, b) > 0.9999 for a, b in zip(found, backwards, strict=True))


async def test_what_belongs_together_is_near(embedder):
    found = vectors(await embedder.embed(TEXTS, kind="document"))
    (query,) = vectors(await embedder.embed(["Who lights the lighthouse?"], kind="query"))
    near = [cosine(query, v) for v in found]
    assert max(near[0], near[4]) == max(near)
    assert near[0] > near[5] + 0.2


async def test_long_texts_are_truncated(embedder):
    limit = embedder.profile.max_tokens
    words = ["sea"] * (3 * limit)
    result = await embedder.embed([" ".join(words), " ".join([*words, "tail"])], kind="document")
    first, second = vectors(result)
    assert result.tokens == 2 * limit
    assert cosine(first, second) > 0.9999


async def test_the_query_prefix_is_used(process, resolved):
    profile = resolved[0].profile
    prefixed = OnnxEmbedder(process, replace(profile, query_prefix="query: ", document_prefix=""))
    plain = OnnxEmbedder(process, replace(profile, query_prefix="", document_prefix=""))
    (a,) = vectors(await prefixed.embed(["lamp"], kind="query"))
    (b,) = vectors(await plain.embed(["query: lamp"], kind="query"))
    (c,) = vectors(await prefixed.embed(["lamp"], kind="document"))
    assert cosine(a, b) > 0.9999
    assert cosine(a, c) < 0.9999


async def test_nothing_is_nothing(embedder, reranker):
    assert (await embedder.embed([], kind="document")).data == b""
    assert await reranker.score("x", []) == []
    assert (await embedder.embed([""], kind="document")).count == 1


async def test_the_reranker_prefers_the_answer(reranker):
    passages = ["Cats are animals.", "Berlin has 3.5 million inhabitants.", "Berlin is in Germany."]
    scores = await reranker.score("How many people live in Berlin?", passages)
    assert max(scores) == scores[1]
    again = await reranker.score("How many people live in Berlin?", passages[::-1])
    assert all(math.isclose(a, b, abs_tol=0.5) for a, b in zip(scores, again[::-1], strict=True))


async def test_a_query_goes_before_documents(embedder):
    documents = asyncio.create_task(embedder.embed(TEXTS * 10, kind="document"))
    await asyncio.sleep(0.05)
    await embedder.embed(["Who lights the lamp?"], kind="query")
    assert not documents.done()
    assert (await documents).count == 60


async def test_cancelled_work_is_dropped(embedder):
    work = [asyncio.create_task(embedder.embed(TEXTS * 50, kind="document")) for _ in range(5)]
    await asyncio.sleep(0.1)
    for task in work:
        task.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    async with asyncio.timeout(10):
        await embedder.embed(["x"], kind="document")


async def test_without_a_reranker_it_says_so(resolved):
    process = onnx_process(resolved[0], None, LocalSettings(threads=1))
    with pytest.raises(UnsupportedError, match="no reranker"):
        await OnnxReranker(process, resolve_reranker().profile).score("a", ["b"])
    await process.aclose()


async def test_a_damaged_model_fails_clearly(resolved, tmp_path):
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"not a model")
    process = onnx_process(replace(resolved[0], model=broken), None)
    with pytest.raises(ModelError, match="cannot be loaded by onnx"):
        await process.ready()
    assert process.state().status is EngineStatus.FAILED
    await process.aclose()
