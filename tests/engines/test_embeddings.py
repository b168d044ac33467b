from __future__ import annotations

import math
from array import array
from dataclasses import replace

import pytest
from pydantic import SecretStr

from athanor.engines import Upstream
from athanor.engines.adapters.openai import OpenAIEmbedder
from athanor.errors import EngineError, EngineUnavailableError
from athanor.types import EmbedderProfile
from tests.upstreams.openai import FakeOpenAI
from tests.upstreams.raw import RawServer, whole
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio


@pytest.fixture
async def fake():
    async with FakeOpenAI() as fake:
        yield fake


EMBEDDER = EmbedderProfile(id="far", dimension=3, max_tokens=10, licence="?", query_prefix="q: ")


async def test_embeddings_are_ordered_and_of_unit_length(fake):
    embedder = OpenAIEmbedder(EMBEDDER, Upstream(fake.url, api_key=SecretStr(KEY)), model="e")
    result = await embedder.embed(["a", "bb"] * 100, kind="document")
    assert (result.count, result.dimension, result.tokens) == (200, 3, 14)
    first, second = (array("f", row) for row in result.rows()[:2])
    assert math.isclose(sum(v * v for v in first), 1, abs_tol=1e-6)
    assert second[2] > first[2]
    await embedder.embed(["a", "x" * 100], kind="query")
    assert fake.bodies[-1]["input"] == ["q: a", "q: " + "x" * 37]
    with pytest.raises(EngineError, match="vectors of"):
        await embedder.embed(["short"], kind="document")
    await embedder.aclose()
    with pytest.raises(EngineUnavailableError):
        await embedder.embed(["a"], kind="document")


async def test_a_dimension_is_learnt_from_the_first_answer(fake):
    upstream = Upstream(fake.url, api_key=SecretStr(KEY))
    embedder = OpenAIEmbedder(replace(EMBEDDER, dimension=0), upstream, model="e")
    assert (await embedder.embed(["a"], kind="document")).dimension == 3
    assert embedder.profile.dimension == 3
    with pytest.raises(EngineError, match="not 1 of 3"):
        await embedder.embed(["short"], kind="document")
    await embedder.aclose()


@pytest.mark.parametrize(
    "body", [{"data": None}, {"data": [{"index": 0, "embedding": [0, 0, 0]}]}, [], {"data": [{"embedding": [1]}]}]
)
async def test_embeddings_that_are_none(body):
    async with RawServer([whole(body)]) as server:
        embedder = OpenAIEmbedder(EMBEDDER, Upstream(server.url), model="e")
        with pytest.raises(EngineError):
            await embedder.embed(["a"], kind="document")
        await embedder.aclose()


async def test_a_server_without_base64_is_asked_for_numbers():
    refused = whole({"error": {"message": "encoding_format: only 'float' is supported"}}, status=400)
    good = whole({"data": [{"index": 0, "embedding": [0.0, 0.6, 0.8]}]})
    async with RawServer([refused, good]) as server:
        embedder = OpenAIEmbedder(EMBEDDER, Upstream(server.url), model="e")
        for _ in range(2):
            result = await embedder.embed(["some words"], kind="document")
        assert [round(value, 6) for value in array("f", result.data)] == [0.0, 0.6, 0.8]
        assert [call.body["encoding_format"] for call in server.calls] == ["base64", "float", "float"]
        assert result.tokens > 0
        await embedder.aclose()


async def test_long_texts_go_in_smaller_batches(fake):
    profile = replace(EMBEDDER, max_tokens=100_000, query_prefix="")
    embedder = OpenAIEmbedder(profile, Upstream(fake.url, api_key=SecretStr(KEY)), model="e")
    result = await embedder.embed(["x" * 250_000] * 5 + ["y"], kind="query")
    assert result.count == 6
    assert [len(body["input"]) for body in fake.bodies] == [2, 2, 2]
    assert (await embedder.embed([], kind="query")).count == 0
    await embedder.aclose()
