"""The supervised process: what happens when it dies, hangs, talks nonsense, or is not wanted any more."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from athanor.engines import LocalSettings, ModelProcess, WorkerSpec
from athanor.engines.adapters.scripted import Rule, Script, ScriptedProcessEngine
from athanor.engines.child import child_environment
from athanor.errors import EngineCrashedError, EngineUnavailableError, MissingExtraError, ModelError
from athanor.testing.engines import chat, collect, context
from athanor.types import EngineStatus

pytestmark = pytest.mark.anyio

RULES = (
    Rule(pattern="^long", answer="word " * 2000, delay=0.01),
    Rule(pattern="^crash", answer="one two", then="crash"),
    Rule(pattern="^hang", answer="one two", then="hang"),
)
BACKENDS = "tests.engines.backends"


def make(script: Script | None = None, **spec) -> ScriptedProcessEngine:
    engine = ScriptedProcessEngine(script or Script(rules=RULES))
    engine.process = ModelProcess(replace(engine.process.spec, **spec))
    return engine


def process(target: str, **settings) -> ModelProcess:
    spec = {k: settings.pop(k) for k in ("memory_mb", "load_timeout", "ping_interval", "backoff") if k in settings}
    return ModelProcess(
        WorkerSpec(
            name="odd",
            backend="odd",
            target=f"{BACKENDS}:{target}",
            settings=settings,
            environment={"PYTHONPATH": str(Path(__file__).parents[2])},
            **spec,
        )
    )


async def ask(odd: ModelProcess, blob: bytes = b""):
    async with aclosing(odd.call("run", {}, blob)) as frames:
        return [frame async for frame in frames]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
async def engine():
    engine = make(backoff=0.2)
    await engine.start()
    yield engine
    await engine.aclose()


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_killed_in_the_middle_of_streams(engine):
    streams = [engine.run(chat(f"long {i}", max_tokens=1000), context()) for i in range(3)]
    for stream in streams:
        await anext(stream)
    os.kill(engine.state().pid, signal.SIGKILL)
    for stream in streams:
        with pytest.raises(EngineCrashedError) as caught:
            async for _ in stream:
                pass
        said = str(caught.value)
        assert "SIGKILL" in said
        assert "starts again in" in said
        assert caught.value.code == "engine_crashed"
    assert engine.state().status is EngineStatus.BACKING_OFF
    assert engine.state().restarts == 1
    started = time.monotonic()
    with pytest.raises(EngineUnavailableError, match=r"starts again in \d"):
        await collect(engine, chat("hello"))
    assert time.monotonic() - started < 0.1
    await until(lambda: engine.state().status is EngineStatus.READY)
    assert (await collect(engine, chat("hello"))).text == "hello"


async def test_the_pause_doubles_and_a_request_while_loading_waits(engine):
    pauses = []
    for _ in range(3):
        await collect(engine, chat("hello"))
        with pytest.raises(EngineCrashedError):
            await collect(engine, chat("crash"))
        started = time.monotonic()
        await until(lambda: engine.state().status is EngineStatus.LOADING)
        pauses.append(time.monotonic() - started)
        assert (await collect(engine, chat("hello"))).text == "hello"
    assert pauses[1] > 1.2 * pauses[0]
    assert pauses[2] > 1.2 * pauses[1]


async def test_after_a_healthy_time_the_pause_starts_again():
    engine = make(backoff=0.1, healthy_after=0.0)
    for _ in range(3):
        await engine.process.ready()
        with pytest.raises(EngineCrashedError):
            await collect(engine, chat("crash"))
        started = time.monotonic()
        await until(lambda: engine.state().status is EngineStatus.LOADING)
        assert time.monotonic() - started < 0.2
    await engine.aclose()


async def test_a_hang_is_noticed_and_ended():
    engine = make(hang_timeout=0.5, ping_interval=0.1, backoff=0.1)
    slow = asyncio.create_task(collect(engine, chat("long", max_tokens=150)))
    assert (await slow).finished  # slow, but moving: longer than the timeout
    with pytest.raises(EngineCrashedError, match="no progress"):
        await collect(engine, chat("hang"), seconds=10)
    await engine.process.ready() if engine.state().status is EngineStatus.LOADING else None
    await until(lambda: engine.state().status is EngineStatus.READY)
    assert (await collect(engine, chat("hello"))).text == "hello"
    await engine.aclose()


async def test_stopped_by_a_signal_it_does_not_answer_pings():
    engine = make(hang_timeout=0.5, ping_interval=0.1, backoff=0.1)
    stream = engine.run(chat("long", max_tokens=1000), context())
    await anext(stream)
    os.kill(engine.state().pid, signal.SIGSTOP)
    with pytest.raises(EngineCrashedError, match="did not answer"):
        async for _ in stream:
            pass
    await engine.aclose()


@pytest.mark.parametrize("target", ["Babbler", "Forgetful"])
async def test_a_broken_frame_ends_the_process_not_the_server(target):
    odd = process(target, backoff=0.1)
    with pytest.raises(EngineCrashedError, match="broke the protocol"):
        await ask(odd)
    await odd.aclose()


async def test_prints_of_native_code_do_not_reach_the_protocol():
    odd = process("Printer")
    assert [frame.header["op"] for frame in await ask(odd)] == ["done"]
    await odd.aclose()


async def test_an_exception_in_the_backends_thread_is_told():
    odd = process("Thrower", backoff=0.1)
    with pytest.raises(EngineCrashedError, match="the valve is stuck"):
        await ask(odd)
    await odd.aclose()


async def test_a_large_blob_goes_both_ways():
    odd = process("Mirror")
    blob = os.urandom(20 << 20)
    assert [frame.blob for frame in await ask(odd, blob)] == [blob]
    await odd.aclose()


async def test_a_load_without_end_is_ended():
    odd = process("Sleeper", load_timeout=0.3, ping_interval=0.1, backoff=0.05)
    await odd.start()
    await until(lambda: odd.state().status is EngineStatus.FAILED, 20)
    with pytest.raises(ModelError, match="not loaded the model after"):
        await odd.ready()
    await odd.aclose()


async def test_crashing_loads_are_not_tried_for_ever():
    odd = process("Suicide", backoff=0.05)
    await odd.start()
    await until(lambda: odd.state().status is EngineStatus.FAILED, 20)
    assert odd.state().restarts == 2
    with pytest.raises(ModelError, match=r"SIGSEGV.*, 3 times"):
        await odd.ready()
    await odd.start()  # a person mended the file: one more chance
    assert odd.state().status is EngineStatus.LOADING
    await odd.aclose()


async def test_a_missing_package_names_the_extra():
    odd = process("Extra")
    with pytest.raises(MissingExtraError, match=r"pip install 'athanor\[llamacpp\]'"):
        await odd.ready()
    assert odd.state().status is EngineStatus.FAILED
    await odd.aclose()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_DATA is enforced by Linux")
async def test_the_memory_limit_holds():
    odd = process("Glutton", memory_mb=200, backoff=0.1)
    with pytest.raises(ModelError, match="Not enough memory"):
        await odd.ready()
    await odd.aclose()


async def test_closing_while_streams_run():
    engine = make()
    stream = engine.run(chat("long", max_tokens=1000), context())
    await anext(stream)
    pid = engine.state().pid
    closing = asyncio.create_task(engine.aclose())
    with pytest.raises(EngineUnavailableError, match="shutting down"):
        async for _ in stream:
            pass
    await closing
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert engine.state().status is EngineStatus.STOPPED


async def test_closing_before_the_child_exists():
    engine = make()
    await engine.start()
    await engine.aclose()
    assert engine.state().status is EngineStatus.STOPPED


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
async def test_nothing_is_leaked():
    async def round_trip():
        engine = make(backoff=0.01)
        await collect(engine, chat("hello"))
        with pytest.raises(EngineCrashedError):
            await collect(engine, chat("crash"))
        await until(lambda: engine.state().status is EngineStatus.READY)
        await engine.aclose()

    await round_trip()
    gc.collect()
    before, tasks = descriptors(), len(asyncio.all_tasks())
    for _ in range(3):
        await round_trip()
    gc.collect()
    assert descriptors() <= before
    assert len(asyncio.all_tasks()) <= tasks
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    states = [Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in children.read_text().split()]
    assert "Z" not in states


async def test_the_event_loop_is_never_blocked():
    engine = make()
    gaps = []

    async def watch():
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.005)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    task = asyncio.create_task(watch())
    await asyncio.gather(*(collect(engine, chat("long", max_tokens=30)) for _ in range(8)))
    await engine.aclose()
    task.cancel()
    gaps.sort()
    # The scheduler of a busy machine may take a slice away once; a blocking wait would be there all the time.
    assert gaps[len(gaps) // 2] < 0.05


async def test_a_killed_server_takes_its_children_along():
    program = (
        "import asyncio\n"
        "from athanor.engines.adapters.scripted import ScriptedProcessEngine\n"
        "async def main():\n"
        "    engine = ScriptedProcessEngine()\n"
        "    await engine.process.ready()\n"
        "    print(engine.state().pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    child = int(await asyncio.to_thread(server.stdout.readline))
    server.kill()
    server.wait()
    server.stdout.close()

    def gone():
        try:
            return Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"
        except OSError:
            return True

    await until(gone, 5)


def test_the_child_gets_no_secrets(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("ATHANOR_API_KEY", "ath-1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("OMP_PROC_BIND", "true")
    environment = child_environment({"OMP_WAIT_POLICY": "PASSIVE"})
    assert not {"OPENAI_API_KEY", "ATHANOR_API_KEY", "AWS_SECRET_ACCESS_KEY"} & set(environment)
    assert environment["OMP_PROC_BIND"] == "true"
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"


async def test_settings_reach_the_child():
    engine = ScriptedProcessEngine(settings=LocalSettings(threads=3, wait="active"))
    assert engine.process.spec.environment == {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "3"}


async def test_the_server_never_imports_native_libraries():
    program = (
        "import sys\n"
        "import athanor.engines.build, athanor.engines.adapters.onnx, athanor.engines.adapters.openvino\n"
        "import athanor.engines.adapters.llamacpp, athanor.engines.adapters.openai, athanor.testing\n"
        "bad = {'numpy', 'onnxruntime', 'openvino', 'openvino_genai', 'xllamacpp', 'tokenizers', 'torch'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
