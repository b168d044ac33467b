from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from athanor.config import RouteSettings
from athanor.engines import Engine
from athanor.engines.wrappers import BreakerOpenError, Breakers, Load
from athanor.errors import (
    ConfigError,
    EngineRefusedError,
    EngineUnavailableError,
    InputError,
    ModelError,
    NotFoundError,
    UnsupportedError,
)
from athanor.gateway import choice
from athanor.gateway.choice import Demand, Option
from athanor.gateway.promise import merged
from athanor.gateway.route import Route, Shared
from athanor.gateway.routes import Routes, build_route, classifier_path
from athanor.observe import Metrics
from athanor.testing.engines import chat, constant, context
from athanor.types import AnswerMode, Image, Message, Price, Profile, Role, Text, Tool, Usage
from tests.engines.failing import PROFILE, FakeClock, FakeEngine, answer, read, said

pytestmark = pytest.mark.anyio

ASK = chat("Hello.")
BUSY = EngineUnavailableError("busy")


def engine_of(*engines: FakeEngine) -> Callable[[str], Awaitable[Engine]]:
    async def find(name: str) -> Engine:
        for engine in engines:
            if engine.profile.name == name:
                return engine
        raise ModelError(f"no weights for {name}")

    return find


def shared(seed: int = 0) -> Shared:
    clock = FakeClock()
    return Shared(clock=clock, dice=random.Random(seed), breakers=Breakers(now=clock.now))


async def route(*engines: FakeEngine, parts: Shared | None = None, **settings: Any) -> Route:
    settings.setdefault("use", tuple(engine.profile.name for engine in engines))
    found = RouteSettings.model_validate(settings)
    return await build_route("route", found, engine_of(*engines), parts or shared(), Path("/nowhere"))


def options(**profiles: dict[str, Any]) -> list[Option]:
    return [Option(name=n, load=Load(n), profile=replace(PROFILE, name=n, **p)) for n, p in profiles.items()]


def pick(found: list[Option], demand: Demand | None = None, seed: int = 0, **settings: Any) -> list[str]:
    settings.setdefault("use", tuple(option.name for option in found))
    demand = demand or Demand(prompt=100)
    return choice.order(RouteSettings.model_validate(settings), demand, found, random.Random(seed))


class TestChoice:
    def test_first_is_the_order_of_the_settings(self) -> None:
        assert pick(options(b={}, a={})) == ["b", "a"]

    def test_weights_are_shares_and_the_rest_follows(self) -> None:
        found, dice = options(a={}, b={}, c={}), random.Random(1)
        settings = RouteSettings(use=("a", "b", "c"), pick="weighted", weights={"a": 3, "b": 1})
        drawn = [choice.order(settings, Demand(prompt=1), found, dice) for _ in range(4000)]
        firsts = Counter(names[0] for names in drawn)
        assert 0.72 < firsts["a"] / 4000 < 0.78
        assert firsts["c"] == 0
        assert all(names[-1] == "c" and sorted(names) == ["a", "b", "c"] for names in drawn)

    def test_without_weights_all_are_equal(self) -> None:
        found, dice = options(a={}, b={}), random.Random(1)
        settings = RouteSettings(use=("a", "b"), pick="weighted")
        firsts = Counter(choice.order(settings, Demand(prompt=1), found, dice)[0] for _ in range(1000))
        assert 430 < firsts["a"] < 570

    def test_cheapest_counts_prompt_and_answer(self) -> None:
        found = options(
            talker={"price": Price(prompt=1, completion=10)}, reader={"price": Price(prompt=4, completion=1)}
        )
        assert pick(found, Demand(prompt=10_000, limit=10), pick="cheapest")[0] == "talker"
        assert pick(found, Demand(prompt=10, limit=1000), pick="cheapest")[0] == "reader"

    def test_cheapest_learns_how_much_a_model_writes(self) -> None:
        found = options(a={"price": Price(completion=2)}, b={"price": Price(completion=3)})
        assert pick(found, pick="cheapest") == ["a", "b"]
        found[0].load.answer, found[1].load.answer = 200.0, 100.0
        assert pick(found, pick="cheapest") == ["b", "a"]

    def test_cheapest_prices_seconds_of_local_models(self) -> None:
        found = options(local={"price": Price(second=0.001)}, remote={"price": Price(prompt=1, completion=1)})
        found[0].load.seconds = 0.01
        assert pick(found, pick="cheapest")[0] == "remote"
        found[0].load.seconds = 0.0001
        assert pick(found, pick="cheapest")[0] == "local"

    def test_a_floor_leaves_out_what_is_worse_or_unknown(self) -> None:
        found = options(
            cheap={"quality": 0.3}, good={"quality": 0.8, "price": Price(prompt=9)}, unknown={"quality": None}
        )
        for way in ("first", "cheapest", "weighted", "least_busy", "fastest"):
            assert pick(found, pick=way, quality_floor=0.5) == ["good"]

    def test_fastest_measures_what_it_does_not_know_with_one_request_at_a_time(self) -> None:
        found = options(a={}, b={})
        found[0].load.learn(total=1.0, first=0.1, tokens=90)
        order = [pick(found, pick="fastest", seed=seed)[0] for seed in range(50)]
        assert order.count("b") > 40
        found[1].load.outstanding = 1
        order = [pick(found, pick="fastest", seed=seed)[0] for seed in range(50)]
        assert order.count("a") > 40

    def test_fastest_weighs_the_first_token_against_the_rest(self) -> None:
        found = options(quick_start={}, quick_end={})
        found[0].load.learn(total=10.1, first=0.1, tokens=100)
        found[1].load.learn(total=2.0, first=1.0, tokens=100)
        firsts = [pick(found, Demand(prompt=1, limit=2), pick="fastest", seed=s)[0] for s in range(200)]
        assert firsts.count("quick_start") > 170
        firsts = [pick(found, Demand(prompt=1, limit=200), pick="fastest", seed=s)[0] for s in range(200)]
        assert 170 < firsts.count("quick_end") < 200  # some explore

    def test_least_busy_keeps_a_conversation_where_its_prefix_is(self) -> None:
        found = options(a={}, b={}, c={})
        homes = {}
        for n in range(60):
            first = chat(f"Question {n}")
            turns = [*first.messages, Message(role=Role.ASSISTANT, content="Well."), *chat("And?").messages]
            demand = choice.demand_of(first, prefix=True)
            later = choice.demand_of(replace(first, messages=tuple(turns)), prefix=True)
            homes[n] = pick(found, demand, pick="least_busy")[0]
            assert pick(found, later, pick="least_busy")[0] == homes[n]
        assert set(Counter(homes.values())) == {"a", "b", "c"}
        fewer = [option for option in found if option.name != "c"]
        for n, home in homes.items():
            demand = choice.demand_of(chat(f"Question {n}"), prefix=True)
            assert home == "c" or pick(fewer, demand, pick="least_busy")[0] == home

    def test_least_busy_gives_a_prefix_up_when_its_replica_has_clearly_more_to_do(self) -> None:
        found = options(a={}, b={})
        demand = choice.demand_of(ASK, prefix=True)
        home, other = (next(o for o in found if o.name == name) for name in pick(found, demand, pick="least_busy"))
        home.load.outstanding = 2
        assert pick(found, demand, pick="least_busy")[0] == home.name
        home.load.outstanding = 3
        assert pick(found, demand, pick="least_busy") == [other.name, home.name]
        home.load.outstanding, other.load.outstanding = 24, 20
        assert pick(found, demand, pick="least_busy")[0] == home.name

    def test_a_task_goes_to_its_model_and_the_rest_to_the_first(self) -> None:
        found = options(large={}, small={})
        settings = {"use": ("large",), "pick": "task", "tasks": [{"model": "small", "labels": ["easy", "greeting"]}]}
        assert pick(found, Demand(prompt=1, label="easy"), **settings) == ["small", "large"]
        assert pick(found, Demand(prompt=1, label="hard"), **settings) == ["large"]
        assert pick(found, Demand(prompt=1), **settings) == ["large"]

    @pytest.mark.parametrize(
        "settings",
        [
            {"use": ("a",), "pick": "weighted", "weights": {"b": 1}},
            {"use": ("a",), "pick": "weighted", "weights": {"a": -1}},
            {"use": ("a",), "pick": "weighted", "weights": {"a": 0}},
            {"use": ("a",), "weights": {"a": 1}},
            {"use": ("a",), "pick": "task"},
            {"use": ("a",), "tasks": [{"model": "a", "labels": ["x"]}]},
            {
                "use": ("a",),
                "pick": "task",
                "tasks": [{"model": "a", "labels": ["x"]}, {"model": "b", "labels": ["x"]}],
            },
            {"use": ("me",)},
        ],
    )
    def test_settings_that_contradict_themselves_are_refused(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ConfigError) as caught:
            choice.check("me", RouteSettings.model_validate(settings))
        assert caught.value.where == "routes.me"


class TestFitting:
    def test_what_a_request_needs_is_seen(self) -> None:
        picture = Message(role=Role.USER, content="See.", parts=(Text(text="See."), Image(url="https://x/y.png")))
        request = replace(
            chat("x", schema=constant("x"), seed=3),
            messages=(picture,),
            tools=(Tool(name="f", parameters={"type": "object"}),),
        )
        assert {"image", "tools", "json_schema", "seed"} <= choice.demand_of(request).needs
        assert "top_p" not in choice.demand_of(request).needs

    @pytest.mark.parametrize(
        ("profile", "needs", "fit"),
        [
            ({}, {"tools"}, True),
            ({"lacks": frozenset({"tools"})}, {"tools"}, False),
            ({"lacks": frozenset({"tools"}), "drop": True}, {"tools"}, False),
            ({"lacks": frozenset({"seed"})}, {"seed"}, False),
            ({"lacks": frozenset({"seed"}), "drop": True}, {"seed"}, True),
            ({"json_schema": False}, {"json_schema"}, False),
        ],
    )
    def test_a_model_fits_if_it_can_answer_the_question_as_it_stands(
        self, profile: dict[str, Any], needs: set[str], fit: bool
    ) -> None:
        assert choice.fits(replace(PROFILE, **profile), Demand(prompt=1, needs=frozenset(needs))) is fit

    async def test_models_that_do_not_fit_are_left_out_while_others_remain(self) -> None:
        small, blind, able = (
            FakeEngine(name="small", context=50),
            FakeEngine(name="blind", lacks=frozenset({"tools"})),
            FakeEngine(answer("yes"), name="able"),
        )
        request = replace(chat("word " * 100), tools=(Tool(name="f", parameters={"type": "object"}),))
        found = await read(await route(small, blind, able), request)
        assert found.text == "yes"
        assert found.span.tries() == [("able", "ok")]

    async def test_if_none_fits_the_first_says_what_is_wrong(self) -> None:
        refuses = [UnsupportedError("cannot call tools")]
        engines = [FakeEngine(refuses, name=name, lacks=frozenset({"tools"})) for name in "ab"]
        request = replace(ASK, tools=(Tool(name="f", parameters={"type": "object"}),))
        found = await read(await route(*engines), request)
        assert isinstance(found.error, UnsupportedError)
        assert [len(engine.asked) for engine in engines] == [1, 0]

    async def test_what_the_chosen_model_may_drop_is_dropped_and_noted(self) -> None:
        engine = FakeEngine(name="a", lacks=frozenset({"seed"}), drop=True)
        found = await read(await route(engine, FakeEngine(name="b")), chat("x", seed=3))
        assert engine.asked[0].sampling.seed is None
        assert found.span.attributes["dropped"] == ["seed"]


class TestRoute:
    async def test_tries_then_models_then_fallbacks(self) -> None:
        a, b = FakeEngine([BUSY], name="a"), FakeEngine([EngineRefusedError("no")], name="b")
        last = FakeEngine(answer("yes"), name="last")
        built = await route(a, b, last, use=("a", "b"), fall_back_to=("last", "a"))
        found = await read(built, ASK)
        assert found.text == "yes"
        tries = [("a", "engine_unavailable")] * 2 + [("b", "engine_refused"), ("last", "ok")]
        assert found.span.tries() == tries
        assert found.span.attributes["target"] == "last"

    async def test_a_model_that_keeps_failing_is_left_alone_by_all_routes(self) -> None:
        bad, good = FakeEngine([BUSY], name="bad"), FakeEngine(name="good")
        parts = shared()
        settings = {"use": ("bad", "good"), "breaker": {"failures": 3}, "retry": {"attempts": 1}}
        one = await route(bad, good, parts=parts, **settings)
        two = await route(bad, good, parts=parts, **settings)
        for _ in range(3):
            assert (await read(one, ASK)).text == "ok"
        found = await read(two, ASK)
        assert found.span.tries() == [("good", "ok")]
        assert found.span.attributes == {"left_alone": ["bad"], "target": "good"}
        assert len(bad.asked) == 3
        assert {m["name"]: m["breaker"]["state"] for m in two.describe()["models"]} == {
            "bad": "open",
            "good": "closed",
        }
        parts.clock.time += 31
        assert (await read(two, ASK)).span.tries() == [("bad", "engine_unavailable"), ("good", "ok")]

    async def test_when_all_are_left_alone_the_caller_is_told_when_to_come_back(self) -> None:
        parts = shared()
        engines = [FakeEngine([BUSY], name=name) for name in "ab"]
        built = await route(*engines, parts=parts, breaker={"failures": 1, "pause_s": 20}, retry={"attempts": 1})
        await read(built, ASK)
        parts.clock.time += 5
        found = await read(built, ASK)
        assert isinstance(found.error, BreakerOpenError)
        assert found.error.retry_after == 15
        assert [len(engine.asked) for engine in engines] == [1, 1]

    async def test_a_model_that_cannot_be_found_is_passed_over_and_looked_for_again(self) -> None:
        engines = [FakeEngine(name="b")]
        built = await route(*engines, use=("a", "b"))
        assert (await read(built, ASK)).span.tries() == [("a", "model_unusable"), ("b", "ok")]
        card = built.describe()["models"][0]
        assert "no weights for a" in card["error"]
        assert card["context"] is None

    async def test_a_model_that_takes_long_to_be_found_does_not_hold_up_the_others(self) -> None:
        quick, slow = FakeEngine([BUSY], name="quick"), FakeEngine(answer("yes"), name="slow")
        arrives = asyncio.Event()

        async def find(name: str) -> Engine:
            if name == "slow":
                await arrives.wait()
                return slow
            return quick

        settings = RouteSettings(use=("quick",), fall_back_to=("slow",), retry={"attempts": 1})
        built = await build_route("r", settings, find, replace(shared(), find_s=0.02), Path("/nowhere"))
        assert built.profile.licence == "none"
        task = asyncio.create_task(read(built, ASK))
        await asyncio.sleep(0.05)
        assert not task.done()  # its turn has come
        arrives.set()
        assert (await task).text == "yes"

    async def test_a_hold_is_enough_for_both_of_a_hedge(self) -> None:
        engines = [FakeEngine(name=name, price=Price(prompt=2, completion=3, second=1)) for name in "ab"]
        plain, hedged = await route(*engines), await route(*engines, hedge_after_s=1)
        assert plain.profile.price.of(Usage(prompt_tokens=10, completion_tokens=10, seconds=1)) * 2 == (
            hedged.profile.price.of(Usage(prompt_tokens=10, completion_tokens=10, seconds=1))
        )

    async def test_a_route_of_nothing_is_refused(self) -> None:
        with pytest.raises(ModelError, match="no weights for a"):
            await route(use=("a", "b"))

    async def test_a_floor_that_nothing_reaches_is_a_mistake_in_the_settings(self) -> None:
        found = await read(await route(FakeEngine(name="a"), quality_floor=0.5), ASK)
        assert isinstance(found.error, ConfigError)
        assert found.error.where == "routes.route.quality_floor"

    async def test_fallbacks_need_not_reach_the_floor(self) -> None:
        good, worse = FakeEngine([BUSY], name="good", quality=0.9), FakeEngine(name="worse", quality=0.1)
        built = await route(good, worse, use=("worse", "good"), fall_back_to=("worse",), quality_floor=0.5)
        assert (await read(built, ASK)).span.attributes["target"] == "worse"

    async def test_hedging_is_a_setting(self) -> None:
        slow, quick = FakeEngine([30.0], name="slow"), FakeEngine(answer("yes"), name="quick")
        found = await read(await route(slow, quick, hedge_after_s=0.02), ASK)
        assert found.text == "yes"
        assert slow.open == 0

    async def test_load_follows_the_streams(self) -> None:
        engine = FakeEngine([said("a"), 30.0], name="a")
        built = await route(engine)
        async with aclosing(built.run(ASK, context())) as events:
            await anext(events)
            assert built.describe()["models"][0]["load"]["outstanding"] == 1
        assert built.describe()["models"][0]["load"]["outstanding"] == 0

    async def test_least_busy_spreads_what_has_no_common_prefix(self) -> None:
        engines = [FakeEngine([0.05, *answer("x")], name=name) for name in "abc"]
        built = await route(*engines, pick="least_busy")
        await asyncio.gather(*(read(built, chat(f"Question {n}")) for n in range(60)))
        assert all(engine.most <= 25 for engine in engines)
        assert sum(len(engine.asked) for engine in engines) == 60

    async def test_least_busy_does_not_let_one_prefix_fill_one_replica(self) -> None:
        engines = [FakeEngine([0.05, *answer("x")], name=name) for name in "abc"]
        built = await route(*engines, pick="least_busy")
        await asyncio.gather(*(read(built, ASK) for _ in range(30)))
        assert max(engine.most for engine in engines) <= 13
        assert min(engine.most for engine in engines) >= 8


class TestPromise:
    def test_is_one_that_every_model_can_keep(self) -> None:
        small = Profile(
            name="small",
            context=1000,
            licence="MIT",
            grounded=AnswerMode.EXTRACTIVE,
            max_tokens=100,
            lacks=frozenset({"tools", "seed"}),
            quality=0.4,
            price=Price(prompt=1, cached=0.5),
        )
        large = replace(
            small,
            name="large",
            context=9000,
            licence="own",
            grounded=AnswerMode.GENERATIVE,
            max_tokens=900,
            lacks=frozenset({"seed"}),
            quality=0.9,
            price=Price(prompt=0.2, completion=8),
            remote=True,
            json_schema=True,
            temperature=None,
        )
        promise = merged("both", [small, large])
        assert (promise.name, promise.context, promise.max_tokens) == ("both", 1000, 900)
        assert promise.lacks == {"seed"}
        assert promise.price == Price(prompt=1, completion=8, cached=0.5, written=1)
        assert (promise.quality, promise.remote, promise.json_schema) == (0.4, True, True)
        assert promise.grounded is AnswerMode.EXTRACTIVE
        assert promise.temperature is None
        assert merged("one", [replace(small, quality=None), large]).quality is None


class TestRoutes:
    def make(self, *engines: FakeEngine, **routes: dict[str, Any]) -> tuple[Routes, Metrics]:
        metrics = Metrics()
        settings = {name: RouteSettings.model_validate(body) for name, body in routes.items()}
        return Routes(settings, engine_of(*engines), home=Path("/nowhere"), metrics=metrics), metrics

    async def test_are_built_once_and_count_their_tries(self) -> None:
        bad, good = FakeEngine([EngineRefusedError("no")], name="bad"), FakeEngine(name="good")
        routes, metrics = self.make(bad, good, r={"use": ["bad", "good"], "breaker": {"failures": 1}})
        assert "r" in routes
        assert routes.names() == ["r"]
        built = await routes.get("r")
        assert await routes.get("r") is built
        await read(built, ASK)
        text = metrics.render()
        assert 'athanor_attempts_total{model="bad",outcome="engine_refused"} 1' in text
        assert 'athanor_attempts_total{model="good",outcome="ok"} 1' in text
        assert "athanor_breakers_open 1" in text

    async def test_an_unknown_one_says_where_to_look(self) -> None:
        routes, _ = self.make()
        with pytest.raises(NotFoundError, match="route list"):
            await routes.get("nobody")

    def test_settings_that_contradict_themselves_are_refused_at_once_and_not_at_the_first_request(self) -> None:
        with pytest.raises(ConfigError) as caught:
            self.make(r={"use": ["a"], "weights": {"a": 1}})
        assert caught.value.where == "routes.r"

    async def test_one_that_cannot_be_built_is_described_with_its_reason(self) -> None:
        task = {"use": ["a"], "pick": "task", "tasks": [{"model": "b", "labels": ["x"]}]}
        routes, _ = self.make(FakeEngine(name="a"), FakeEngine(name="b"), r=task)
        found = await routes.describe("r")
        assert "embedder" in found["error"]
        assert [model["name"] for model in found["models"]] == ["a", "b"]

    async def test_a_draft_wears_nothing_that_serves(self) -> None:
        routes, _ = self.make(FakeEngine([BUSY], name="a"), r={"use": ["a"]})
        draft = await routes.draft("r", RouteSettings(use=("a",), breaker={"failures": 1}))
        await read(draft, ASK)
        assert list(routes.shared.breakers) == []

    def test_a_name_leads_to_no_other_folder(self) -> None:
        path = classifier_path("a/../../b", RouteSettings(use=("x",)), Path("/home"))
        assert path.parent == Path("/home/routes")


async def test_a_bad_request_is_refused_by_the_first_model() -> None:
    engines = [FakeEngine([InputError("bad")], name=name) for name in "ab"]
    found = await read(await route(*engines), ASK)
    assert isinstance(found.error, InputError)
    assert [len(engine.asked) for engine in engines] == [1, 0]
