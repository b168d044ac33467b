from __future__ import annotations

import orjson
import pytest

from athanor.config import ModelSettings, SecretReference, TimeoutSettings
from athanor.engines.build import backend_for, build_embedder, build_engine
from athanor.errors import ConfigError
from athanor.models import resolve_chat
from athanor.testing.engines import collect
from tests.engines.asking import ask
from tests.upstreams.openai import FakeAzure, FakeOpenAI
from tests.upstreams.scenes import KEY

pytestmark = pytest.mark.anyio


def build(tmp_path, name="m", **fields):
    settings = ModelSettings(**fields)
    return build_engine(resolve_chat(name, settings, tmp_path), settings, home=tmp_path)


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("FAR_KEY", KEY)
    return SecretReference(env="FAR_KEY")


@pytest.mark.parametrize(
    ("url", "backend"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("http://127.0.0.1:11434/v1", "openai"),
        ("https://api.anthropic.com", "anthropic"),
        ("https://generativelanguage.googleapis.com", "gemini"),
        ("https://ours.openai.azure.com", "azure"),
        ("https://ours.cognitiveservices.azure.com", "azure"),
        ("https://ours.services.ai.azure.com/models", "azure"),
        ("https://openai.azure.com.evil.example/v1", "openai"),
        ("https://notapi.anthropic.com.example/v1", "openai"),
    ],
)
def test_the_host_chooses(tmp_path, url, backend):
    assert backend_for(url) == backend
    engine = build(tmp_path, source=url)
    assert engine.state().backend == backend


@pytest.mark.parametrize("backend", ["openai", "responses", "azure", "anthropic", "gemini"])
def test_a_backend_that_is_set_wins_and_says_what_it_lacks(tmp_path, backend):
    url = "https://proxy.example/openai/v1"
    engine = build(tmp_path, source=url, backend=backend)
    assert engine.state().backend == backend
    assert "top_k" not in build(tmp_path, source=url, backend=backend, lacks=()).profile.lacks
    if backend == "responses":
        assert {"seed", "stop"} <= engine.profile.lacks


def test_a_file_is_no_url_and_a_url_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="not served"):
        build(tmp_path, source="https://far.example/v1", backend="llamacpp")
    file = tmp_path / "script.json"
    file.write_bytes(b"{}")
    settings = ModelSettings(source=str(file), backend="azure")
    scripted = ModelSettings(source=str(file), backend="scripted")
    with pytest.raises(ConfigError, match="needs a URL"):
        build_engine(resolve_chat("m", scripted, tmp_path), settings, home=tmp_path)


async def test_settings_reach_the_endpoint(tmp_path, key):
    async with FakeOpenAI() as fake:
        engine = build(
            tmp_path,
            "ours",
            source=fake.url,
            upstream="theirs",
            api_key=key,
            headers={"x-team": "blue"},
            timeouts=TimeoutSettings(total_s=5, first_token_s=3, between_tokens_s=2, connect_s=1),
        )
        assert (await collect(engine, ask("say Hello."))).text == "Hello."
        assert (fake.bodies[0]["model"], fake.headers[0]["x-team"]) == ("theirs", "blue")
        timeouts = engine._upstream.timeouts
        assert (timeouts.connect, timeouts.first_token, timeouts.between_tokens, timeouts.total) == (1, 3, 2, 5)
        assert KEY not in repr(engine) + repr(vars(engine)) + repr(vars(engine._upstream)["shown"])
        await engine.aclose()


async def test_a_command_gives_the_token(tmp_path):
    async with FakeAzure() as fake:
        file = tmp_path / "token.json"
        file.write_bytes(orjson.dumps({"accessToken": fake.token, "expires_on": 4_000_000_000}))
        engine = build(tmp_path, "gpt-ours", source=fake.url, backend="azure", token_command=("cat", str(file)))
        for _ in range(2):
            assert (await collect(engine, ask("say Hello."))).text == "Hello."
            file.unlink(missing_ok=True)  # the second request has the first one's token
        assert fake.headers[1]["authorization"] == f"Bearer {fake.token}"
        await engine.aclose()


def test_a_key_and_a_command_are_one_too_many(tmp_path, key):
    with pytest.raises(ConfigError, match="not both"):
        build(tmp_path, source="https://far.example/v1", api_key=key, token_command=("true",))
    with pytest.raises(ConfigError, match="empty"):
        build(tmp_path, source="https://far.example/v1", token_command=())


async def test_an_embedding_model_of_the_settings(key):
    async with FakeOpenAI() as fake:
        settings = ModelSettings(source=fake.url, upstream="text-embedding-3-small", api_key=key, embeddings=True)
        embedder = build_embedder("vectors", settings)
        assert (embedder.profile.dimension, embedder.profile.max_tokens) == (0, 8191)
        assert (await embedder.embed(["a", "b"], kind="document")).dimension == 3
        assert embedder.profile.dimension == 3
        assert fake.bodies[0]["model"] == "text-embedding-3-small"
        await embedder.aclose()


async def test_an_embedding_deployment_of_azure(key):
    async with FakeAzure() as fake:
        settings = ModelSettings(
            source=fake.url, upstream="gpt-ours", api_key=key, backend="azure", api_version="2024-10-21"
        )
        embedder = build_embedder("vectors", settings)
        await embedder.embed(["a"], kind="query")
        assert fake.calls[0].path == "/openai/deployments/gpt-ours/embeddings?api-version=2024-10-21"
        await embedder.aclose()


@pytest.mark.parametrize("source", ["/models/m.gguf", "https://api.anthropic.com"])
def test_what_has_no_embeddings(source):
    with pytest.raises(ConfigError):
        build_embedder("vectors", ModelSettings(source=source))
