"""The limiter itself: what is held, what is refused, what comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from athanor.engines.wrappers.failures import bill
from athanor.errors import BudgetError, EngineError, RateLimitError
from athanor.gateway.estimate import size
from athanor.gateway.limits import Hold, Limiter
from athanor.gateway.meters import Window
from athanor.types import (
    NO_LIMITS,
    AnswerMode,
    ApiKey,
    Context,
    Limits,
    Message,
    Price,
    Principal,
    Profile,
    Request,
    Role,
    RoleName,
    Sampling,
    Team,
    Usage,
)

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC).timestamp()
DOLLAR = Price(completion=1_000_000.0)
"""A dollar for each token of the answer: costs can be counted on fingers."""


class Time:
    """A clock that is set by hand."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def profile(**more: Any) -> Profile:
    return Profile(name="m", context=1000, licence="", grounded=AnswerMode.GENERATIVE, **{"price": DOLLAR, **more})


def request(answer: int | None = 1, text: str = "") -> Request:
    message = Message(role=Role.USER, content=text)
    return Request(model="m", messages=(message,), sampling=Sampling(max_tokens=answer))


def context(
    key: Limits = NO_LIMITS, team: Limits | None = None, *, name: str = "key_1", trace: str = "tr", **more: Any
) -> Context:
    group = None if team is None else Team(id="team_1", name="t", created_at=0.0, limits=team)
    who = Principal(id="pr_1", name="ada", role=RoleName.USER, created_at=0.0, team=group)
    api = ApiKey(id=name, principal="pr_1", name="k", hint="ath_", created_at=0.0, limits=key, **more)
    return Context(principal=who, key=api, trace=trace, door="test")


def limiter(system: Limits = NO_LIMITS, time: Time | None = None) -> tuple[Limiter, Time]:
    time = time or Time()
    return Limiter(system, clock=time, ticks=time), time


def spend(limits: Limiter, ctx: Context, dollars: int) -> None:
    with limits.hold(ctx, request(dollars), profile()) as hold:
        hold.usage = Usage(completion_tokens=dollars, cost=dollars)


PLACES = ["key", "team", "system"]


def placed(place: str, limits: Limits) -> tuple[Limiter, Context, Time]:
    """A limiter and a caller for whom `limits` hold on their key, their team, or the whole system."""
    made, time = limiter(limits if place == "system" else NO_LIMITS)
    ctx = context(limits if place == "key" else NO_LIMITS, limits if place == "team" else NO_LIMITS)
    return made, ctx, time


@pytest.mark.parametrize("place", PLACES)
def test_requests_in_a_minute(place: str) -> None:
    limits, ctx, time = placed(place, Limits(requests_per_minute=2))
    for _ in range(2):
        spend(limits, ctx, 1)
    with pytest.raises(RateLimitError, match=f"This {place} may send 2 requests a minute") as refused:
        limits.hold(ctx, request(), profile())
    assert refused.value.code == "rate_limited"
    assert 60 <= (refused.value.retry_after or 0) <= 61
    assert refused.value.headers["x-ratelimit-remaining-requests"] == "0"
    time.at += refused.value.retry_after or 0
    spend(limits, ctx, 1)


@pytest.mark.parametrize("place", PLACES)
def test_tokens_in_a_minute_are_held_and_given_back(place: str) -> None:
    limits, ctx, time = placed(place, Limits(tokens_per_minute=100))
    tokens = size(request(40)).likely + 40
    with limits.hold(ctx, request(40), profile()) as hold:
        assert hold.headers()["x-ratelimit-remaining-tokens"] == str(100 - tokens)
        limits.hold(ctx, request(40), profile()).__enter__()
        with pytest.raises(RateLimitError, match="tokens a minute") as refused:
            limits.hold(ctx, request(40), profile())
        assert (refused.value.retry_after or 0) > 59
        hold.usage = Usage(prompt_tokens=2, completion_tokens=3)
    with limits.hold(ctx, request(40), profile()):
        pass
    assert limits.spent(place, {"key": "key_1", "team": "team_1"}.get(place, ""))["tokens_last_minute"] == tokens + 5
    time.at += 61
    assert limits.spent("key", "key_1")["tokens_last_minute"] == 0


@pytest.mark.parametrize("place", PLACES)
def test_requests_at_once(place: str) -> None:
    limits, ctx, _ = placed(place, Limits(concurrency=2))
    first, second = limits.hold(ctx, request(), profile()), limits.hold(ctx, request(), profile())
    with pytest.raises(RateLimitError, match="2 requests at once") as refused:
        limits.hold(ctx, request(), profile())
    assert refused.value.retry_after == 1.0
    first.__exit__(None, None, None)
    limits.hold(ctx, request(), profile()).__exit__(None, None, None)
    second.__exit__(None, None, None)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("period", ["day", "month"])
def test_money(place: str, period: str) -> None:
    limits, ctx, time = placed(place, Limits(**{f"usd_per_{period}": 10.0}))
    spend(limits, ctx, 4)
    with limits.hold(ctx, request(6), profile()):
        with pytest.raises(BudgetError, match=r"4\.000000 are spent, 6\.000000 are held") as refused:
            limits.hold(ctx, request(1), profile())
        assert refused.value.code == "budget_exceeded"
        assert refused.value.retry_after == 1.0, "what is held may come back at any moment"
    spend(limits, ctx, 6)
    with pytest.raises(BudgetError) as refused:
        limits.hold(ctx, request(1), profile())
    assert refused.value.headers["x-ratelimit-remaining-usd"] == "0"
    assert refused.value.headers["x-should-retry"] == "false"
    hours = 12 if period == "day" else 12 + 24 * 17
    assert refused.value.retry_after == hours * 3600
    time.at += hours * 3600 - 1
    with pytest.raises(BudgetError):
        limits.hold(ctx, request(1), profile())
    time.at += 1
    spend(limits, ctx, 10)


def test_a_month_is_not_over_with_its_days() -> None:
    limits, time = limiter()
    ctx = context(Limits(usd_per_day=5, usd_per_month=8))
    spend(limits, ctx, 5)
    time.at += 86400
    with pytest.raises(BudgetError, match="8 US dollars a month"):
        limits.hold(ctx, request(4), profile())
    spend(limits, ctx, 3)
    assert limits.spent("key", "key_1")["usd_this_month"] == 8
    time.at = datetime(2026, 4, 1, tzinfo=UTC).timestamp()
    assert limits.spent("key", "key_1")["usd_this_month"] == 0
    spend(limits, ctx, 5)


def test_a_request_belongs_to_the_day_it_arrived_on() -> None:
    limits, time = limiter()
    ctx = context(Limits(usd_per_day=5, usd_per_month=50))
    late = limits.hold(ctx, request(5), profile())
    time.at += 86400
    with pytest.raises(BudgetError):  # what it holds may still be spent
        limits.hold(ctx, request(5), profile())
    late.usage = Usage(cost=5)
    late.__exit__(None, None, None)
    assert limits.spent("key", "key_1") | {"running": 0} == {
        "usd_today": 0.0,
        "usd_this_month": 5.0,
        "usd_held": 0.0,
        "running": 0,
        "requests_last_minute": 0,
        "tokens_last_minute": 0,
    }
    spend(limits, ctx, 5)


def test_a_clock_that_is_set_back_gives_no_money_back() -> None:
    limits, time = limiter()
    ctx = context(Limits(usd_per_day=5))
    time.at += 86400
    spend(limits, ctx, 5)
    time.at -= 86400
    with pytest.raises(BudgetError):
        limits.hold(ctx, request(1), profile())


def test_nothing_is_taken_where_one_limit_refuses() -> None:
    limits, _ = limiter(Limits(usd_per_day=100))
    ctx = context(Limits(usd_per_day=1), Limits(usd_per_day=50, requests_per_minute=5))
    with pytest.raises(BudgetError, match="budget of this key"):
        limits.hold(ctx, request(2), profile())
    for kind, id_ in (("system", ""), ("team", "team_1"), ("key", "key_1")):
        assert set(limits.spent(kind, id_).values()) == {0}


def test_what_never_fits_says_so() -> None:
    limits, _ = limiter()
    for bound in (Limits(tokens_per_minute=10), Limits(requests_per_minute=0), Limits(concurrency=0)):
        with pytest.raises(RateLimitError, match=r"may (use|send|run)") as refused:
            limits.hold(context(bound), request(100), profile())
        assert refused.value.retry_after is None
        assert refused.value.headers["x-should-retry"] == "false"
        assert "never fits" in str(refused.value)


def test_what_costs_nothing_runs_on_an_empty_budget() -> None:
    limits, _ = limiter()
    ctx = context(Limits(usd_per_day=0))
    with pytest.raises(BudgetError):
        limits.hold(ctx, request(1), profile())
    with limits.hold(ctx, request(1), profile(price=Price())):
        pass


def test_an_answer_is_bounded_where_it_has_to_be() -> None:
    limits, _ = limiter()
    for bound, answer in ((Limits(usd_per_day=1e6), 77), (Limits(tokens_per_minute=1000), 77), (NO_LIMITS, None)):
        with limits.hold(context(bound), request(None), profile(max_tokens=77)) as hold:
            assert hold.request.sampling.max_tokens == answer
        with limits.hold(context(bound), request(5), profile(max_tokens=77)) as hold:
            assert hold.request.sampling.max_tokens == 5


def test_the_dearest_way_through_a_vendors_cache_is_held() -> None:
    price = Price(prompt=1e6, written=3e6, cached=1e5)
    limits, _ = limiter()
    ctx = context(Limits(usd_per_day=1e9))
    with limits.hold(ctx, request(0, "x" * 100), profile(price=price, max_tokens=1)):
        assert limits.spent("key", "key_1")["usd_held"] >= 300


def test_seconds_of_a_local_model_are_learnt() -> None:
    limits, _ = limiter()
    ctx, local = context(Limits(usd_per_day=1e9)), profile(price=Price(second=1.0))

    def held() -> float:
        with limits.hold(ctx, request(100), local):
            return limits.spent("key", "key_1")["usd_held"]

    before = held()
    limits.learn("m", Usage(completion_tokens=10, seconds=5.0))
    assert held() == pytest.approx(before / 0.02 * 0.5)


def test_failed_tries_are_paid_for() -> None:
    limits, _ = limiter()
    ctx = context(Limits(usd_per_day=10))
    with pytest.raises(EngineError), limits.hold(ctx, request(5), profile()) as hold:
        hold.usage = Usage(cost=1)
        error = EngineError("broke")
        bill(error, Usage(cost=2))
        raise error
    assert limits.spent("key", "key_1")["usd_today"] == 3


def test_more_used_than_held_is_counted() -> None:
    limits, _ = limiter()
    ctx = context(Limits(usd_per_day=10, tokens_per_minute=100))
    with limits.hold(ctx, request(5), profile()) as hold:
        hold.usage = Usage(completion_tokens=90, cost=9)
    now = limits.spent("key", "key_1")
    assert (now["usd_today"], now["tokens_last_minute"], now["usd_held"]) == (9, 90, 0)


def test_limits_are_those_of_the_request_that_comes() -> None:
    limits, _ = limiter()
    spend(limits, context(Limits(usd_per_day=5)), 5)
    with pytest.raises(BudgetError):
        limits.hold(context(Limits(usd_per_day=5)), request(1), profile())
    spend(limits, context(Limits(usd_per_day=6)), 1)


def test_people_without_a_key_spend_for_their_team() -> None:
    limits, _ = limiter()
    team = Limits(usd_per_day=2)
    person = context(team=team)
    person = Context(principal=person.principal, trace="tr", door="console")
    spend(limits, person, 2)
    with pytest.raises(BudgetError, match="this team"):
        limits.hold(context(team=team), request(1), profile())


def test_rotated_keys_spend_from_one_budget() -> None:
    limits, _ = limiter()
    bound = Limits(usd_per_day=6, concurrency=1)
    spend(limits, context(bound, name="a"), 2)
    limits.follow("a", "b")
    spend(limits, context(bound, name="b"), 2)
    limits.follow("b", "c")
    with limits.hold(context(bound, name="a"), request(1), profile()), pytest.raises(RateLimitError):
        limits.hold(context(bound, name="c"), request(1), profile())
    spend(limits, context(bound, name="c"), 2)
    for name in "abc":
        assert limits.spent("key", name)["usd_today"] == 6
        with pytest.raises(BudgetError):
            limits.hold(context(bound, name=name), request(1), profile())


def test_what_was_spent_before_the_start_counts() -> None:
    limits, _ = limiter(Limits(usd_per_month=20))
    today = [("a", "team_1", 2.0), ("b", None, 1.0)]
    month = [("a", "team_1", 5.0), ("b", None, 4.0), (None, None, 3.0)]
    limits.restore(today, month, {"a": "b"})
    assert limits.spent("key", "a") == limits.spent("key", "b")
    assert (limits.spent("key", "b")["usd_today"], limits.spent("key", "b")["usd_this_month"]) == (3, 9)
    assert (limits.spent("team", "team_1")["usd_today"], limits.spent("team", "team_1")["usd_this_month"]) == (2, 5)
    assert limits.spent("system")["usd_this_month"] == 12
    assert limits.spending()["system"] == limits.spent("system")
    with pytest.raises(BudgetError, match="this system"):
        limits.hold(context(name="z"), request(9), profile())


def test_parts_draw_on_the_hold_and_enlarge_it() -> None:
    limits, _ = limiter()
    ctx = context(Limits(usd_per_day=10, requests_per_minute=1, concurrency=1))
    with limits.hold(ctx, request(3), profile()) as hold:
        with limits.part(ctx, request(2), profile()) as part:
            assert limits.spent("key", "key_1")["usd_held"] == 3
            part.usage = Usage(completion_tokens=1, cost=1)
        # Of the three one is spent, two are left.
        with limits.part(ctx, request(6), profile()) as part:
            assert limits.spent("key", "key_1")["usd_held"] == 7
            with pytest.raises(BudgetError):
                limits.part(ctx, request(4), profile())
            with limits.part(ctx, request(3), profile()):
                assert limits.spent("key", "key_1")["usd_held"] == 10
            part.usage = Usage(completion_tokens=6, cost=6)
        hold.usage = Usage(completion_tokens=7, cost=7)
    now = limits.spent("key", "key_1")
    assert (now["usd_today"], now["usd_held"], now["running"], now["requests_last_minute"]) == (7, 0, 0, 1)


def test_a_part_that_used_more_than_it_drew_is_held_at_once() -> None:
    limits, _ = limiter()
    ctx = context(Limits(usd_per_day=10))
    with limits.hold(ctx, request(1), profile()):
        with limits.part(ctx, request(1), profile()) as part:
            part.usage = Usage(cost=9)
        assert limits.spent("key", "key_1")["usd_held"] == 9
        with pytest.raises(BudgetError):
            limits.part(ctx, request(2), profile())


def test_a_part_without_a_request_is_a_hold_of_its_own() -> None:
    limits, _ = limiter()
    ctx = context(Limits(usd_per_day=2))
    with limits.part(ctx, request(2), profile()) as part:
        part.usage = Usage(cost=2)
    assert limits.spent("key", "key_1")["usd_today"] == 2


def test_tokens_of_a_long_request_are_given_back_where_they_were_taken() -> None:
    """What was counted in a minute that is over stays there, so that no later minute has less than nothing in it."""
    limits, time = limiter()
    ctx = context(Limits(tokens_per_minute=1000))
    with limits.hold(ctx, request(100), profile()) as hold:
        with limits.part(ctx, request(100), profile()) as part:
            part.usage = Usage(completion_tokens=100)
        time.at += 30
        with limits.part(ctx, request(500), profile()) as part:
            part.usage = Usage(completion_tokens=20)
        hold.usage = Usage(completion_tokens=120)
    assert limits.spent("key", "key_1")["tokens_last_minute"] == 120
    time.at += 31
    assert 0 <= limits.spent("key", "key_1")["tokens_last_minute"] <= 20


def test_embeddings_reserve_what_they_use() -> None:
    limits, _ = limiter()
    ctx = context(Limits(tokens_per_minute=10, usd_per_day=1))
    with limits.reserve(ctx, tokens=10, usd=1.0) as hold:
        hold.usage = Usage(prompt_tokens=8, cost=0.5)
    with pytest.raises(RateLimitError):
        limits.reserve(ctx, tokens=3)
    with pytest.raises(BudgetError):
        limits.reserve(ctx, tokens=1, usd=0.6)


def test_headers_tell_the_tightest_limit() -> None:
    limits, time = limiter(Limits(requests_per_minute=100, usd_per_day=50))
    ctx = context(Limits(requests_per_minute=10), Limits(usd_per_day=80, usd_per_month=20.5, concurrency=3))
    time.at += 0.5
    with limits.hold(ctx, request(2), profile()) as hold:
        assert hold.headers() == {
            "x-ratelimit-limit-requests": "10",
            "x-ratelimit-remaining-requests": "9",
            "x-ratelimit-reset-requests": "61s",
            "x-ratelimit-limit-usd": "20.5",
            "x-ratelimit-remaining-usd": "18.5",
            "x-ratelimit-reset-usd": f"{12 * 3600 + 17 * 86400}s",
            "x-ratelimit-limit-concurrency": "3",
            "x-ratelimit-remaining-concurrency": "2",
        }
    free, _ = limiter()
    with free.hold(context(), request(), profile()) as hold:
        assert hold.headers() == {}


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(1, 50)), max_size=40))
@example([(0.9, 1), (60.5, 1)])
@settings(max_examples=100, deadline=None)
def test_a_window_never_forgets_too_early(events: list[tuple[float, int]]) -> None:
    """Whatever was counted in the last 60 seconds is in the sum."""
    window, seen = Window(), []
    for now, amount in sorted(events):
        window.expire(now)
        window.add(now, amount)
        seen.append((now, amount))
        exact = sum(a for at, a in seen if at > now - 60)
        assert exact <= window.total <= sum(a for at, a in seen if at > now - 62)
        if window.total:
            assert window.wait(now, 1) <= window.wait(now, window.total) == window.reset(now) <= 61


LIMITS = st.builds(
    Limits,
    requests_per_minute=st.none() | st.integers(0, 12),
    tokens_per_minute=st.none() | st.integers(0, 2000),
    concurrency=st.none() | st.integers(0, 5),
    usd_per_day=st.none() | st.integers(0, 40).map(float),
    usd_per_month=st.none() | st.integers(0, 60).map(float),
)


class Interleavings(RuleBasedStateMachine):
    """Holds and parts that begin and end in any order, against a model that only keeps a list of what was spent."""

    def __init__(self) -> None:
        super().__init__()
        self.limits, self.time = limiter(Limits(usd_per_day=70.0, concurrency=9))
        self.open: list[tuple[Hold, Context, int, str]] = []
        self.spent: list[tuple[str, str, int]] = []
        """Key, day, dollars."""
        self.bounds = [NO_LIMITS, NO_LIMITS]
        self.team = NO_LIMITS
        self.count = 0

    @rule(which=st.integers(0, 1), limits=LIMITS)
    def change_key(self, which: int, limits: Limits) -> None:
        self.bounds[which] = limits

    @rule(limits=LIMITS)
    def change_team(self, limits: Limits) -> None:
        self.team = limits

    @rule(seconds=st.sampled_from([0.3, 5.0, 61.0, 43_200.0]))
    def wait(self, seconds: float) -> None:
        self.time.at += seconds

    @rule(which=st.integers(0, 1), dollars=st.integers(1, 15))
    def begin(self, which: int, dollars: int) -> None:
        self.count += 1
        ctx = context(self.bounds[which], self.team, name=f"key_{which}", trace=f"tr_{self.count}")
        before = self.limits.spending()
        try:
            hold = self.limits.hold(ctx, request(dollars), profile())
        except RateLimitError:
            after = self.limits.spending()
            assert {k: v for k, v in after.items() if k in before} == before
            return
        self.open.append((hold, ctx, dollars, datetime.fromtimestamp(self.time.at, UTC).strftime("%Y-%m-%d")))
        for name, limits in (
            ("system", Limits(usd_per_day=70.0, concurrency=9)),
            ("team:team_1", self.team),
            (f"key:key_{which}", self.bounds[which]),
        ):
            self.within(self.limits.spending()[name], limits)

    def within(self, now: dict[str, float], limits: Limits) -> None:
        """Just after a request was let in, nothing is over its limit."""
        infinite = float("inf")

        def most(limit: float | None) -> float:
            return infinite if limit is None else limit

        assert now["usd_today"] + now["usd_held"] <= most(limits.usd_per_day)
        assert now["usd_this_month"] + now["usd_held"] <= most(limits.usd_per_month)
        assert now["running"] <= most(limits.concurrency)
        assert now["requests_last_minute"] <= most(limits.requests_per_minute)
        assert now["tokens_last_minute"] <= most(limits.tokens_per_minute)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99), share=st.floats(0, 1), fails=st.booleans())
    def end(self, which: int, share: float, fails: bool) -> None:
        hold, ctx, dollars, day = self.open.pop(which % len(self.open))
        used = int(dollars * share)
        hold.usage = Usage(completion_tokens=used, cost=used)
        error = EngineError("x") if fails else None
        hold.__exit__(type(error) if error else None, error, None)
        assert ctx.key is not None
        self.spent.append((ctx.key.id, day, used))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99), dollars=st.integers(1, 15), share=st.floats(0, 1))
    def inner_call(self, which: int, dollars: int, share: float) -> None:
        """An engine calls another one within a request, and the request is billed for it in the end."""
        place = which % len(self.open)
        hold, ctx, _, day = self.open[place]
        try:
            part = self.limits.part(ctx, request(dollars), profile())
        except RateLimitError:
            return
        used = int(dollars * share)
        with part:
            part.usage = Usage(completion_tokens=used, cost=used)
        self.open.pop(place)
        hold.usage = Usage(completion_tokens=used, cost=used)
        hold.__exit__(None, None, None)
        assert ctx.key is not None
        self.spent.append((ctx.key.id, day, used))

    @invariant()
    def sums_agree(self) -> None:
        day = datetime.fromtimestamp(self.time.at, UTC).strftime("%Y-%m-%d")
        now = self.limits.spending()
        for name, chosen in (("key:key_0", "key_0"), ("key:key_1", "key_1"), ("system", "")):
            if name not in now:
                continue
            rows = [row for row in self.spent if chosen in ("", row[0])]
            assert now[name]["usd_today"] == sum(usd for _, at, usd in rows if at == day)
            assert now[name]["usd_this_month"] == sum(usd for _, at, usd in rows if at[:7] == day[:7])
            opened = [o for o in self.open if o[1].key is not None and chosen in ("", o[1].key.id)]
            assert now[name]["running"] == len(opened)
            if not opened:
                assert now[name]["usd_held"] == 0
            assert now[name]["tokens_last_minute"] >= 0

    def teardown(self) -> None:
        while self.open:
            self.end(0, 1.0, False)
        self.time.at += 62
        for now in self.limits.spending().values():
            assert (now["usd_held"], now["running"]) == (0, 0)
            assert (now["tokens_last_minute"], now["requests_last_minute"]) == (0, 0)
        assert not self.limits._open


Interleavings.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestInterleavings = Interleavings.TestCase
