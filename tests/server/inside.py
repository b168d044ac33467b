"""A server inside the test's own event loop: every layer of HTTP, and the application within reach."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvicorn

from athanor.config import load_settings
from athanor.gateway import App, open_app
from athanor.governance import Grant
from athanor.guards import Guard
from athanor.rag import Ingestion
from athanor.server import create_app, front
from athanor.server.protocol import bounded
from athanor.testing import HashEmbedder, OverlapReranker
from athanor.types import ApiKey, Limits, RoleName
from athanor.worker.runner import Runner


@dataclass(slots=True)
class Inside:
    app: App
    url: str
    http: aiohttp.ClientSession

    def key(self, name: str = "caller", role: RoleName = RoleName.USER, **grant: Any) -> tuple[ApiKey, dict[str, str]]:
        """A new key, and the headers that carry it."""
        team = grant.pop("team", None)
        key, secret = self.app.keys.create(name, role, grant=Grant(**grant), team=team)
        return key, {"authorization": f"Bearer {secret.reveal()}"}

    async def call(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """Status, JSON, headers."""
        async with self.http.request(method, self.url + path, json=body, headers=dict(headers)) as reply:
            return reply.status, await reply.json(), reply.headers

    async def chat(
        self, headers: Mapping[str, str], text: str = "x", model: str = "priced", **more: Any
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return await self.call("POST", "/v1/chat/completions", headers, body)


@asynccontextmanager
async def working(app: App) -> AsyncIterator[None]:
    """Run the ingestion jobs of `app` as long as the block."""
    runner = Runner(app.store, {Ingestion.KIND: app.ingestion.run})

    async def work() -> None:
        while True:
            if not await runner.run_once():
                await asyncio.sleep(0.02)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def inside(
    home: Path,
    *,
    limits: Limits | None = None,
    price: Mapping[str, float] | None = None,
    settings: Mapping[str, object] | None = None,
    guards: Sequence[Guard] | None = None,
    **script: Any,
) -> AsyncIterator[Inside]:
    """A server whose model `priced` answers by the rules of `script`; `settings` are more of the server's own,
    `guards` are in place of those that are installed."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "script.json"
    file.write_bytes(orjson.dumps(script))
    arguments: dict[str, object] = {
        "home": str(home / "home"),
        "chat": "priced",
        "models.priced.source": f"scripted:{file}",
        "models.priced.backend": "scripted",
        "models.priced.grounded": "generative",
        "models.priced.price": dict(price or {}),
    }
    arguments |= settings or {}
    if limits is not None:
        arguments |= {f"limits.{name}": getattr(limits, name) for name in limits.__slots__}
    loaded = load_settings(arguments=arguments, environment={}).settings
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    async with open_app(loaded, embedder=HashEmbedder(), reranker=OverlapReranker(), guards=guards) as app:
        # A machine that stands still for seconds must not find its connections closed between two requests.
        config = uvicorn.Config(
            front(create_app(app)), http=bounded(1000), log_level="warning", lifespan="off", timeout_keep_alive=120
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as http:
                yield Inside(app, f"http://127.0.0.1:{bound.getsockname()[1]}", http)
        finally:
            server.should_exit = True
            await task
