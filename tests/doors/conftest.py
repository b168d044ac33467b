from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvicorn

from athanor.config import load_settings
from athanor.gateway import App, open_app
from athanor.server import create_app, front
from athanor.testing import HashEmbedder, OverlapReranker
from athanor.worker import Runner
from tests.upstreams.anthropic import FakeAnthropic
from tests.upstreams.gemini import FakeGemini
from tests.upstreams.openai import FakeAzure, FakeOpenAI, FakeResponses
from tests.upstreams.scenes import KEY, FakeVendor

FAKES: dict[str, type[FakeVendor]] = {
    "openai": FakeOpenAI,
    "responses": FakeResponses,
    "azure": FakeAzure,
    "anthropic": FakeAnthropic,
    "gemini": FakeGemini,
}
PARIS = {"name": "get_weather", "arguments": {"city": "Paris"}}
ROME = {"name": "get_weather", "arguments": {"city": "Rome"}}
RULES: list[dict[str, Any]] = [
    {"pattern": "^say Grüße 🌍 you", "answer": "Grüße 🌍 you"},
    {"pattern": "^say ok", "answer": "ok"},
    {"pattern": "^say one END two", "answer": "one END two"},
    {"pattern": "^tools", "answer": "Let me look.", "calls": [PARIS]},
    {"pattern": "^parallel", "calls": [PARIS, ROME]},
    {"pattern": "sunny", "answer": "It is sunny.", "after": "tool"},
    {"pattern": "^think", "answer": "Done.", "reasoning": "I think."},
    {"pattern": "^long", "answer": "cut", "finish": "length"},
    {"pattern": "^filter", "finish": "filtered"},
    {"pattern": "^(break|malformed|error)", "answer": "half", "then": "error"},
    {"pattern": "^slow", "answer": "one two three", "delay": 0.05},
    {"pattern": "^image", "answer": "image"},
    {"pattern": "^file", "answer": "file"},
    {"pattern": "^odds", "answer": "one two"},
]
"""What the scripted model does, so that it plays the scenes of tests/upstreams."""


@dataclass(slots=True)
class House:
    """A server in front of every vendor, and what it is made of."""

    app: App
    url: str
    key: str
    fakes: dict[str, FakeVendor] = field(default_factory=dict)

    async def learn(self, folder: Path, texts: dict[str, str]) -> None:
        """Ingest `texts` into the base `docs`."""
        for name, text in texts.items():
            (folder / name).write_text(text)
        base = await self.app.knowledge.ensure("docs")
        job = await self.app.ingestion.enqueue_folder(base, folder)
        await self.work()
        assert self.app.store.jobs.get(job.id).state == "done"

    async def work(self) -> None:
        """Do the jobs that wait."""
        runner = Runner(self.app.store, self.app.handlers)
        while await runner.run_once():
            pass


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
async def house(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    home = tmp_path_factory.mktemp("house")
    (home / "vendor.key").write_text(KEY)
    (home / "script.json").write_bytes(orjson.dumps({"rules": RULES}))
    arguments: dict[str, object] = {
        "home": str(home / "home"),
        "chat": "scripted",
        "models.scripted.source": f"scripted:{home / 'script.json'}",
        "models.scripted.backend": "scripted",
        "models.scripted.grounded": "extractive",
    }
    async with AsyncExitStack() as stack:
        fakes = {name: await stack.enter_async_context(fake()) for name, fake in FAKES.items()}
        for name, fake in fakes.items():
            arguments |= {
                f"models.{name}.source": fake.url,
                f"models.{name}.backend": name,
                f"models.{name}.upstream": "gpt-ours" if name == "azure" else f"{name}-model",
                f"models.{name}.api_key": {"file": str(home / "vendor.key")},
                f"models.{name}.timeouts": {"first_token_s": 2, "between_tokens_s": 0.3, "total_s": 1},
            }
        settings = load_settings(arguments=arguments, environment={}).settings
        app = await stack.enter_async_context(open_app(settings, embedder=HashEmbedder(), reranker=OverlapReranker()))
        await app.embedder.start()
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        # A machine that stands still for seconds must not find its connections closed between two requests.
        config = uvicorn.Config(front(create_app(app)), log_level="warning", lifespan="off", timeout_keep_alive=120)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            await asyncio.sleep(0.01)
        key = (settings.home / "local.key").read_text()
        try:
            yield House(app, f"http://127.0.0.1:{bound.getsockname()[1]}", key, fakes)
        finally:
            server.should_exit = True
            await task
