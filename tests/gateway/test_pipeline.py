from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from athanor.config import load_settings
from athanor.errors import ConfigError, EngineError, NotFoundError
from athanor.gateway import App, handle, open_app
from athanor.types import Finished, Message, Request, Role, Started, TextDelta
from tests.gateway.conftest import Opener, context

pytestmark = pytest.mark.anyio


def ask(question: str, model: str = "scripted") -> Request:
    return Request(model=model, messages=(Message(role=Role.USER, content=question),))


async def test_a_request_leaves_one_row_and_one_trace(opened: Opener) -> None:
    async with opened() as app:
        ctx = context(app)
        events = [event async for event in handle(ask("one two three"), ctx, app)]
        assert isinstance(events[-1], Finished)
        row = app.store.requests.get(ctx.trace)
        assert (row.status, row.model, row.door, row.principal) == ("ok", "scripted", "test", ctx.principal.id)
        assert row.usage.completion_tokens == sum(e.usage.completion_tokens for e in events) > 0
        assert row.first_token is not None
        spans = app.store.traces.get(ctx.trace)
        assert [span.parent for span in spans if span.name == "request"] == [None]


async def test_the_first_event_is_started_and_the_last_one_is_on_the_books(opened: Opener) -> None:
    async with opened() as app:
        ctx = context(app)
        kinds = []
        async for event in handle(ask("one two"), ctx, app):
            kinds.append(type(event))
            stored = [row.trace for row in app.store.requests.list()]
            assert (ctx.trace in stored) is isinstance(event, Finished), "acknowledged before it was written down"
        assert (kinds[0], kinds[-1]) == (Started, Finished)
        assert set(kinds[1:-1]) == {TextDelta}
        assert app.ledger.open_entries == 0


async def test_a_caller_that_goes_away_is_billed_for_what_was_produced(opened: Opener) -> None:
    async with opened(delay=0.01) as app:
        ctx = context(app)
        seen = 0
        async with aclosing(handle(ask(" ".join(["word"] * 200)), ctx, app)) as events:
            async for event in events:
                seen += isinstance(event, TextDelta)
                if seen == 5:
                    break
        row = app.store.requests.get(ctx.trace)
        assert row.status == "cancelled"
        assert 5 <= row.usage.completion_tokens < 200


async def test_a_cancelled_task_is_on_the_books_too(opened: Opener) -> None:
    async with opened(delay=0.01) as app:
        ctx = context(app)

        async def consume() -> None:
            async for _ in handle(ask(" ".join(["word"] * 500)), ctx, app):
                pass

        with anyio.move_on_after(0.3):
            await consume()
        assert app.store.requests.get(ctx.trace).status == "cancelled"


async def test_waiting_for_the_commit_of_a_cancelled_request_does_not_spin(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = 0
    once = asyncio.BaseEventLoop._run_once

    def counted(loop: asyncio.BaseEventLoop) -> None:
        nonlocal turns
        turns += 1
        once(loop)

    async with opened(delay=0.01) as app:
        ctx = context(app)
        busy = app.store.writer.submit(lambda _: time.sleep(0.6))
        monkeypatch.setattr(asyncio.BaseEventLoop, "_run_once", counted)
        with anyio.move_on_after(0.1):
            await drain(app, ctx.trace, handle(ask(" ".join(["word"] * 500)), ctx, app))
        assert busy.done()
        assert app.store.requests.get(ctx.trace).status == "cancelled"
        assert turns < 400  # anyio delivers a cancellation in every turn: a loop around it makes tens of thousands


async def test_a_failing_engine_is_recorded_under_its_code(opened: Opener) -> None:
    async with opened(rules=[{"pattern": "x", "answer": "half of an", "then": "error"}]) as app:
        ctx = context(app)
        with pytest.raises(EngineError):
            await drain(app, ctx.trace, handle(ask("x"), ctx, app))
        assert app.store.requests.get(ctx.trace).status == "engine_failed"


async def test_an_unknown_model_is_recorded_and_says_where_to_look(opened: Opener) -> None:
    async with opened() as app:
        ctx = context(app)
        with pytest.raises(NotFoundError, match="models list"):
            await drain(app, ctx.trace, handle(ask("x", model="nobody"), ctx, app))
        assert app.store.requests.get(ctx.trace).status == "not_found"


async def drain(app: App, trace: str, events: AsyncIterator[object]) -> None:
    async for _ in events:
        pass


async def test_without_an_embedder_chat_works_and_knowledge_says_what_is_missing(tmp_path: Path) -> None:
    arguments = {
        "home": str(tmp_path / "home"),
        "chat": "echo",
        "models.echo.source": "scripted:",
        "models.echo.backend": "scripted",
        "knowledge.embedder": "nobody-has-this",
    }
    async with open_app(load_settings(arguments=arguments, environment={}).settings) as app:
        ctx = context(app)
        events = [event async for event in handle(ask("hello", model="echo"), ctx, app)]
        assert isinstance(events[-1], Finished)
        assert [card["status"] for card in app.router.cards() if card["kind"] == "embedder"] == ["failed"]
        with pytest.raises(ConfigError, match="nobody-has-this"):
            await app.knowledge.create("docs")
