from __future__ import annotations

import openai
import pytest
from pydantic import SecretStr

from athanor.config import ModelSettings
from athanor.engines import Timeouts
from athanor.engines.adapters import azure, responses
from athanor.engines.formats.azure_urls import azure_url
from athanor.errors import ConfigError, EngineRefusedError, InputError
from athanor.testing.engines import chat, collect
from athanor.types import FinishReason
from tests.engines.asking import PROFILE, ask
from tests.upstreams.openai import FakeAzure
from tests.upstreams.raw import RawServer, stream, whole
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio

HOST = "https://x.openai.azure.com"


@pytest.fixture
async def fake():
    async with FakeAzure() as fake:
        yield fake


def make(url: str, *, key: str | None = KEY, **fields) -> azure.AzureEngine:
    settings = ModelSettings(source=url, upstream="gpt-ours", **fields)
    secret = SecretStr(key) if key else None
    upstream = azure.connect(url, api_key=secret, settings=settings, timeouts=Timeouts())
    return azure.AzureEngine(PROFILE, upstream, model="gpt-ours")


@pytest.mark.parametrize(
    ("url", "version", "expected"),
    [
        (HOST, None, f"{HOST}/openai/v1"),
        (f"{HOST}/", "v1", f"{HOST}/openai/v1"),
        (f"{HOST}/openai/v1/", None, f"{HOST}/openai/v1"),
        (f"{HOST}/openai/v1", "preview", f"{HOST}/openai/v1?api-version=preview"),
        (HOST, "2024-10-21", f"{HOST}/openai/deployments/my%20dep?api-version=2024-10-21"),
        (f"{HOST}/openai", "2024-10-21", f"{HOST}/openai/deployments/my%20dep?api-version=2024-10-21"),
        (f"{HOST}/openai/deployments/a", None, f"{HOST}/openai/deployments/a?api-version=2024-10-21"),
        (
            f"{HOST}/openai/deployments/a/chat/completions?api-version=2025-01-01-preview",
            None,
            f"{HOST}/openai/deployments/a?api-version=2025-01-01-preview",
        ),
        (
            "https://x.services.ai.azure.com/models",
            None,
            "https://x.services.ai.azure.com/models?api-version=2024-05-01-preview",
        ),
    ],
)
def test_forms_of_the_url(url, version, expected):
    assert azure_url(url, deployment="my dep", version=version) == expected


@pytest.mark.parametrize("path", ["/v2", "/openai/assistants", "/openai/v1/responses"])
def test_another_form_is_refused(path):
    with pytest.raises(ConfigError):
        azure_url(HOST + path, deployment="d", version=None)


def test_a_deployment_must_be_named():
    with pytest.raises(ConfigError, match="deployment"):
        azure_url(HOST, deployment=None, version="2024-10-21")


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("path", "version", "sent"),
    [
        ("", None, "/openai/v1/chat/completions"),
        ("", "2024-10-21", "/openai/deployments/gpt-ours/chat/completions?api-version=2024-10-21"),
        ("/openai/v1", None, "/openai/v1/chat/completions"),
    ],
)
async def test_both_forms_answer(fake, path, version, sent, streamed):
    engine = make(fake.url + path, api_version=version)
    answer = await collect(engine, ask("say Hello there.", streamed=streamed))
    assert answer.text == "Hello there."
    assert (fake.calls[0].path, fake.headers[0]["api-key"]) == (sent, KEY)
    assert "authorization" not in fake.headers[0]
    await engine.aclose()


async def test_a_wrong_key_or_deployment_may_fall_back(fake):
    for engine in (make(fake.url, key="wrong"), make(f"{fake.url}/openai/deployments/other")):
        with pytest.raises(EngineRefusedError) as caught:
            await collect(engine, ask("say Hello."))
        assert "wrong" not in caught.value.message
        await engine.aclose()


async def test_a_prompt_that_azure_filters_is_the_callers_mistake():
    error = {"message": "The response was filtered.", "code": "content_filter", "innererror": {"code": "Responsible"}}
    async with RawServer([whole({"error": error}, status=400)], prefix="") as server:
        engine = make(server.url)
        with pytest.raises(InputError, match="was filtered"):
            await collect(engine, ask("x"))
        await engine.aclose()


async def test_chunks_about_filters_are_no_text():
    results = {"hate": {"filtered": False, "severity": "safe"}}
    chunks = (
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": results}]},
        {"choices": [{"delta": {"role": "assistant", "content": "Hi."}, "content_filter_results": results}]},
        {"choices": [{"delta": {}, "finish_reason": "content_filter", "content_filter_results": {}}]},
    )
    async with RawServer([stream(*chunks)], prefix="") as server:
        engine = make(server.url)
        answer = await collect(engine, ask("x"))
        assert (answer.text, answer.finished.reason) == ("Hi.", FinishReason.FILTERED)
        await engine.aclose()


async def test_older_versions_learn_the_newer_word(fake):
    fake.refuses = {"max_tokens"}
    engine = make(fake.url, api_version="2024-10-21")
    await collect(engine, chat("say Hello.", max_tokens=5))
    assert fake.bodies[-1]["max_completion_tokens"] == 5
    await engine.aclose()


async def test_responses_at_azure():
    host = "https://x.openai.azure.com"
    settings = ModelSettings(source=host, upstream="d", api_version="2024-10-21")
    upstream = responses.connect(host, api_key=SecretStr("k"), settings=settings, timeouts=Timeouts())
    assert upstream.shown == f"{host}/openai/v1"
    assert upstream._headers["api-key"] == "k"


async def test_the_vendors_client_against_the_fake(fake):
    client = openai.AsyncAzureOpenAI(
        api_key=KEY, azure_endpoint=fake.url, api_version="2024-10-21", azure_deployment="gpt-ours", max_retries=0
    )
    async with client:
        user = [{"role": "user", "content": "say Hello."}]
        answer = await client.chat.completions.create(model="gpt-ours", messages=user)
        assert answer.choices[0].message.content == "Hello."
