from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from athanor.config import AccessSettings, ModelSettings, Settings
from athanor.console import mounted
from athanor.gateway import App, open_app
from athanor.server import create_app, front
from athanor.testing import HashEmbedder, OverlapReranker
from athanor.types import Principal, RoleName

HERE = "http://127.0.0.1:8700"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The console over a real application with fake models, without a socket."""

    app: App
    http: FastAPI
    browser: httpx.AsyncClient

    @property
    def owner(self) -> Principal:
        return self.app.keys.identify((self.app.settings.home / "local.key").read_text())[0]

    def principal(self, name: str, role: RoleName) -> Principal:
        _, secret = self.app.keys.create(name, role)
        return self.app.keys.identify(secret.reveal())[0]

    async def log_in(self, principal: Principal | None = None) -> httpx.Response:
        token = self.app.links.create(principal or self.owner).reveal()
        return await self.browser.get("/console/login", params={"token": token})


@asynccontextmanager
async def opened(home: Path, access: AccessSettings | None = None) -> AsyncIterator[Site]:
    """A site for the length of the block."""
    echo = ModelSettings(source="scripted:", backend="scripted")
    access = access or AccessSettings(argon2_memory_kib=64, argon2_iterations=1)
    settings = Settings(home=home / "home", chat="echo", models={"echo": echo}, access=access)
    async with open_app(settings, embedder=HashEmbedder(), reranker=OverlapReranker()) as app:
        http = create_app(app)
        transport = httpx.ASGITransport(app=front(http))
        async with (
            mounted(app, http),
            # As a browser's own pages send it.
            httpx.AsyncClient(transport=transport, base_url=HERE, headers={"origin": HERE}) as browser,
        ):
            yield Site(app=app, http=http, browser=browser)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(tmp_path) as made:
        yield made
