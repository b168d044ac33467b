"""The exact cache: what is kept, how it is given again, and what identical requests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.config import Settings
from athanor.engines import Engine
from athanor.engines.wrappers import bill, spent
from athanor.errors import BudgetError, EngineError, EngineUnavailableError
from athanor.gateway.cache import Answers, Cache
from athanor.gateway.cache.flight import AHEAD
from athanor.gateway.cache.replay import entry_of, replay
from athanor.testing.engines import context
from athanor.types import (
    NO_USAGE,
    AnswerMode,
    CacheUse,
    Citation,
    Cited,
    Context,
    EngineState,
    EngineStatus,
    Event,
    Finished,
    FinishReason,
    Message,
    Profile,
    ReasoningDelta,
    Request,
    Role,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

pytestmark = pytest.mark.anyio

PROFILE = Profile(name="m", context=4096, licence="none", grounded=AnswerMode.EXTRACTIVE)
COST = Usage(prompt_tokens=3, completion_tokens=1, cost=0.5)
CITATION = Citation(
    document="doc", version=1, page=None, start=0, end=2, quote="ab", score=1.0, source="s", title="t", chunk="c"
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Fake:
    """An engine that plays events, and may wait before each for its `gate`."""

    def __init__(self, *events: Event, error: BaseException | None = None, gated: bool = False) -> None:
        self.events = events or (TextDelta(text="one ", usage=COST), TextDelta(text="two", usage=COST), Finished())
        self.error = error
        self.gate = asyncio.Semaphore(0) if gated else None
        self.profile = PROFILE
        self.calls = 0
        self.open = 0
        self.produced = 0

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        self.calls += 1
        self.open += 1
        try:
            for event in self.events:
                if self.gate is not None:
                    await self.gate.acquire()
                if isinstance(event, Finished) and self.error is not None:
                    raise self.error
                self.produced += 1
                yield event
        finally:
            self.open -= 1

    def state(self) -> EngineState:
        return EngineState(status=EngineStatus.READY, backend="fake")

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass
class Noted:
    """A span that remembers its attributes."""

    attributes: dict[str, Any] = field(default_factory=dict)

    def set(self, **attributes: Any) -> None:
        self.attributes.update(attributes)

    def child(self, name: str, **attributes: Any) -> Any:
        raise NotImplementedError


def ask(text: str = "hello", **changes: Any) -> Request:
    return replace(Request(model="m", messages=(Message(role=Role.USER, content=text),)), **changes)


def cache_of(clock: Callable[[], float] | None = None, **cache: Any) -> Cache:
    settings = Settings.model_validate({"cache": {"mode": "exact", **cache}})
    return Cache(settings, clock=clock or Clock())


async def drain(
    cache: Cache, engine: Engine, request: Request, *, scope: str = "s", ctx: Context | None = None
) -> list[Event]:
    async with asyncio.timeout(10):
        async with aclosing(cache.through(engine, request, ctx or context(), scope)) as events:
            return [event async for event in events]


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def cost_of(events: Sequence[Event]) -> float:
    return sum(event.usage.cost for event in events)


# What is kept, and how long


async def test_the_second_time_the_engine_is_not_asked() -> None:
    cache, engine, span = cache_of(), Fake(), Noted()
    first = await drain(cache, engine, ask())
    second = await drain(cache, engine, ask(), ctx=replace(context(), span=span))
    assert engine.calls == 1
    assert first == list(engine.events)
    assert second[0] == Started(target="m", cached="exact")
    assert text_of(second[1:]) == text_of(first)
    assert len(second) == len(first) + 1
    assert all(event.usage == Usage() for event in second)
    assert span.attributes == {"cache": "exact", "saved": 1.0}


async def test_who_answered_is_said_again() -> None:
    class Route(Fake):
        async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
            ctx.span.set(target="replica-2", dropped=["seed"])
            async for event in super().run(request, ctx):
                yield event

    cache, engine = cache_of(), Route(gated=True)
    assert engine.gate is not None
    spans = [Noted() for _ in range(3)]
    tasks = [asyncio.create_task(drain(cache, engine, ask(), ctx=replace(context(), span=span))) for span in spans[:2]]
    await settle()
    for _ in engine.events:
        engine.gate.release()
    await asyncio.gather(*tasks)
    events = await drain(cache, engine, ask(), ctx=replace(context(), span=spans[2]))
    assert events[0] == Started(target="replica-2", cached="exact", dropped=("seed",))
    assert engine.calls == 1
    assert [span.attributes["target"] for span in spans] == ["replica-2"] * 3
    assert [span.attributes["dropped"] for span in spans] == [["seed"]] * 3
    assert [span.attributes.get("cache") for span in spans] == [None, "exact", "exact"]


async def test_scopes_never_meet() -> None:
    cache, engine = cache_of(), Fake()
    await drain(cache, engine, ask(), scope="a")
    await drain(cache, engine, ask(), scope="b")
    assert engine.calls == 2


@pytest.mark.parametrize("mode", ["off", "exact"])
async def test_the_settings_of_a_route_win(mode: str) -> None:
    settings = Settings.model_validate({"cache": {"mode": "exact"}, "routes": {"m": {"use": ["x"], "cache": mode}}})
    cache, engine = Cache(settings), Fake()
    for _ in range(2):
        await drain(cache, engine, ask())
    assert engine.calls == (2 if mode == "off" else 1)


async def test_an_answer_ends_with_its_time() -> None:
    clock = Clock()
    cache, engine = cache_of(clock, ttl_s=60), Fake()
    await drain(cache, engine, ask())
    clock.now += 59.9
    await drain(cache, engine, ask())
    assert engine.calls == 1
    clock.now += 0.1
    await drain(cache, engine, ask())
    assert engine.calls == 2


async def test_max_age_takes_no_older_answer() -> None:
    clock = Clock()
    cache, engine = cache_of(clock), Fake()
    await drain(cache, engine, ask())
    clock.now += 10
    await drain(cache, engine, ask(cache=CacheUse(max_age=11)))
    assert engine.calls == 1
    await drain(cache, engine, ask(cache=CacheUse(max_age=10)))
    assert engine.calls == 2
    await drain(cache, engine, ask(cache=CacheUse(max_age=10)))  # the one that was just made
    assert engine.calls == 2


async def test_no_cache_renews_and_no_store_leaves_nothing() -> None:
    cache, old, new = cache_of(), Fake(TextDelta(text="old"), Finished()), Fake(TextDelta(text="new"), Finished())
    await drain(cache, old, ask(cache=CacheUse(write=False)))
    assert text_of(await drain(cache, old, ask())) == "old"
    assert old.calls == 2
    assert text_of(await drain(cache, new, ask(cache=CacheUse(read=False)))) == "new"
    assert text_of(await drain(cache, old, ask())) == "new"
    assert text_of(await drain(cache, old, ask(cache=CacheUse(write=False)))) == "new"
    assert (old.calls, new.calls) == (2, 1)


@pytest.mark.parametrize(
    "events",
    [
        (TextDelta(text="a"), Finished(reason=FinishReason.FILTERED)),
        (TextDelta(text="a"), Finished(reason=FinishReason.CANCELLED)),
        (TextDelta(text="I found nothing."), Finished(abstained=True)),
        (Finished(),),
        (ReasoningDelta(text="hm"), Finished()),
    ],
    ids=["filtered", "cancelled", "abstained", "empty", "only thoughts"],
)
async def test_not_kept(events: tuple[Event, ...]) -> None:
    cache, engine = cache_of(), Fake(*events)
    for _ in range(2):
        assert await drain(cache, engine, ask()) == list(events)
    assert engine.calls == 2


async def test_errors_and_half_answers_are_not_kept() -> None:
    cache, failing = cache_of(), Fake(error=EngineError("broke"))
    for _ in range(2):
        with pytest.raises(EngineError):
            await drain(cache, failing, ask())
    whole = Fake()
    async with aclosing(cache.through(whole, ask(), context(), "s")) as events:
        async for _ in events:
            break
    assert whole.open == 0
    await drain(cache, whole, ask())
    assert (failing.calls, whole.calls) == (2, 2)


EVENTS: tuple[Event, ...] = (
    Started(target="replica-1", dropped=("seed",), headers={"x-limit": "9"}),
    ReasoningDelta(text="I "),
    ReasoningDelta(text="think", signature="sig"),
    ReasoningDelta(text="", signature="blob", redacted=True),
    TextDelta(text="It ", usage=COST, logprobs=(TokenLogprob(token="It ", logprob=-0.5, top=(("It ", -0.5),)),)),
    Cited(citation=CITATION, start=0, end=2),
    TextDelta(text="is.", usage=COST, logprobs=(TokenLogprob(token="is.", logprob=-0.1),)),
    ToolCallDelta(index=0, id="c1", name="f", arguments='{"a"'),
    ToolCallDelta(index=0, arguments=":1}", signature="z"),
    ToolCallDelta(index=1, id="c2", name="g", arguments="{}"),
    Finished(reason=FinishReason.TOOL_CALLS, usage=COST, stop="x", confidence=0.7),
)


async def test_a_replay_equals_the_stream() -> None:
    cache, engine = cache_of(), Fake(*EVENTS)
    assert await drain(cache, engine, ask()) == list(EVENTS)
    again = await drain(cache, engine, ask())
    assert again[0] == Started(target="replica-1", cached="exact", dropped=("seed",))
    assert again[1:] == [replace(event, usage=Usage()) for event in EVENTS[1:]]


async def test_without_streaming_the_replay_is_in_one_piece() -> None:
    cache, engine = cache_of(), Fake(*EVENTS)
    await drain(cache, engine, ask())
    again = await drain(cache, engine, ask(stream=False))
    assert engine.calls == 1
    tokens = tuple(t for event in EVENTS if isinstance(event, TextDelta) for t in event.logprobs)
    assert again[1:] == [
        ReasoningDelta(text="I think", signature="sig"),
        ReasoningDelta(text="", signature="blob", redacted=True),
        TextDelta(text="It is.", logprobs=tokens),
        Cited(citation=CITATION, start=0, end=2),
        ToolCallDelta(index=0, id="c1", name="f", arguments='{"a":1}', signature="z"),
        ToolCallDelta(index=1, id="c2", name="g", arguments="{}"),
        replace(EVENTS[-1], usage=Usage()),
    ]


PIECES = st.one_of(
    st.builds(TextDelta, text=st.text(min_size=1, max_size=4)),
    st.builds(ReasoningDelta, text=st.text(max_size=4), signature=st.none() | st.just("s")),
    st.builds(ToolCallDelta, index=st.integers(0, 2), arguments=st.text(max_size=4)),
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_joining_loses_nothing(pieces: list[Event]) -> None:
    events = [TextDelta(text="x"), *pieces, Finished()]
    entry = entry_of(events, route="m", born=0.0)
    assert entry is not None
    joined = list(replay(entry, stream=False))

    def said(events: Sequence[Event]) -> tuple[str, str, dict[int, str], int]:
        calls: dict[int, str] = {}
        for event in events:
            if isinstance(event, ToolCallDelta):
                calls[event.index] = calls.get(event.index, "") + event.arguments
        thoughts = [event for event in events if isinstance(event, ReasoningDelta)]
        return text_of(events), "".join(e.text for e in thoughts), calls, sum(e.signature == "s" for e in thoughts)

    assert said(joined) == said(events)
    assert sum(isinstance(event, TextDelta) for event in joined) == 1
    assert isinstance(joined[-1], Finished)


def test_memory_is_bounded_and_the_least_used_go_first() -> None:
    clock = Clock()
    entry = entry_of([TextDelta(text="x" * 10_000), Finished()], route="m", born=clock.now)
    assert entry is not None
    assert 10_000 < entry.size < 12_000
    answers = Answers(limit=10 * entry.size, ttl=100, clock=clock)
    names = [bytes([i]) for i in range(12)]
    for name in names[:10]:
        assert answers.put(name, entry)
    assert answers.get(names[0]) is not None  # used: others go before it
    for name in names[10:]:
        answers.put(name, entry)
    assert [name for name in names if answers.peek(name) is None] == names[1:3]
    assert answers.bytes == answers.sizes["m"] == 10 * entry.size
    assert answers.counts["m"] == len(answers) == 10
    answers.put(names[0], entry)  # in place of itself
    assert answers.bytes == 10 * entry.size


def test_an_answer_that_would_drive_all_others_out_is_not_kept() -> None:
    answers = Answers(limit=20_000, ttl=100, clock=Clock())
    entry = entry_of([TextDelta(text="x" * 10_000), Finished()], route="m", born=0.0)
    assert entry is not None
    assert not answers.put(b"k", entry)
    assert (len(answers), answers.bytes) == (0, 0)


def test_what_is_too_old_does_not_hold_memory() -> None:
    clock = Clock()
    answers = Answers(limit=1 << 20, ttl=100, clock=clock)
    for i in range(9):
        entry = entry_of([TextDelta(text="x"), Finished()], route="m", born=clock.now)
        assert entry is not None
        answers.put(bytes([i]), entry)
    clock.now += 101
    entry = entry_of([TextDelta(text="x"), Finished()], route="m", born=clock.now)
    assert entry is not None
    answers.put(b"new", entry)
    assert len(answers) == 1


# At the same time


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_hundred_at_once_are_one_call_and_one_bill() -> None:
    cache, engine = cache_of(), Fake(gated=True)
    spans = [Noted() for _ in range(100)]
    tasks = [asyncio.create_task(drain(cache, engine, ask(), ctx=replace(context(), span=span))) for span in spans]
    await settle()
    assert engine.gate is not None
    for _ in engine.events:
        engine.gate.release()
    answers = await asyncio.gather(*tasks)
    assert engine.calls == 1
    assert {text_of(events) for events in answers} == {"one two"}
    assert sum(cost_of(events) for events in answers) == 1.0
    assert cost_of(answers[0]) == 1.0
    assert all(events[0] == Started(target="m", cached="exact") for events in answers[1:])
    assert [span.attributes.get("saved") for span in spans[:2]] == [None, 1.0]
    state = cache.states()["m"]
    assert (state.misses, state.joined, state.entries) == (1, 99, 1)


async def test_followers_outlive_the_one_who_asked_first() -> None:
    cache, engine = cache_of(), Fake(gated=True)
    assert engine.gate is not None
    seen: list[Event] = []

    async def first() -> None:
        async for event in cache.through(engine, ask(), context(), "s"):
            seen.append(event)  # noqa: PERF401 — half a list is what is wanted

    leader = asyncio.create_task(first())
    followers = [asyncio.create_task(drain(cache, engine, ask())) for _ in range(3)]
    await settle()
    engine.gate.release()
    await settle()
    leader.cancel()
    await settle()
    assert leader.cancelled()
    assert engine.open == 1
    engine.gate.release()
    engine.gate.release()
    answers = await asyncio.gather(*followers)
    assert [text_of(events) for events in answers] == ["one two"] * 3
    assert engine.calls == 1
    assert cost_of(seen) + sum(cost_of(events) for events in answers) == 1.0
    assert text_of(await drain(cache, engine, ask())) == "one two"
    assert engine.calls == 1


async def test_one_who_leaves_while_waiting_does_not_stop_the_others() -> None:
    cache, engine = cache_of(), Fake(gated=True)
    assert engine.gate is not None
    leader = asyncio.create_task(drain(cache, engine, ask()))
    follower = asyncio.create_task(drain(cache, engine, ask()))
    await settle()
    follower.cancel()
    await settle()
    for _ in engine.events:
        engine.gate.release()
    assert text_of(await leader) == "one two"


async def test_when_all_have_left_the_engine_stops() -> None:
    cache, engine = cache_of(), Fake(gated=True)
    tasks = [asyncio.create_task(drain(cache, engine, ask())) for _ in range(3)]
    await settle()
    assert engine.open == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert engine.open == 0
    other = Fake()
    assert text_of(await drain(cache, other, ask())) == "one two"
    assert other.calls == 1


@pytest.mark.parametrize(("usage", "most"), [(COST, 3), (NO_USAGE, 3 + AHEAD)])
async def test_nothing_is_spent_for_nobody_and_little_is_read_ahead(usage: Usage, most: int) -> None:
    cache, engine = cache_of(), Fake(*[TextDelta(text=str(i), usage=usage) for i in range(50)], Finished())
    seen = 0
    async with aclosing(cache.through(engine, ask(), context(), "s")) as events:
        async for _ in events:
            seen += 1
            await settle()
            if seen == 3:
                break
    assert 3 <= engine.produced <= most


async def test_a_failing_model_fails_for_all_but_a_spent_budget_only_for_its_owner() -> None:
    for error, code in ((EngineUnavailableError("down"), "engine_unavailable"), (BudgetError("spent"), "")):
        cache, engine = cache_of(), Fake(Finished(), error=error, gated=True)
        assert engine.gate is not None
        leader = asyncio.create_task(drain(cache, engine, ask()))
        await settle()
        other = Fake()
        follower = asyncio.create_task(drain(cache, other, ask()))
        await settle()
        engine.gate.release()
        with pytest.raises(type(error)):
            await leader
        if code:
            with pytest.raises(EngineUnavailableError):
                await follower
        else:
            assert text_of(await follower) == "one two"
        assert other.calls == (0 if code else 1)


async def test_failed_tries_are_billed_once() -> None:
    error = EngineUnavailableError("down", retry_after=2)
    bill(error, COST)
    cache, engine = cache_of(), Fake(Finished(), error=error, gated=True)
    assert engine.gate is not None
    tasks = [asyncio.create_task(drain(cache, engine, ask())) for _ in range(3)]
    await settle()
    engine.gate.release()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(e) for e in errors] == [EngineUnavailableError] * 3
    assert sorted(spent(e).cost for e in errors if isinstance(e, EngineUnavailableError)) == [0, 0, 0.5]
    assert {(str(e), e.retry_after) for e in errors if isinstance(e, EngineUnavailableError)} == {("down", 2)}


async def test_what_failed_tries_cost_is_told_to_the_last_who_leaves() -> None:
    class Costly(Fake):
        async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
            try:
                async for event in super().run(request, ctx):
                    yield event
            except asyncio.CancelledError as error:
                bill(error, COST)
                raise

    cache, engine = cache_of(), Costly(gated=True)
    seen: list[BaseException] = []

    async def leave() -> None:
        try:
            await drain(cache, engine, ask())
        except BaseException as error:
            seen.append(error)
            raise

    tasks = [asyncio.create_task(leave()) for _ in range(2)]
    await settle()
    for task in tasks:
        task.cancel()
        await settle()
    assert [spent(error).cost for error in seen] == [0.0, 0.5]


async def test_who_wants_a_new_answer_or_leaves_no_trace_does_not_share_one() -> None:
    cache, engine = cache_of(), Fake(gated=True)
    assert engine.gate is not None
    leader = asyncio.create_task(drain(cache, engine, ask(cache=CacheUse(write=False))))
    await settle()
    joined = asyncio.create_task(drain(cache, engine, ask()))
    await settle()
    assert engine.calls == 2
    fresh = asyncio.create_task(drain(cache, engine, ask(cache=CacheUse(read=False))))
    await settle()
    assert engine.calls == 3
    for _ in range(9):
        engine.gate.release()
    await asyncio.gather(leader, joined, fresh)
