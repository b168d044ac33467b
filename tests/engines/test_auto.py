from __future__ import annotations

import asyncio
from dataclasses import replace

import orjson
import pytest

from athanor.engines import AutoEngine, auto
from athanor.engines.adapters.scripted import Script, ScriptedProcessEngine
from athanor.errors import EngineUnavailableError, MissingExtraError, ModelError
from athanor.models import ResolvedModel
from athanor.testing.engines import chat, collect
from athanor.types import AnswerMode, EngineStatus, Profile

pytestmark = pytest.mark.anyio

PROFILE = Profile(name="m", context=100, licence="?", grounded=AnswerMode.EXTRACTIVE)
MODEL = ResolvedModel(profile=PROFILE, sha256="ab" * 32)


class Backends:
    """Stands in for the plug-in door: names to scripts, and what was tried."""

    def __init__(self, **scripts: Script | Exception) -> None:
        self.scripts = scripts
        self.tried: list[str] = []

    def load(self, port, name):
        def make(profile, model, settings):
            self.tried.append(name)
            script = self.scripts[name]
            if isinstance(script, Exception):
                raise script
            engine = ScriptedProcessEngine(script, profile=profile)
            engine.process.spec = replace(engine.process.spec, backend=name)
            engine.process._state = replace(engine.process._state, backend=name)
            return engine

        return make


def make(monkeypatch, backends, memory=None):
    monkeypatch.setattr(auto, "load", backends.load)
    return AutoEngine(MODEL, memory=memory)


async def test_the_first_that_loads_is_taken(monkeypatch):
    backends = Backends(openvino=Script(), llamacpp=Script())
    engine = make(monkeypatch, backends)
    assert (await collect(engine, chat("hello"))).text == "hello"
    assert engine.state().backend == "openvino"
    assert not engine.state().detail
    assert backends.tried == ["openvino"]
    await engine.aclose()


async def test_it_falls_through_and_remembers(monkeypatch, tmp_path):
    memory = tmp_path / "models" / "backends.json"
    backends = Backends(openvino=Script(load_error="Q5_0 tensors"), llamacpp=Script())
    for tried in (["openvino", "llamacpp"], ["openvino", "llamacpp", "llamacpp"]):
        engine = make(monkeypatch, backends, memory)
        await collect(engine, chat("hello"))
        state = engine.state()
        assert (state.status, state.backend) == (EngineStatus.READY, "llamacpp")
        assert "Q5_0 tensors" in state.detail
        assert backends.tried == tried
        await engine.aclose()
    known = orjson.loads(memory.read_bytes())
    assert "Q5_0" in known[MODEL.sha256]["openvino"]["reason"]


async def test_another_version_of_the_backend_is_tried_again(monkeypatch, tmp_path):
    memory = tmp_path / "backends.json"
    backends = Backends(openvino=Script(load_error="no"), llamacpp=Script())
    engine = make(monkeypatch, backends, memory)
    await engine.ready()
    await engine.aclose()
    monkeypatch.setattr(auto, "_version", lambda name: "newer")
    engine = make(monkeypatch, backends, memory)
    await engine.ready()
    await engine.aclose()
    assert backends.tried == ["openvino", "llamacpp"] * 2


async def test_a_missing_extra_is_passed_over_and_not_remembered(monkeypatch, tmp_path):
    memory = tmp_path / "backends.json"
    backends = Backends(openvino=MissingExtraError("openvino-genai", extra="openvino"), llamacpp=Script())
    engine = make(monkeypatch, backends, memory)
    await collect(engine, chat("hello"))
    assert engine.state().backend == "llamacpp"
    assert not memory.exists()
    await engine.aclose()


async def test_none_fits(monkeypatch, tmp_path):
    backends = Backends(openvino=Script(load_error="too old"), llamacpp=Script(load_error="too new"))
    engine = make(monkeypatch, backends, tmp_path / "backends.json")
    with pytest.raises(ModelError, match=r"openvino: .*too old.*llamacpp: .*too new"):
        await collect(engine, chat("hello"))
    assert engine.state().status is EngineStatus.FAILED
    await engine.start()  # all are remembered as failing: they get another chance
    with pytest.raises(ModelError):
        await engine.ready()
    assert backends.tried == ["openvino", "llamacpp"] * 2
    await engine.aclose()


@pytest.mark.parametrize("content", ["", "[]", "{nonsense", '{"x": 3}'])
async def test_a_damaged_memory_is_no_memory(monkeypatch, tmp_path, content):
    memory = tmp_path / "backends.json"
    memory.write_text(content)
    engine = make(monkeypatch, Backends(openvino=Script(), llamacpp=Script()), memory)
    await engine.ready()
    await engine.aclose()


async def test_a_caller_who_gives_up_does_not_end_the_load(monkeypatch):
    engine = make(monkeypatch, Backends(openvino=Script(load_delay=0.5), llamacpp=Script()))
    await engine.start()
    assert engine.state().status is EngineStatus.LOADING
    task = asyncio.create_task(collect(engine, chat("hello")))
    await asyncio.sleep(0.05)
    task.cancel()
    assert (await collect(engine, chat("hello"))).finished
    await engine.aclose()


async def test_closing_while_it_chooses(monkeypatch):
    engine = make(monkeypatch, Backends(openvino=Script(load_delay=5), llamacpp=Script()))
    await engine.start()
    waiting = asyncio.create_task(collect(engine, chat("hello")))
    await asyncio.sleep(0.2)
    async with asyncio.timeout(5):
        await engine.aclose()
    with pytest.raises(EngineUnavailableError):
        await waiting
    with pytest.raises(EngineUnavailableError):
        await collect(engine, chat("hello"))
