from __future__ import annotations

import pytest

from athanor.engines.adapters.scripted import Rule, Script, ScriptedEngine, ScriptedProcessEngine
from athanor.errors import EngineError
from athanor.testing.engines import EngineConformance, chat, collect

pytestmark = pytest.mark.anyio

STORY = "Once upon a time there was a lighthouse, and a storm came over the sea 🌊 and went. " * 20
SCRIPT = Script(rules=(Rule(pattern="story|stories", answer=STORY, delay=0.001),), delay=0.001)
SLOW = Script(rules=SCRIPT.rules, load_delay=0.5)


class TestScriptedEngine(EngineConformance):
    @pytest.fixture
    async def engine(self):
        engine = ScriptedEngine(SCRIPT)
        await engine.start()
        yield engine
        assert engine.active == 0
        await engine.aclose()

    def make_engine(self):
        return ScriptedEngine(SLOW)


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def engine(anyio_backend):
    engine = ScriptedProcessEngine(SCRIPT)
    await engine.start()
    yield engine
    await engine.aclose()


class TestScriptedProcessEngine(EngineConformance):
    streams = 8

    @pytest.fixture
    def engine(self, engine):
        return engine

    def make_engine(self):
        return ScriptedProcessEngine(SLOW)


async def test_echo_is_the_default():
    engine = ScriptedEngine()
    assert (await collect(engine, chat("Grüße 🌍"))).text == "Grüße 🌍"
    await engine.aclose()


async def test_a_rule_may_fail():
    engine = ScriptedEngine(Script(rules=(Rule(pattern="no", answer="well", then="error"),)))
    with pytest.raises(EngineError, match="as its rule says"):
        await collect(engine, chat("no"))
    await engine.aclose()


async def test_from_json():
    engine = ScriptedEngine.from_script({"rules": [{"pattern": "a", "answer": "b"}]})
    assert (await collect(engine, chat("a"))).text == "b"
    await engine.aclose()
    assert isinstance(ScriptedEngine.from_script({"process": True}), ScriptedProcessEngine)
    with pytest.raises(TypeError):
        ScriptedEngine.from_script({"unknown": 1})


async def test_loading_may_fail():
    engine = ScriptedProcessEngine(Script(load_error="the tape is torn"))
    for _ in range(2):
        with pytest.raises(Exception, match="the tape is torn"):
            await collect(engine, chat("x"))
    assert engine.state().status == "failed"
    assert engine.state().restarts == 0
    await engine.aclose()
