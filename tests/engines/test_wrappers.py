from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from dataclasses import replace

import pytest

from athanor.engines import Engine
from athanor.engines.adapters.scripted import ScriptedEngine
from athanor.engines.wrappers import (
    Breaker,
    BreakerEngine,
    BreakerOpenError,
    Breakers,
    BreakerState,
    Candidate,
    FallbackEngine,
    HedgeEngine,
    Load,
    LoadEngine,
    RetryEngine,
    spent,
)
from athanor.engines.wrappers.failures import is_too_long
from athanor.engines.wrappers.retry import RetryPolicy
from athanor.errors import (
    EngineCrashedError,
    EngineError,
    EngineRefusedError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
    ModelError,
    UnsupportedError,
)
from athanor.testing.engines import EngineConformance, chat, context
from athanor.types import Finished, Request
from tests.engines.failing import PROFILE, FakeClock, FakeEngine, answer, read, said, silent
from tests.engines.test_scripted import SCRIPT, SLOW

pytestmark = pytest.mark.anyio

BUSY = EngineUnavailableError("busy")
ASK = chat("Hello.")


def busy(retry_after: float) -> EngineUnavailableError:
    return EngineUnavailableError("busy", retry_after=retry_after)


def retrying(engine: Engine, clock: FakeClock | None = None, **policy: float) -> RetryEngine:
    return RetryEngine(
        engine, engine.profile.name, RetryPolicy(**policy), clock=clock or FakeClock(), dice=random.Random(1)
    )


class TestRetry:
    @pytest.mark.parametrize(
        "error", [BUSY, EngineTimeoutError("late"), EngineError("broke"), EngineCrashedError("died")], ids=type
    )
    async def test_a_failed_model_is_asked_again(self, error: EngineError) -> None:
        engine = FakeEngine([error], answer("yes"))
        found = await read(retrying(engine), ASK)
        assert (found.text, found.error) == ("yes", None)
        assert found.span.tries() == [("fake", error.code), ("fake", "ok")]

    @pytest.mark.parametrize(
        "error", [EngineRefusedError("no key"), InputError("bad"), UnsupportedError("no"), ModelError("gone")], ids=type
    )
    async def test_what_will_not_get_better_is_not(self, error: EngineError) -> None:
        engine = FakeEngine([error], answer("yes"))
        found = await read(retrying(engine), ASK)
        assert type(found.error) is type(error)
        assert len(engine.asked) == 1

    async def test_attempts_are_bounded(self) -> None:
        engine = FakeEngine([BUSY])
        found = await read(retrying(engine, attempts=3), ASK)
        assert isinstance(found.error, EngineUnavailableError)
        assert len(engine.asked) == 3

    async def test_nothing_is_repeated_once_something_was_said(self) -> None:
        engine = FakeEngine([said("half"), EngineError("broke")], answer("yes"))
        found = await read(retrying(engine), ASK)
        assert found.text == "half"
        assert isinstance(found.error, EngineError)
        assert len(engine.asked) == 1

    async def test_usage_of_a_failed_try_is_not_lost(self) -> None:
        engine = FakeEngine([silent(prompt_tokens=7, cost=0.5), BUSY], answer("yes"))
        found = await read(retrying(engine), ASK)
        assert found.text == "yes"
        assert (found.usage.prompt_tokens, found.usage.cost) == (12, 0.5)

    async def test_silent_events_before_an_answer_keep_their_order(self) -> None:
        engine = FakeEngine([silent(prompt_tokens=3), said("yes"), Finished()])
        found = await read(retrying(engine), ASK)
        assert [getattr(event, "text", None) for event in found.events] == ["", "yes", None]

    async def test_a_report_of_usage_is_no_answer(self) -> None:
        engine = FakeEngine([silent(prompt_tokens=7), BUSY])
        found = await read(retrying(engine, attempts=3), ASK)
        assert isinstance(found.error, EngineUnavailableError)
        assert found.usage.prompt_tokens == 21

    async def test_pauses_grow_with_jitter_and_stay_under_the_longest(self) -> None:
        drawn = []
        for seed in range(40):
            clock = FakeClock()
            policy = RetryPolicy(attempts=6, first_pause=1.0, longest_pause=4.0)
            engine = RetryEngine(FakeEngine([BUSY]), "fake", policy, clock=clock, dice=random.Random(seed))
            await read(engine, ASK)
            drawn.append(clock.slept)
        bounds = [1.0, 2.0, 4.0, 4.0, 4.0]
        for pauses in drawn:
            assert all(0 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
        for place, bound in enumerate(bounds):
            column = sorted(pauses[place] for pauses in drawn)
            assert column[0] < 0.3 * bound
            assert column[-1] > 0.7 * bound

    async def test_nobody_comes_back_before_retry_after(self) -> None:
        clock = FakeClock()
        found = await read(retrying(FakeEngine([busy(3)], answer("yes")), clock, first_pause=0.1), ASK)
        assert found.text == "yes"
        assert 3 <= clock.slept[0] <= 3.1
        assert found.span.children[1].attributes["wait"] == round(clock.slept[0], 3)

    async def test_a_vendor_that_asks_for_too_long_is_given_up_at_once(self) -> None:
        clock = FakeClock()
        engine = FakeEngine([busy(9)], answer("yes"))
        found = await read(retrying(engine, clock, longest_pause=8), ASK)
        assert found.error is not None
        assert clock.slept == []

    async def test_no_try_begins_after_the_deadline(self) -> None:
        clock = FakeClock()
        engine = FakeEngine([busy(3)])
        await read(retrying(engine, clock, attempts=10, first_pause=0.1, total=10), ASK)
        assert len(engine.asked) == 4
        assert sum(clock.slept) < 10

    async def test_an_answer_without_anything_in_it_is_a_failure(self) -> None:
        engine = FakeEngine([silent()], answer("yes"))
        assert (await read(retrying(engine), ASK)).text == "yes"

    async def test_leaving_early_closes_the_engine_and_notes_it(self) -> None:
        engine = FakeEngine([said("one"), said("two"), 10.0])
        seen = []
        wrapped = RetryEngine(engine, "fake", note=lambda target, outcome: seen.append((target, outcome)))
        async with aclosing(wrapped.run(ASK, context())) as events:
            await anext(events)
        assert engine.open == 0
        assert seen == [("fake", "cancelled")]


class TestBreaker:
    def make(self, **settings: float) -> tuple[Breaker, FakeClock]:
        clock = FakeClock()
        return Breaker("fake", **{"failures": 3, "pause": 30.0, **settings}, now=clock.now), clock

    async def fail(self, breaker: Breaker, times: int = 1, error: EngineError = BUSY) -> None:
        for _ in range(times):
            await read(BreakerEngine(FakeEngine([error]), breaker), ASK)

    async def test_opens_after_failures_in_a_row_and_says_when_it_closes(self) -> None:
        breaker, clock = self.make()
        await self.fail(breaker, 3)
        assert breaker.state is BreakerState.OPEN
        clock.time += 10
        engine = FakeEngine()
        found = await read(BreakerEngine(engine, breaker), ASK)
        assert isinstance(found.error, BreakerOpenError)
        assert found.error.retry_after == 20
        assert engine.asked == []

    async def test_a_success_in_between_starts_the_count_anew(self) -> None:
        breaker, _ = self.make()
        for _ in range(4):
            await self.fail(breaker, 2)
            await read(BreakerEngine(FakeEngine(), breaker), ASK)
        assert breaker.state is BreakerState.CLOSED

    async def test_streams_that_break_off_count(self) -> None:
        breaker, _ = self.make()
        for _ in range(3):
            await read(BreakerEngine(FakeEngine([said("half"), EngineError("broke")]), breaker), ASK)
        assert breaker.state is BreakerState.OPEN

    async def test_a_bad_request_says_nothing_about_the_model(self) -> None:
        breaker, _ = self.make()
        for _ in range(5):
            await read(BreakerEngine(FakeEngine([InputError("bad")]), breaker), ASK)
        assert breaker.state is BreakerState.CLOSED

    async def test_one_request_tries_a_model_that_was_left_alone(self) -> None:
        breaker, clock = self.make()
        await self.fail(breaker, 3)
        clock.time += 31
        assert breaker.state is BreakerState.HALF_OPEN
        engine = FakeEngine([0.05, *answer("yes")])
        wrapped = BreakerEngine(engine, breaker)
        found = await asyncio.gather(*(read(wrapped, ASK) for _ in range(5)))
        assert engine.most == 1
        assert sum(isinstance(f.error, BreakerOpenError) for f in found) == 4
        assert breaker.state is BreakerState.CLOSED
        assert (await read(wrapped, ASK)).text == "yes"

    async def test_a_probe_that_fails_opens_it_again(self) -> None:
        breaker, clock = self.make()
        await self.fail(breaker, 3)
        clock.time += 31
        await self.fail(breaker)
        assert breaker.state is BreakerState.OPEN
        assert breaker.remaining == 60
        assert breaker.opened == 2
        for _ in range(20):
            clock.time += breaker.remaining
            await self.fail(breaker)
        assert breaker.remaining == 600
        clock.time += 601
        await read(BreakerEngine(FakeEngine(), breaker), ASK)
        await self.fail(breaker, 3)
        assert breaker.remaining == 30

    async def test_others_may_pass_as_soon_as_a_probe_speaks(self) -> None:
        breaker, clock = self.make()
        await self.fail(breaker, 3)
        clock.time += 31
        async with aclosing(BreakerEngine(FakeEngine([said("a"), 10.0]), breaker).run(ASK, context())) as events:
            await anext(events)
            assert breaker.state is BreakerState.CLOSED

    @pytest.mark.parametrize("script", [[10.0], [InputError("bad")]], ids=["left", "bad request"])
    async def test_a_probe_without_a_verdict_lets_the_next_one_in(self, script: list) -> None:
        breaker, clock = self.make()
        await self.fail(breaker, 3)
        clock.time += 31
        task = asyncio.create_task(read(BreakerEngine(FakeEngine(script), breaker), ASK))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert breaker.state is BreakerState.HALF_OPEN
        assert (await read(BreakerEngine(FakeEngine(), breaker), ASK)).text == "ok"
        assert breaker.state is BreakerState.CLOSED

    async def test_news_from_before_it_opened_is_not_heard(self) -> None:
        breaker, clock = self.make()
        old = BreakerEngine(FakeEngine([said("a"), 0.05, Finished()]), breaker)
        task = asyncio.create_task(read(old, ASK))
        await asyncio.sleep(0.01)
        await self.fail(breaker, 3)
        await task
        assert breaker.state is BreakerState.OPEN
        clock.time += 31
        assert breaker.state is BreakerState.HALF_OPEN

    async def test_a_vendor_can_keep_it_open_for_longer(self) -> None:
        breaker, _ = self.make()
        await self.fail(breaker, 3, busy(120))
        assert breaker.remaining == 120

    async def test_a_retry_does_not_wait_for_it(self) -> None:
        breaker, clock = self.make(pause=2)
        await self.fail(breaker, 3)
        found = await read(retrying(BreakerEngine(FakeEngine(), breaker), clock), ASK)
        assert isinstance(found.error, BreakerOpenError)
        assert clock.slept == []

    async def test_tries_that_open_it_end_with_the_reason_for_that(self) -> None:
        breaker, _ = self.make(failures=2)
        found = await read(retrying(BreakerEngine(FakeEngine([busy(1)]), breaker), attempts=5), ASK)
        assert type(found.error) is EngineUnavailableError
        assert [outcome for _, outcome in found.span.tries()] == ["engine_unavailable"] * 2 + ["left_alone"]

    def test_is_shared_by_name_and_as_careful_as_anyone_wants(self) -> None:
        breakers = Breakers()
        one = breakers.get("a", failures=5, pause=10)
        assert breakers.get("a", failures=2, pause=60) is one
        breakers.get("b")
        one.failed(one.enter(), BUSY)
        one.failed(one.enter(), BUSY)
        assert breakers.describe()["a"]["state"] == "open"
        assert breakers.describe()["a"]["retry_after"] > 50
        assert breakers.describe()["b"]["state"] == "closed"
        one.reset()
        assert one.ready


def chain(*engines: FakeEngine, kind: type = FallbackEngine, **settings: float) -> FallbackEngine:
    candidates = [
        Candidate(name=e.profile.name, engine=retrying(e, attempts=1) if kind is FallbackEngine else retrying(e))
        for e in engines
    ]

    async def order(request: Request, ctx: object) -> list[Candidate]:
        return candidates

    return kind(order, lambda: PROFILE, **settings)


class TestFallback:
    @pytest.mark.parametrize(
        "error",
        [BUSY, EngineTimeoutError("late"), EngineRefusedError("no key"), ModelError("no weights"), EngineError("x")],
        ids=type,
    )
    async def test_the_next_model_is_asked(self, error: EngineError) -> None:
        first, second = FakeEngine([error], name="a"), FakeEngine(answer("yes"), name="b")
        found = await read(chain(first, second), ASK)
        assert found.text == "yes"
        assert found.span.attributes["target"] == "b"
        assert found.span.tries() == [("a", error.code), ("b", "ok")]

    async def test_a_bad_request_is_bad_everywhere(self) -> None:
        second = FakeEngine(name="b")
        found = await read(chain(FakeEngine([InputError("bad")], name="a"), second), ASK)
        assert isinstance(found.error, InputError)
        assert second.asked == []

    async def test_nothing_is_replaced_once_something_was_said(self) -> None:
        second = FakeEngine(name="b")
        found = await read(chain(FakeEngine([said("half"), EngineError("x")], name="a"), second), ASK)
        assert (found.text, second.asked) == ("half", [])
        assert isinstance(found.error, EngineError)
        assert found.span.attributes["target"] == "a"

    async def test_a_request_too_long_for_one_goes_to_a_larger_one(self) -> None:
        long = InputError("This model's maximum context length is 1000 tokens.")
        small, same, large = (
            FakeEngine([long], name="small", context=1000),
            FakeEngine(name="same", context=1000),
            FakeEngine(answer("yes"), name="large", context=2000),
        )
        assert (await read(chain(small, same, large), ASK)).text == "yes"
        assert same.asked == []
        found = await read(chain(small, same), ASK)
        assert isinstance(found.error, InputError)

    async def test_usage_of_failed_models_is_on_the_first_event(self) -> None:
        first = FakeEngine([silent(prompt_tokens=7, cost=0.25), BUSY], name="a")
        found = await read(chain(first, FakeEngine(answer("yes"), name="b")), ASK)
        assert found.events[0].text == "yes"
        assert found.events[0].usage.prompt_tokens == 12
        assert found.usage.cost == 0.25
        found = await read(chain(first, FakeEngine([silent(prompt_tokens=3), BUSY], name="b")), ASK)
        assert found.events == []
        assert spent(found.error).prompt_tokens == 10

    @pytest.mark.parametrize("hedged", [False, True])
    async def test_a_caller_that_leaves_before_the_answer_pays_for_what_was_used(self, hedged: bool) -> None:
        kind = {"kind": HedgeEngine, "after": 5.0} if hedged else {}
        engine = chain(FakeEngine([silent(prompt_tokens=7), 30.0], name="a"), **kind)
        seen = []

        async def ask() -> None:
            try:
                await read(engine, ASK)
            except asyncio.CancelledError as error:
                seen.append(spent(error).prompt_tokens)
                raise

        task = asyncio.create_task(ask())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert seen == [7]

    async def test_the_error_is_the_one_that_says_when_to_come_back(self) -> None:
        engines = [
            FakeEngine([EngineRefusedError("no key")], name="a"),
            FakeEngine([silent(prompt_tokens=7), busy(30)], name="b"),
            FakeEngine([busy(20)], name="c"),
        ]
        found = await read(chain(*engines), ASK)
        assert isinstance(found.error, EngineUnavailableError)
        assert found.error.retry_after == 20
        assert spent(found.error).prompt_tokens == 7

    async def test_a_model_that_never_begins_does_not_pass_the_deadline(self) -> None:
        first, second = FakeEngine([60.0], name="a"), FakeEngine(name="b")
        found = await read(chain(first, second, total=0.05), ASK)
        assert isinstance(found.error, EngineTimeoutError)
        assert (first.open, second.asked) == (0, [])

    async def test_what_was_left_out_for_the_model_that_answers_is_noted(self) -> None:
        plain = replace(ASK, sampling=replace(ASK.sampling, seed=None))
        engine = FakeEngine()

        async def order(request: Request, ctx: object) -> list[Candidate]:
            return [Candidate(name="a", engine=engine, adapt=lambda request: (plain, ("seed",)))]

        found = await read(FallbackEngine(order, lambda: PROFILE), ASK)
        assert engine.asked == [plain]
        assert found.span.attributes == {"target": "a", "dropped": ["seed"]}


class TestHedge:
    def race(self, *engines: FakeEngine, after: float = 0.02, **settings: float) -> HedgeEngine:
        return chain(*engines, kind=HedgeEngine, after=after, **settings)

    async def test_a_quick_model_is_asked_alone(self) -> None:
        first, second = FakeEngine([said("a"), 0.1, said("b"), Finished()], name="a"), FakeEngine(name="b")
        found = await read(self.race(first, second), ASK)
        assert (found.text, second.asked) == ("ab", [])
        assert found.span.attributes["target"] == "a"

    async def test_the_second_is_taken_when_the_first_says_nothing(self) -> None:
        first = FakeEngine([silent(prompt_tokens=7), 30.0], name="a")
        second = FakeEngine(answer("yes"), name="b")
        found = await read(self.race(first, second), ASK)
        assert found.text == "yes"
        assert found.span.attributes["target"] == "b"
        assert sorted(found.span.tries()) == [("a", "cancelled"), ("b", "ok")]
        assert first.open == 0

    async def test_the_first_is_taken_if_it_speaks_before_the_second(self) -> None:
        first = FakeEngine([0.1, *answer("first")], name="a")
        second = FakeEngine([30.0], name="b")
        found = await read(self.race(first, second), ASK)
        assert found.text == "first"
        assert len(second.asked) == 1
        assert second.open == 0

    async def test_what_the_loser_has_used_is_billed(self) -> None:
        loser = FakeEngine([silent(prompt_tokens=7, cost=0.25), 30.0], name="a")
        failed = FakeEngine([silent(prompt_tokens=1, cost=0.5), EngineRefusedError("no")], name="b")
        found = await read(self.race(failed, loser, FakeEngine(answer("yes"), name="c")), ASK)
        assert found.text == "yes"
        assert found.usage.cost == 0.75
        assert found.events[0].usage.prompt_tokens == 13

    async def test_a_failure_goes_on_to_the_next_without_waiting(self) -> None:
        first, second = FakeEngine([EngineRefusedError("no")], name="a"), FakeEngine(answer("yes"), name="b")
        found = await read(self.race(first, second, after=30.0), ASK, seconds=5)
        assert found.text == "yes"

    async def test_only_two_work_at_once(self) -> None:
        engines = [FakeEngine([0.2, *answer(name)], name=name) for name in "abcd"]
        found = await read(self.race(*engines, after=0.01), ASK)
        assert found.error is None
        assert [len(engine.asked) for engine in engines] == [1, 1, 0, 0]

    async def test_all_may_fail(self) -> None:
        engines = [FakeEngine([silent(prompt_tokens=1), 0.05, busy(20)], name=name) for name in "ab"]
        found = await read(self.race(*engines), ASK)
        assert isinstance(found.error, EngineUnavailableError)
        assert spent(found.error).prompt_tokens == 2

    async def test_a_refusal_of_the_second_does_not_end_the_first(self) -> None:
        first, second = FakeEngine([0.1, *answer("yes")], name="a"), FakeEngine([UnsupportedError("no")], name="b")
        assert (await read(self.race(first, second), ASK)).text == "yes"

    async def test_an_error_in_the_middle_is_the_callers(self) -> None:
        first, second = FakeEngine([said("half"), EngineError("broke")], name="a"), FakeEngine(name="b")
        found = await read(self.race(first, second), ASK)
        assert (found.text, type(found.error), second.asked) == ("half", EngineError, [])

    async def test_leaving_early_closes_both(self) -> None:
        first, second = FakeEngine([30.0], name="a"), FakeEngine([30.0], name="b")
        others = asyncio.all_tasks()
        task = asyncio.create_task(read(self.race(first, second), ASK))
        await asyncio.sleep(0.1)
        assert (first.open, second.open) == (1, 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (first.open, second.open) == (0, 0)
        assert asyncio.all_tasks() == others

    async def test_the_deadline_ends_both(self) -> None:
        first, second = FakeEngine([30.0], name="a"), FakeEngine([30.0], name="b")
        found = await read(self.race(first, second, total=0.1), ASK)
        assert isinstance(found.error, EngineTimeoutError)
        assert (first.open, second.open) == (0, 0)


class TestLoad:
    async def test_counts_what_runs_and_times_what_ended(self) -> None:
        load, clock = Load("a"), FakeClock()

        class Slow(FakeEngine):
            async def run(self, request, ctx):
                clock.time += 2
                yield said("a", completion_tokens=1, seconds=3.0)
                clock.time += 4
                yield said("b", completion_tokens=3)
                yield Finished()

        engine = LoadEngine(Slow(), load, now=clock.now)
        async with aclosing(engine.run(ASK, context())) as events:
            await anext(events)
            assert load.outstanding == 1
        assert load.outstanding == 0
        assert load.per_token is None  # it broke off
        await read(engine, ASK)
        assert (load.first, load.per_token, load.answer) == (2, 1, 4)
        assert load.expected(10) == 12
        await read(engine, replace(ASK, stream=False))
        assert load.first == 2  # an answer in one piece has no first token
        assert load.asked == 3

    async def test_failures_are_not_left_counted(self) -> None:
        load = Load("a")
        await read(LoadEngine(FakeEngine([BUSY]), load), ASK)
        assert load.outstanding == 0


@pytest.mark.parametrize(
    ("message", "long"),
    [
        ("The endpoint refused the request: This model's maximum context length is 8192 tokens.", True),
        ("The endpoint refused the request: prompt is too long: 210000 tokens > 200000 maximum", True),
        ("The endpoint refused the request: The input token count (2000000) exceeds the maximum number of", True),
        ("The endpoint refused the request: Your input exceeds the context window of this model.", True),
        ("The prompt has 5000 tokens or more; the model's context is 4096, answer included.", True),
        ("The endpoint refused the request: context_length_exceeded", True),
        ("The endpoint refused the request: Invalid value for 'temperature'.", False),
        ("The endpoint refused the request: Your account is not active.", False),
    ],
)
def test_refusals_for_length_are_recognised_by_their_words(message: str, long: bool) -> None:
    assert is_too_long(InputError(message)) is long
    assert not is_too_long(EngineError(message))


class _Conformance(EngineConformance):
    """A wrapped engine is an engine."""

    def wrap(self, engine):
        raise NotImplementedError

    @pytest.fixture
    async def engine(self):
        engine = ScriptedEngine(SCRIPT)
        await engine.start()
        yield self.wrap(engine)
        assert engine.active == 0
        await engine.aclose()

    def make_engine(self):
        engine = ScriptedEngine(SLOW)
        wrapped = self.wrap(engine)
        wrapped.state, wrapped.start, wrapped.aclose = engine.state, engine.start, engine.aclose
        return wrapped


class TestGuardedEngine(_Conformance):
    def wrap(self, engine):
        return RetryEngine(BreakerEngine(LoadEngine(engine, Load("a")), Breaker("a")), "a")


class TestHedgedEngine(_Conformance):
    def wrap(self, engine):
        async def order(request, ctx):
            return [Candidate(name="a", engine=engine)]

        return HedgeEngine(order, lambda: engine.profile, after=5.0)


del EngineConformance, _Conformance
