"""Tries that failed are on the bill, whether another answered or none did."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from athanor.config import load_settings
from athanor.errors import EngineError
from athanor.gateway import handle, open_app
from athanor.testing import HashEmbedder
from athanor.types import Message, Request, Role
from tests.gateway.conftest import context

pytestmark = pytest.mark.anyio


def settings(folder: Path) -> dict[str, object]:
    broken = folder / "broken.json"
    broken.write_bytes(orjson.dumps({"rules": [{"pattern": ".", "then": "error"}]}))
    arguments: dict[str, object] = {"home": str(folder / "home"), "chat": "good", "routes.pair.retry.first_pause_s": 0}
    for name, source in (("bad", f"scripted:{broken}"), ("good", "scripted:")):
        arguments |= {f"models.{name}.source": source, f"models.{name}.backend": "scripted"}
        arguments |= {f"models.{name}.price.prompt": 1.0, f"models.{name}.price.completion": 2.0}
    return arguments


async def test_the_ledger_names_who_answered_and_what_it_cost(tmp_path: Path) -> None:
    arguments = settings(tmp_path) | {"routes.pair.use": ["bad"], "routes.pair.fall_back_to": ["good"]}
    loaded = load_settings(arguments=arguments, environment={}).settings
    async with open_app(loaded, embedder=HashEmbedder()) as app:
        ctx = context(app)
        request = Request(model="pair", messages=(Message(role=Role.USER, content="one two three"),))
        events = [event async for event in handle(request, ctx, app)]
        row = app.store.requests.get(ctx.trace)
        assert (row.model, row.target, row.status) == ("pair", "good", "ok")
        used = sum(event.usage.cost for event in events)
        assert row.usage.cost == pytest.approx(used)
        assert row.usage.cost == pytest.approx((row.usage.prompt_tokens + 2 * row.usage.completion_tokens) / 1e6)
        names = [span.name for span in app.store.traces.get(ctx.trace)]
        assert names[0] == "request"
        assert names.count("attempt") >= 2
        assert "model" in names


async def test_an_error_is_billed_for_what_came_before_it(tmp_path: Path) -> None:
    half = tmp_path / "half.json"
    half.write_bytes(orjson.dumps({"rules": [{"pattern": ".", "answer": "half of an", "then": "error"}]}))
    arguments = settings(tmp_path) | {"models.bad.source": f"scripted:{half}", "routes.pair.use": ["bad"]}
    loaded = load_settings(arguments=arguments, environment={}).settings
    async with open_app(loaded, embedder=HashEmbedder()) as app:
        ctx = context(app)
        request = Request(model="pair", messages=(Message(role=Role.USER, content="x"),))
        with pytest.raises(EngineError):
            async for _ in handle(request, ctx, app):
                pass
        row = app.store.requests.get(ctx.trace)
        assert row.status == "engine_failed"
        assert row.usage.completion_tokens == 3
        assert row.usage.cost > 0
