from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from athanor.config import load_settings
from athanor.gateway import App, open_app
from athanor.testing import HashEmbedder, OverlapReranker
from athanor.types import Context, RoleName, new_id
from athanor.worker import Runner

Opener = Callable[..., AbstractAsyncContextManager[App]]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    """`async with opened(rules=[…]) as app`: an application whose chat model answers by rules."""

    @asynccontextmanager
    async def opening(**script: Any) -> AsyncIterator[App]:
        file = tmp_path / "script.json"
        file.write_bytes(orjson.dumps(script))
        arguments = {
            "home": str(tmp_path / "home"),
            "chat": "scripted",
            "models.scripted.source": f"scripted:{file}",
            "models.scripted.backend": "scripted",
            "models.scripted.grounded": "extractive",
        }
        settings = load_settings(arguments=arguments, environment={}).settings
        async with open_app(settings, embedder=HashEmbedder(), reranker=OverlapReranker()) as app:
            yield app

    return opening


def context(app: App) -> Context:
    principal = app.store.principals.find("tester") or app.store.principals.create("tester", RoleName.USER)
    return Context(principal=principal, trace=new_id("tr"), door="test")


async def learn(app: App, folder: Path, texts: dict[str, str]) -> None:
    """Ingest `texts` into the base `docs`."""
    for name, text in texts.items():
        (folder / name).write_text(text)
    base = await app.knowledge.ensure("docs")
    job = await app.ingestion.enqueue_folder(base, folder)
    assert await Runner(app.store, app.handlers).run_once()
    assert app.store.jobs.get(job.id).state == "done", app.store.jobs.get(job.id).message
