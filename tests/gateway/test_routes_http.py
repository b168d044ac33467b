"""Routes over the vendors' own formats, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from athanor.config import load_settings
from athanor.errors import AthanorError, EngineError, InputError
from athanor.gateway import App, handle, open_app
from athanor.testing import HashEmbedder, OverlapReranker
from athanor.types import Message, Request, RequestRecord, Role, Sampling, Started, TextDelta
from tests.gateway.conftest import context
from tests.upstreams.anthropic import FakeAnthropic
from tests.upstreams.openai import FakeOpenAI
from tests.upstreams.scenes import KEY, PROMPT, Asked, Call, Refused, Scene

pytestmark = pytest.mark.anyio


class Refusing(FakeOpenAI):
    """Answers every request with one status."""

    status = 503
    message = "Overloaded."

    def scene(self, call: Call, asked: Asked) -> Scene:
        raise Refused(self.status, self.message)


class Mute(FakeAnthropic):
    """Sends the head of an answer, and then nothing."""

    def scene(self, call: Call, asked: Asked) -> Scene:
        return Scene(pieces=(), how="stall")


@dataclass
class Asking:
    """An application whose route `r` is made of fake vendors."""

    app: App

    async def ask(self, text: str) -> tuple[str, RequestRecord, AthanorError | None, list[tuple[str, str]]]:
        """The answer, its row of the ledger, its error, and the tries (model, outcome)."""
        ctx = context(self.app)
        said, error = "", None
        try:
            async for event in handle(
                Request(model="r", messages=(Message(role=Role.USER, content=text),)), ctx, self.app
            ):
                said += event.text if isinstance(event, TextDelta) else ""
        except AthanorError as failure:
            error = failure
        spans = self.app.store.traces.get(ctx.trace)
        tries = [(s.attributes["target"], s.attributes["outcome"]) for s in spans if s.name == "attempt"]
        return said, self.app.store.requests.get(ctx.trace), error, tries


Opener = Callable[..., AbstractAsyncContextManager[Asking]]


@pytest.fixture
def routed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opener:
    """`async with routed({"a": FakeOpenAI(), …}, hedge_after_s=…) as asking`: models in this order."""
    monkeypatch.setenv("FAKE_KEY", KEY)

    @asynccontextmanager
    async def opening(
        vendors: dict[str, Any], models: Mapping[str, Any] = MappingProxyType({}), **route: Any
    ) -> AsyncIterator[Asking]:
        async with AsyncExitStack() as stack:
            arguments: dict[str, Any] = {"home": str(tmp_path / "home"), "chat": next(iter(vendors))}
            for name, vendor in vendors.items():
                await stack.enter_async_context(vendor)
                arguments[f"models.{name}"] = {
                    "source": vendor.url,
                    "backend": "anthropic" if isinstance(vendor, FakeAnthropic) else "openai",
                    "api_key": {"env": "FAKE_KEY"},
                    "price": {"prompt": 1e6},
                    "context": 9000 if name == "large" else 4000,
                    **models.get(name, {}),
                }
            arguments["routes"] = {"r": {"use": list(vendors), "retry": {"longest_pause_s": 0.2}, **route}}
            settings = load_settings(arguments=arguments, environment={}).settings
            app = await stack.enter_async_context(
                open_app(settings, embedder=HashEmbedder(), reranker=OverlapReranker())
            )
            yield Asking(app)

    return opening


async def idle(vendor: Any) -> None:
    """Wait until the vendor has seen its caller go."""
    async with asyncio.timeout(5):
        while vendor.open:
            await asyncio.sleep(0.01)


async def test_a_busy_vendor_that_asks_for_too_long_a_pause_is_replaced_at_once(routed: Opener) -> None:
    busy, other = Refusing(), FakeAnthropic()
    async with routed({"a": busy, "b": other}) as asking:
        said, row, error, tries = await asking.ask("say hello there")
    assert (said, error) == ("hello there", None)
    assert tries == [("a", "engine_unavailable"), ("b", "ok")]
    assert (row.target, row.status) == ("b", "ok")
    assert len(busy.calls) == 1  # its retry-after of a second is over the longest pause


async def test_a_vendor_that_refuses_our_key_is_replaced(routed: Opener) -> None:
    refusing = Refusing()
    refusing.status = 401
    async with routed({"a": refusing, "b": FakeOpenAI()}) as asking:
        said, _, _, tries = await asking.ask("say hello")
    assert said == "hello"
    assert tries == [("a", "engine_refused"), ("b", "ok")]


async def test_a_failing_vendor_is_asked_again_first(routed: Opener) -> None:
    failing = Refusing()
    failing.status = 500
    async with routed({"a": failing, "b": FakeOpenAI()}) as asking:
        said, _, _, tries = await asking.ask("say hello")
    assert said == "hello"
    assert tries == [("a", "engine_failed"), ("a", "engine_failed"), ("b", "ok")]


async def test_a_request_that_is_too_long_goes_to_a_larger_model(routed: Opener) -> None:
    long = Refusing()
    long.status, long.message = 400, "This model's maximum context length is 4000 tokens."
    same = FakeOpenAI()
    async with routed({"a": long, "b": same, "large": FakeAnthropic()}) as asking:
        said, row, _, tries = await asking.ask("say hello")
    assert (said, row.target) == ("hello", "large")
    assert tries == [("a", "invalid_request"), ("large", "ok")]
    assert same.calls == []


async def test_a_bad_request_is_not_passed_around(routed: Opener) -> None:
    bad = Refusing()
    bad.status, bad.message = 400, "messages: is wrong."
    async with routed({"a": bad, "b": FakeOpenAI()}) as asking:
        _, row, error, tries = await asking.ask("say hello")
    assert isinstance(error, InputError)
    assert tries == [("a", "invalid_request")]
    assert row.status == "invalid_request"


async def test_an_answer_that_breaks_off_is_an_error_and_is_billed(routed: Opener) -> None:
    other = FakeOpenAI()
    async with routed({"a": FakeAnthropic(), "b": other}) as asking:
        said, row, error, tries = await asking.ask("break")
    assert said.startswith("half")
    assert isinstance(error, EngineError)
    assert [outcome for _, outcome in tries] == ["engine_failed"]
    assert other.calls == []
    assert row.usage.prompt_tokens > 0
    assert row.target == "a"


async def test_what_only_the_chosen_model_lacks_is_left_out_and_said(routed: Opener) -> None:
    vendor = FakeOpenAI()
    async with routed({"a": vendor, "b": FakeOpenAI()}, models={"a": {"lacks": ["seed"], "drop": True}}) as asking:
        message = Message(role=Role.USER, content="say hello")
        request = Request(model="r", messages=(message,), sampling=Sampling(seed=3))
        async with aclosing(handle(request, context(asking.app), asking.app)) as events:
            started = await anext(events)
    assert isinstance(started, Started)
    assert (started.target, started.dropped) == ("a", ("seed",))
    assert "seed" not in vendor.bodies[0]


async def test_a_mute_vendor_is_hedged_and_closed(routed: Opener) -> None:
    mute, quick = Mute(), FakeOpenAI()
    async with routed({"a": mute, "b": quick}, hedge_after_s=0.05) as asking:
        said, row, _, tries = await asking.ask("say hello")
        await idle(mute)
    assert (said, row.target) == ("hello", "b")
    assert sorted(tries) == [("a", "cancelled"), ("b", "ok")]
    assert row.usage.cost == pytest.approx(PROMPT)


async def test_a_caller_that_leaves_a_mute_vendor_closes_it(routed: Opener) -> None:
    mute = Mute()
    async with routed({"a": mute}) as asking:
        task = asyncio.create_task(asking.ask("say hello"))
        async with asyncio.timeout(5):
            while not mute.open:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await idle(mute)
        (row,) = asking.app.store.requests.list()
    assert (row.status, row.target) == ("cancelled", "")
