from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from athanor.errors import NotFoundError, StoreError
from athanor.observe import Metrics, Spans
from athanor.observe.spans import MAX_SPANS
from athanor.store import Store
from athanor.types import Context, Principal, Request, RoleName, Usage, new_id

pytestmark = pytest.mark.anyio
REQUEST = Request(model="m", messages=())
USAGE = Usage(prompt_tokens=7, completion_tokens=5, cached_tokens=2, seconds=0.5)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def spans(store: Store, metrics: Metrics) -> Spans:
    return Spans(store, metrics)


@pytest.fixture
def ctx() -> Context:
    ada = Principal(id="pr_1", name="ada", role=RoleName.USER, created_at=0.0)
    return Context(principal=ada, trace=new_id("tr"), door="chat")


async def test_a_request_leaves_a_trace_and_a_row(store: Store, spans: Spans, metrics: Metrics, ctx: Context) -> None:
    with spans.open(ctx, "request", model="m") as root:
        with spans.open(ctx, "retrieve", hits=3), spans.open(ctx, "embed"):
            time.sleep(0.01)
        with spans.open(ctx, "generate") as generate:
            generate.attributes["tokens"] = 5
        await spans.settle(root, REQUEST, USAGE, first_token=0.25, cost=0.5)
        # It is on disk before the span is left.
        row = store.requests.get(ctx.trace)
    assert (row.principal, row.door, row.model, row.status) == ("pr_1", "chat", "m", "ok")
    assert (row.usage, row.first_token, row.cost) == (USAGE, 0.25, 0.5)
    by_name = {span.name: span for span in store.spans.trace(ctx.trace)}
    parents = {name: span.parent for name, span in by_name.items()}
    assert parents == {
        "request": None,
        "retrieve": by_name["request"].id,
        "embed": by_name["retrieve"].id,
        "generate": by_name["request"].id,
    }
    assert by_name["embed"].duration >= 0.01
    assert by_name["retrieve"].attributes == {"hits": 3}
    assert by_name["generate"].attributes == {"tokens": 5}
    text = metrics.render()
    assert 'athanor_requests_total{door="chat",status="ok"} 1\n' in text
    assert 'athanor_tokens_total{model="m",kind="completion"} 5\n' in text
    assert 'athanor_first_token_seconds_count{door="chat"} 1\n' in text


async def test_errors_are_noted_and_go_on(store: Store, spans: Spans, ctx: Context) -> None:
    with pytest.raises(NotFoundError), spans.open(ctx, "root"), spans.open(ctx, "child"):
        raise NotFoundError("no")
    with pytest.raises(ZeroDivisionError), spans.open(ctx, "other"):
        raise ZeroDivisionError
    store.writer.flush()
    statuses = {span.name: span.status for span in store.spans.trace(ctx.trace)}
    assert statuses == {"root": "not_found", "child": "not_found", "other": "internal"}


async def test_a_closed_stream_is_cancelled_and_still_on_the_books(store: Store, spans: Spans, ctx: Context) -> None:
    async def stream() -> AsyncIterator[int]:
        status = "cancelled"
        with spans.open(ctx, "request") as root:
            try:
                with spans.open(ctx, "generate"):
                    for n in range(100):
                        yield n
                status = "ok"
            finally:
                await spans.settle(root, REQUEST, USAGE, status=status)

    async with aclosing(stream()) as events:  # type: ignore[type-var]
        assert await anext(events) == 0
    assert store.requests.get(ctx.trace).status == "cancelled"
    assert {s.name: s.status for s in store.spans.trace(ctx.trace)} == {"request": "cancelled", "generate": "cancelled"}


async def test_children_left_open_end_with_their_root(store: Store, spans: Spans, ctx: Context) -> None:
    child = spans.open(ctx, "left open")
    with spans.open(ctx, "request") as root:
        child.__enter__()
        await spans.settle(root, REQUEST, USAGE)
    child.__exit__(None, None, None)
    assert len(store.spans.trace(ctx.trace)) == 2


async def test_concurrent_requests_do_not_mix(store: Store, spans: Spans, ctx: Context) -> None:
    async def one(number: int) -> None:
        own = Context(principal=ctx.principal, trace=f"tr_{number}", door="chat")
        with spans.open(own, "request") as root:
            await asyncio.sleep(0.001 * (number % 3))
            with spans.open(own, f"child {number}"):
                await asyncio.sleep(0.001)
            await spans.settle(root, REQUEST, USAGE)

    await asyncio.gather(*(one(n) for n in range(50)))
    assert len(store.requests.list(limit=100)) == 50
    for number in range(50):
        assert {s.name for s in store.spans.trace(f"tr_{number}")} == {"request", f"child {number}"}


async def test_a_store_that_fails_is_counted_and_not_raised(
    store: Store, spans: Spans, metrics: Metrics, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: bool) -> None:
        raise StoreError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(store.database, "write", broken)
        with spans.open(ctx, "request") as root:
            await spans.settle(root, REQUEST, USAGE)
    store.writer.close()
    with spans.open(ctx, "after the end"):
        pass
    assert "athanor_records_lost_total 2\n" in metrics.render()


async def test_attributes_that_are_not_json_do_not_fail_the_request(
    spans: Spans, metrics: Metrics, ctx: Context
) -> None:
    with spans.open(ctx, "request", strange=object()) as root:
        await spans.settle(root, REQUEST, USAGE)
    assert "athanor_records_lost_total 1\n" in metrics.render()


async def test_a_trace_is_bounded(store: Store, spans: Spans, ctx: Context) -> None:
    with spans.open(ctx, "request") as root:
        for _ in range(MAX_SPANS + 50):
            with spans.open(ctx, "token"):
                pass
        await spans.settle(root, REQUEST, USAGE)
    stored = store.spans.trace(ctx.trace)
    assert len(stored) == MAX_SPANS + 1
    assert next(s for s in stored if s.parent is None).attributes["dropped_spans"] == 50
