from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from athanor.config import ModelSettings, Settings
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


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    echo = ModelSettings(source="scripted:", backend="scripted")
    settings = Settings(home=tmp_path / "home", chat="echo", models={"echo": echo})
    async with open_app(settings, embedder=HashEmbedder(), reranker=OverlapReranker()) as app:
        http = create_app(app)
        transport = httpx.ASGITransport(app=front(http))
        async with (
            mounted(app, http),
            # As a browser's own pages send it.
            httpx.AsyncClient(transport=transport, base_url=HERE, headers={"origin": HERE}) as browser,
        ):
            yield Site(app=app, http=http, browser=browser)
