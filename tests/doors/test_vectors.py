from __future__ import annotations

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI

from tests.doors.conftest import House

pytestmark = pytest.mark.anyio


@pytest.fixture
def sdk(house: House) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.key, max_retries=0)


async def test_embeddings_in_both_encodings_are_on_the_books(sdk: AsyncOpenAI, house: House) -> None:
    texts = ["one two", "three"]
    floats = await sdk.embeddings.create(model="default", input=texts, encoding_format="float")
    packed = await sdk.embeddings.create(model="default", input=texts)  # the SDK asks for base64
    assert [row.index for row in floats.data] == [0, 1]
    assert [row.embedding for row in packed.data] == [row.embedding for row in floats.data]
    assert sum(x * x for x in floats.data[0].embedding) == pytest.approx(1)
    row = house.app.store.requests.list(limit=1)[0]
    assert (row.door, row.model, row.status, row.usage.prompt_tokens) == ("embeddings", "default", "ok", 3)
    names = {span.name for span in house.app.store.traces.get(row.trace)}
    assert {"request", "embed"} <= names


async def test_dimensions_are_the_models_own_or_refused(sdk: AsyncOpenAI) -> None:
    reply = await sdk.embeddings.create(model="default", input="x", dimensions=256)
    assert len(reply.data[0].embedding) == 256
    with pytest.raises(openai.BadRequestError, match="256 dimensions only"):
        await sdk.embeddings.create(model="default", input="x", dimensions=8)
    with pytest.raises(openai.NotFoundError, match="nobody"):
        await sdk.embeddings.create(model="nobody", input="x")


async def test_rerank(house: House) -> None:
    body = {
        "model": "default",
        "query": "green ideas",
        "documents": ["red", {"text": "green ideas sleep"}, "green"],
        "top_n": 2,
        "return_documents": True,
    }
    headers = {"authorization": f"Bearer {house.key}"}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{house.url}/v1/rerank", json=body, headers=headers) as reply:
            found = await reply.json()
            assert reply.headers["x-athanor-trace"] == found["id"]
        assert [result["index"] for result in found["results"]] == [1, 2]
        assert 0 < found["results"][1]["relevance_score"] < found["results"][0]["relevance_score"] < 1
        assert found["results"][0]["document"] == {"text": "green ideas sleep"}
        assert house.app.store.requests.get(found["id"]).door == "rerank"
        async with http.post(
            f"{house.url}/v1/rerank", json={**body, "documents": [{"title": "x"}]}, headers=headers
        ) as reply:
            assert reply.status == 400
            assert (await reply.json())["error"]["param"] == "documents.0"
