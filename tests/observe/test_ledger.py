"""Every request leaves one row and one trace, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from athanor.engines.wrappers.failures import bill
from athanor.errors import EngineError, NotFoundError, StoreError
from athanor.observe import Ledger, Metrics
from athanor.store import Store
from athanor.types import (
    ApiKey,
    Content,
    Context,
    Finished,
    FinishReason,
    Message,
    Principal,
    ReasoningDelta,
    Request,
    RequestRecord,
    Role,
    RoleName,
    Span,
    Team,
    TextDelta,
    ToolCallDelta,
    Usage,
    new_id,
)

pytestmark = pytest.mark.anyio
USAGE = Usage(prompt_tokens=7, completion_tokens=5, cached_tokens=2, seconds=0.5, cost=0.125)
REQUEST = Request(model="m", messages=(Message(role=Role.USER, content="What is it?"),))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def ledger(store: Store, metrics: Metrics) -> Ledger:
    return Ledger(store, metrics)


@pytest.fixture
def ctx() -> Context:
    team = Team(id="team_1", name="blue", created_at=0.0)
    ada = Principal(id="pr_1", name="ada", role=RoleName.USER, created_at=0.0, team=team)
    key = ApiKey(id="key_1", principal="pr_1", name="k", hint="ath_", created_at=0.0)
    return Context(principal=ada, key=key, trace=new_id("tr"), door="chat")


async def test_a_request_leaves_a_row_and_a_trace(store: Store, ledger: Ledger, metrics: Metrics, ctx: Context) -> None:
    async with ledger.open("m", ctx) as entry:
        assert ledger.open_entries == 1
        entry.ctx.span.set(target="other")
        with entry.ctx.span.child("generate"):
            entry.add(TextDelta(text="a", usage=replace(USAGE, completion_tokens=2)))
            entry.add(TextDelta(text="b", usage=Usage(completion_tokens=3)))
        started = entry.started(("seed",), {"x": "1"})
        entry.add(Finished())
    assert (started.target, started.dropped, started.headers, started.cached) == ("other", ("seed",), {"x": "1"}, "")
    # It is on the books when the block is left.
    row = store.requests.get(ctx.trace)
    assert (row.principal, row.key, row.team, row.door) == ("pr_1", "key_1", "team_1", "chat")
    assert (row.model, row.target, row.status, row.usage) == ("m", "other", "ok", USAGE)
    assert row.first_token is not None
    assert row.first_token <= row.duration
    names = [span.name for span in store.traces.get(ctx.trace)]
    assert names == ["request", "generate"]
    assert store.contents.get(ctx.trace) is None, "texts are not recorded unless asked for"
    assert ledger.open_entries == 0
    text = metrics.render()
    assert 'athanor_requests_total{door="chat",status="ok"} 1\n' in text
    assert 'athanor_tokens_total{model="other",kind="completion"} 5\n' in text
    assert 'athanor_cost_usd_total{model="other"} 0.125\n' in text
    assert 'athanor_first_token_seconds_count{door="chat"} 1\n' in text
    assert "athanor_open_requests 0\n" in text


@pytest.mark.parametrize(("error", "status"), [(NotFoundError("no"), "not_found"), (ZeroDivisionError(), "internal")])
async def test_an_error_is_its_status_and_goes_on(
    store: Store, ledger: Ledger, ctx: Context, error: Exception, status: str
) -> None:
    with pytest.raises(type(error)):
        async with ledger.open("m", ctx):
            raise error
    row = store.requests.get(ctx.trace)
    assert (row.status, row.first_token, row.usage) == (status, None, Usage())
    assert [span.status for span in store.traces.get(ctx.trace)] == [status]


async def test_what_failed_tries_used_is_on_the_books(store: Store, ledger: Ledger, ctx: Context) -> None:
    with pytest.raises(EngineError):
        async with ledger.open("m", ctx) as entry:
            entry.add(TextDelta(text="a", usage=Usage(completion_tokens=1, cost=1.0)))
            error = EngineError("broke")
            bill(error, Usage(completion_tokens=2, cost=2.0))
            raise error
    assert store.requests.get(ctx.trace).usage == Usage(completion_tokens=3, cost=3.0)


async def test_a_closed_stream_is_cancelled_and_on_the_books(store: Store, ledger: Ledger, ctx: Context) -> None:
    async def stream() -> AsyncIterator[int]:
        async with ledger.open("m", ctx) as entry:
            for n in range(100):
                entry.add(TextDelta(text="x", usage=Usage(completion_tokens=1)))
                yield n

    async with aclosing(stream()) as events:  # type: ignore[type-var]
        assert await anext(events) == 0
    row = store.requests.get(ctx.trace)
    assert (row.status, row.usage.completion_tokens) == ("cancelled", 1)


async def test_a_task_that_is_cancelled_twice_is_on_the_books(store: Store, ledger: Ledger, ctx: Context) -> None:
    async def work() -> None:
        async with ledger.open("m", ctx):
            await asyncio.sleep(60)

    with store.write():  # the row has to wait, and is waited for
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        await asyncio.sleep(0.01)
    await asyncio.wait([task])
    assert task.cancelled()
    store.writer.flush()
    assert store.requests.get(ctx.trace).status == "cancelled"


async def test_many_at_once(store: Store, ledger: Ledger, ctx: Context) -> None:
    async def one(number: int) -> None:
        async with ledger.open("m", replace(ctx, trace=f"tr_{number}")) as entry:
            await asyncio.sleep(0.001 * (number % 3))
            with entry.ctx.span.child(f"child {number}"):
                await asyncio.sleep(0.001)

    await asyncio.gather(*(one(n) for n in range(100)))
    assert store.requests.count() == 100
    for number in range(100):
        assert {span.name for span in store.traces.get(f"tr_{number}")} == {"request", f"child {number}"}


async def test_one_row_that_is_refused_takes_no_other_with_it(
    store: Store, ledger: Ledger, metrics: Metrics, ctx: Context
) -> None:
    async def one(trace: str) -> None:
        async with ledger.open("m", replace(ctx, trace=trace)):
            pass

    await one("tr_1")
    with store.write():  # so that they become one group
        tasks = [asyncio.create_task(one(trace)) for trace in ("tr_2", "tr_1", "tr_3")]
        await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert {row.trace for row in store.requests.list()} == {"tr_1", "tr_2", "tr_3"}
    assert "athanor_records_lost_total 1\n" in metrics.render()


async def test_a_store_that_fails_is_counted_and_not_raised(
    store: Store, ledger: Ledger, metrics: Metrics, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise StoreError("The disk is full.")

    async with asyncio.timeout(10):
        with monkeypatch.context() as patch:
            patch.setattr(store.database, "_turn", broken)
            async with ledger.open("m", ctx):
                pass
        store.writer.close()
        async with ledger.open("m", ctx):
            pass
    assert "athanor_records_lost_total 2\n" in metrics.render()


async def test_texts_are_kept_for_a_key_that_asks_for_it(store: Store, metrics: Metrics, ctx: Context) -> None:
    async def clean(content: Content, ctx: Context, model: str) -> Content:
        return replace(content, answer={**content.answer, "seen": [ctx.trace, model]})

    assert ctx.key is not None
    ctx = replace(ctx, key=replace(ctx.key, record_content=True))
    async with Ledger(store, metrics, clean=clean).open("m", ctx) as entry:
        entry.record(REQUEST)
        for event in (
            ReasoningDelta(text="Hm."),
            TextDelta(text="It "),
            TextDelta(text="is."),
            ToolCallDelta(index=0, id="call_1", name="look", arguments='{"a'),
            ToolCallDelta(index=0, arguments='":1}'),
            Finished(reason=FinishReason.TOOL_CALLS),
        ):
            entry.add(event)
    content = store.contents.get(ctx.trace)
    assert content is not None
    assert content.request["messages"] == [{"role": "user", "content": "What is it?"}]
    assert content.answer == {
        "content": "It is.",
        "finish_reason": "tool_calls",
        "reasoning": "Hm.",
        "tool_calls": [{"id": "call_1", "name": "look", "arguments": '{"a":1}'}],
        "seen": [ctx.trace, "m"],
    }


async def test_texts_that_cannot_be_cleaned_are_not_kept(store: Store, metrics: Metrics, ctx: Context) -> None:
    async def clean(content: Content, ctx: Context, model: str) -> Content:
        raise RuntimeError("broken")

    async with Ledger(store, metrics, content=True, clean=clean).open("m", ctx) as entry:
        entry.record(REQUEST)
    assert store.contents.get(ctx.trace) is None
    assert store.requests.get(ctx.trace).status == "ok"
    assert "athanor_texts_lost_total 1\n" in metrics.render()


async def test_a_caller_who_leaves_while_texts_are_cleaned_is_on_the_books(
    store: Store, metrics: Metrics, ctx: Context
) -> None:
    begun, going = asyncio.Event(), asyncio.Event()

    async def clean(content: Content, ctx: Context, model: str) -> Content:
        begun.set()
        await going.wait()
        return replace(content, answer={"cleaned": "yes"})

    async def ask() -> None:
        async with Ledger(store, metrics, content=True, clean=clean).open("m", ctx) as entry:
            entry.record(REQUEST)

    task = asyncio.create_task(ask())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    going.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    content = store.contents.get(ctx.trace)
    assert content is not None
    assert content.answer == {"cleaned": "yes"}


async def test_texts_are_kept_for_everybody_where_the_settings_say_so(
    store: Store, metrics: Metrics, ctx: Context
) -> None:
    async with Ledger(store, metrics, content=True).open("m", ctx) as entry:
        entry.record(REQUEST)
        entry.add(TextDelta(text="half"))
    content = store.contents.get(ctx.trace)
    assert content is not None
    assert content.answer["content"] == "half"
    assert content.answer["finish_reason"] == "", "it broke off"


async def test_exporters_are_told(ledger: Ledger, ctx: Context) -> None:
    told: list[tuple[RequestRecord, int]] = []

    def sink(record: RequestRecord, spans: list[Span]) -> None:
        told.append((record, len(spans)))

    ledger.sinks.append(sink)  # type: ignore[arg-type]
    async with ledger.open("m", ctx) as entry:
        with entry.ctx.span.child("a"):
            pass
    ((record, spans),) = told
    assert (record.trace, spans) == (ctx.trace, 2)
