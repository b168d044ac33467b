"""The conformance suite over real models. One engine per backend for the whole module: loading takes seconds."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from importlib.util import find_spec

import pytest

from athanor.engines import LocalSettings
from athanor.engines.adapters.llamacpp import LlamaCppEngine
from athanor.engines.adapters.openvino import OpenVINOEngine
from athanor.errors import EngineCrashedError, ModelError
from athanor.models import ResolvedModel, resolve_chat
from athanor.testing.engines import EngineConformance, chat, collect, context
from athanor.types import EngineStatus, FinishReason

pytestmark = [pytest.mark.anyio, pytest.mark.weights]

SETTINGS = LocalSettings(threads=2, parallel=8)


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ResolvedModel:
    try:
        model = resolve_chat("smollm2-135m", None, tmp_path_factory.mktemp("home"))
    except ModelError as error:
        pytest.skip(str(error))
    # A small context, so that a prompt over it is read in no time.
    return replace(model, profile=replace(model.profile, context=512))


@pytest.fixture(scope="module")
async def openvino(anyio_backend, model):
    if find_spec("openvino_genai") is None:
        pytest.skip("openvino-genai is not installed")
    engine = OpenVINOEngine(model.profile, model, SETTINGS)
    await engine.start()
    yield engine
    await engine.aclose()


@pytest.fixture(scope="module")
async def llamacpp(anyio_backend, model):
    if find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    engine = LlamaCppEngine(model.profile, model, SETTINGS)
    await engine.start()
    yield engine
    await engine.aclose()


class Native(EngineConformance):
    kind = LlamaCppEngine
    streams = 3

    @pytest.fixture(autouse=True)
    def _model(self, model):
        self.model = model

    def make_engine(self):
        return self.kind(self.model.profile, self.model, SETTINGS)

    async def test_a_shared_prefix_is_read_once(self, engine):
        prefix = "The following are notes about lighthouses. " * 20
        first = await collect(engine, chat(f"{prefix}Who built them?", max_tokens=2))
        second = await collect(engine, chat(f"{prefix}Who kept them?", max_tokens=2))
        assert second.usage.cached_tokens >= first.usage.cached_tokens
        assert second.usage.seconds <= max(2 * first.usage.seconds, 0.5)

    async def test_a_request_joins_while_another_runs(self, engine):
        long = asyncio.create_task(collect(engine, chat(self.long_prompt, max_tokens=70)))
        await asyncio.sleep(0.1)
        short = await collect(engine, chat("Say hello.", max_tokens=2))
        assert short.finished
        assert not long.done()
        assert (await long).finished

    async def test_the_context_ends_an_answer(self, engine):
        words = "word " * (engine.profile.context - 60)
        answer = await collect(engine, chat(f"{words} Go on.", max_tokens=500))
        assert answer.usage.prompt_tokens + answer.usage.completion_tokens <= engine.profile.context
        if answer.finished.reason is not FinishReason.LENGTH:
            assert answer.usage.completion_tokens < 60

    async def test_killed_in_the_middle_of_a_stream(self, engine):
        stream = engine.run(chat(self.long_prompt, max_tokens=400), context())
        await anext(stream)
        os.kill(engine.state().pid, signal.SIGKILL)
        with pytest.raises(EngineCrashedError, match="SIGKILL"):
            async for _ in stream:
                pass
        async with asyncio.timeout(60):
            while engine.state().status is EngineStatus.BACKING_OFF:
                await asyncio.sleep(0.05)
        assert (await collect(engine, chat("Hello.", max_tokens=3))).finished


class TestLlamaCpp(Native):
    @pytest.fixture
    def engine(self, llamacpp):
        return llamacpp

    async def test_cached_tokens_are_counted(self, engine):
        request = chat("Tell me about the cache of prompts.", max_tokens=2)
        await collect(engine, request)
        assert (await collect(engine, request)).usage.cached_tokens > 10


class TestOpenVINO(Native):
    kind = OpenVINOEngine

    @pytest.fixture
    def engine(self, openvino):
        return openvino


@pytest.mark.parametrize("kind", [LlamaCppEngine, OpenVINOEngine])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"GGUF", "ends in the middle"),
        (b"PK\x03\x04 a zip", "does not begin with GGUF"),
        (b"GGUF" + bytes(range(200)), "version"),
        (None, "no such file"),
    ],
    ids=["short", "other", "garbage", "missing"],
)
async def test_a_bad_file_fails_clearly_and_once(kind, content, words, model, tmp_path):
    path = tmp_path / "bad.gguf"
    if content is not None:
        path.write_bytes(content)
    engine = kind(model.profile, replace(model, path=path))
    with pytest.raises(ModelError, match=words):
        await collect(engine, chat("x"), seconds=20)
    assert engine.state().status is EngineStatus.FAILED
    assert engine.state().restarts == 0
    await engine.aclose()


async def test_a_truncated_file_fails_clearly(model, tmp_path):
    path = tmp_path / "half.gguf"
    path.write_bytes(model.path.read_bytes()[:3_000_000])
    engine = LlamaCppEngine(model.profile, replace(model, path=path))
    with pytest.raises(ModelError, match="corrupted or incomplete"):
        await collect(engine, chat("x"), seconds=20)
    await engine.aclose()
