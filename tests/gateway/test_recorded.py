"""What is written down of requests, and what the cache may give to whom."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from athanor.config import load_settings
from athanor.gateway import App, handle, open_app
from athanor.testing import HashEmbedder, OverlapReranker, PhraseGuard
from athanor.types import Context, Finished, Message, Request, Role, Started, TextDelta, Tool, ToolCall
from tests.gateway.conftest import context

pytestmark = pytest.mark.anyio

FINDS = {"ada lovelace": "pii.person", "ada@example.org": "pii.email", "hunter2": "secret.password"}
RULES: list[dict[str, Any]] = [
    {"pattern": "call", "answer": "So be it.", "calls": [{"name": "send", "arguments": {"to": "ada@example.org"}}]},
    {"pattern": "", "answer": "Ada Lovelace knows that hunter2 is the word."},
]
Opener = Callable[..., AbstractAsyncContextManager[App]]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    @asynccontextmanager
    async def opening(policy: str | None = None, **more: Any) -> AsyncIterator[App]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        if policy is not None:
            (home / "guards.toml").write_text(policy)
        script = tmp_path / "script.json"
        script.write_bytes(orjson.dumps({"rules": RULES}))
        arguments = {
            "home": str(home),
            "chat": "scripted",
            "models.scripted.source": f"scripted:{script}",
            "models.scripted.backend": "scripted",
            "traces.content": True,
            **more,
        }
        settings = load_settings(arguments=arguments, environment={}).settings
        guard = PhraseGuard(FINDS)
        async with open_app(settings, embedder=HashEmbedder(), reranker=OverlapReranker(), guards=[guard]) as app:
            yield app

    return opening


async def ask(app: App, *messages: Message | str, ctx: Context | None = None, **more: Any) -> tuple[Context, str, str]:
    """The context, how the cache answered, and the answer."""
    said = tuple(Message(role=Role.USER, content=m) if isinstance(m, str) else m for m in messages)
    ctx = context(app) if ctx is None else replace(ctx, trace=context(app).trace)
    text, cached = "", ""
    async for event in handle(Request(model="scripted", messages=said, **more), ctx, app):
        cached = event.cached if isinstance(event, Started) else cached
        text += event.text if isinstance(event, TextDelta) else ""
        assert not isinstance(event, Finished) or event.reason != "filtered"
    return ctx, cached, text


ALLOW = '[policies.default.recorded]\n"pii.*" = "redact"\n"secret.*" = { action = "redact", how = "hash" }\n'


async def test_what_is_recorded_is_redacted_and_what_is_answered_is_not(opened: Opener) -> None:
    async with opened(ALLOW) as app:
        called = ToolCall(id="call_1", name="look", arguments='{"who": "Ada\\u0020Lovelace", "n": 1}')
        ctx, _, text = await ask(
            app,
            "I am Ada Lovelace, ada@example.org, hunter2",
            Message(role=Role.ASSISTANT, content="Yes?", calls=(called,)),
            Message(role=Role.TOOL, content="hunter2", call="call_1"),
            "call it",
            tools=(Tool(name="send", parameters={"type": "object"}),),
        )
        content = app.store.contents.get(ctx.trace)
        assert content is not None
        stored = orjson.dumps([content.request, content.answer]).decode()
        assert [value for value in FINDS if value in stored.lower()] == []
        messages = content.request["messages"]
        assert messages[0]["content"].startswith("I am [PERSON], [EMAIL], [SECRET:")
        assert messages[2]["content"] == messages[0]["content"].partition("[EMAIL], ")[2], "equal hashes"
        assert orjson.loads(messages[1]["calls"][0]["arguments"]) == {"who": "[PERSON]", "n": 1}
        assert orjson.loads(content.answer["tool_calls"][0]["arguments"]) == {"to": "[EMAIL]"}
        assert text == "So be it."


async def test_the_shipped_policy_redacts_what_is_recorded(opened: Opener) -> None:
    async with opened() as app:
        ctx, _, _ = await ask(app, "I am Ada Lovelace")
        content = app.store.contents.get(ctx.trace)
        assert content is not None
        assert content.request["messages"] == [{"role": "user", "content": "I am [PERSON]"}]


async def test_a_policy_can_record_everything(opened: Opener) -> None:
    async with opened('[policies.default.recorded]\n"pii.*" = "allow"') as app:
        ctx, _, _ = await ask(app, "I am Ada Lovelace")
        content = app.store.contents.get(ctx.trace)
        assert content is not None
        assert content.request["messages"][0]["content"] == "I am Ada Lovelace"


async def test_a_guard_that_fails_keeps_texts_out_of_the_record(opened: Opener) -> None:
    async with opened(ALLOW) as app:
        guard = app.guards.guards[0]
        assert isinstance(guard, PhraseGuard)
        guard.failure = RuntimeError("broken")
        ctx, _, _ = await ask(app, "I am Ada Lovelace")
        content = app.store.contents.get(ctx.trace)
        assert content is not None
        assert content.request["messages"] == [{"role": "user", "content": "[GUARD]"}]
        assert content.answer["content"] == "[GUARD]"


@pytest.mark.parametrize("share", ["key", "team", "all"])
async def test_an_answer_to_personal_words_is_nobody_elses(opened: Opener, share: str) -> None:
    async with opened(ALLOW, **{"cache.mode": "exact", "cache.share": share}) as app:
        mine = context(app)
        other = replace(mine, principal=replace(mine.principal, id="pr_other"))
        assert (await ask(app, "I am Ada Lovelace", ctx=mine))[1] == ""
        assert (await ask(app, "I am Ada Lovelace", ctx=mine))[1] == "exact"
        assert (await ask(app, "I am Ada Lovelace", ctx=other))[1] == ""
        assert (await ask(app, "I am Ada Lovelace", ctx=mine, user="another end user"))[1] == ""
        assert (await ask(app, "What is the word?", ctx=mine))[1] == ""
        expected = "exact" if share == "all" else ""
        assert (await ask(app, "What is the word?", ctx=other))[1] == expected


async def test_a_system_prompt_does_not_narrow_the_cache(opened: Opener) -> None:
    async with opened(ALLOW, **{"cache.mode": "exact", "cache.share": "all"}) as app:
        system = Message(role=Role.SYSTEM, content="Complaints go to ada@example.org.")
        await ask(app, system, "Hello")
        other = replace(context(app), principal=replace(context(app).principal, id="pr_other"))
        assert (await ask(app, system, "Hello", ctx=other))[1] == "exact"
