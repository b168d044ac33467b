"""Limits of keys, teams and the whole system: requests, tokens, concurrency, money.

A request takes a *hold* before it runs: one request, the tokens it can use at most, and what those can cost. All of it
is taken or nothing, in one step of the event loop, so N requests at once cannot pass a limit that has room for fewer.
When the request ends, the hold is replaced by what was used. Engines that call priced engines on their own (a knowledge
base its writer, an agent its model) do so under `Within`, which draws on the request's hold, and enlarges it where it
is too small. Money that was spent is the ledger's sum, read once at the start, so a crash loses none of it.

Windows are sliding: in any 60 seconds, no more than the limit. One process counts for itself; servers that share a
PostgreSQL each have their own counters.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace

from athanor.engines import Engine
from athanor.engines.wrappers import Wrapper
from athanor.gateway.allowance import Need, Now, Subject, admit, bounded
from athanor.gateway.estimate import estimate, size
from athanor.gateway.holds import Hold, Part
from athanor.gateway.meters import PICO, Meter, day_of, ends, pico
from athanor.types import NO_LIMITS, Context, Event, Limits, Profile, Request, Usage

__all__ = ["Hold", "Limiter", "Part", "Within", "estimate"]

_NOTHING = Request(model="", messages=())

Spent = Iterable[tuple[str | None, str | None, float]]
"""What the ledger says: (key, team, US dollars)."""


class Limiter:
    """Takes holds. Call it from one event loop only.

    Args:
        system: limits of everything together.
        clock: Unix seconds, for days and months.
        ticks: seconds that never go back, for minutes.
    """

    def __init__(
        self,
        system: Limits = NO_LIMITS,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._system = NO_LIMITS if system == NO_LIMITS else system  # told apart by identity, on every request
        self._clock = clock
        self._ticks = ticks
        self._meters: dict[tuple[str, str], Meter] = {}
        self._open: dict[str, Hold] = {}
        self._day = ("", 0.0, 0.0)
        """Today, and when the day and the month are over."""
        self._rates: dict[str, float] = {}
        self._accounts: dict[str, str] = {}

    def now(self) -> Now:
        """This moment. The day never goes back, whatever is done to the machine's clock."""
        wall = self._clock()
        if wall >= self._day[1]:
            self._day = (day_of(wall), *ends(wall))
        return Now(wall, self._ticks(), *self._day)

    def restore(self, today: Spent, month: Spent, successors: Mapping[str, str] | None = None) -> None:
        """Take over what the ledger says was spent, before the first hold.

        Args:
            successors: key → the key that it was rotated into, by their ids, in the order in which they were made.
        """
        for old, new in (successors or {}).items():
            self.follow(old, new)
        day = self.now().day
        for rows, field in ((today, "day_usd"), (month, "month_usd")):
            for key, team, usd in rows:
                for kind, id_ in (("key", key), ("team", team), ("system", "")):
                    if id_ is not None:
                        meter = self._meter(kind, id_, day)
                        setattr(meter, field, getattr(meter, field) + pico(usd))

    def follow(self, old: str, new: str) -> None:
        """Count the key `new` (by id) together with `old`, which it replaces: both spend from one budget."""
        self._accounts[new] = self._accounts.get(old, old)

    def hold(self, ctx: Context, request: Request, profile: Profile) -> Hold:
        """Take what `request` may use from everything that `ctx` is billed to.

        Where tokens or money are limited, a request that does not bound its answer is bounded by the profile's
        `max_tokens`, so that the hold cannot be exceeded by the answer.

        Raises:
            RateLimitError: requests, tokens or concurrency; nothing was taken.
            BudgetError: money; nothing was taken.
        """
        now = self.now()
        subjects = tuple(self._subjects(ctx, now.day))
        request, tokens, usd = self._most(request, profile, subjects)
        return self._begin(ctx, request, subjects, Need(1, tokens, usd), now)

    def reserve(self, ctx: Context, *, tokens: int, usd: float = 0.0) -> Hold:
        """Like `hold`, where it is known what is used: for embeddings and rerankers. `usd` are US dollars at most."""
        now = self.now()
        return self._begin(ctx, _NOTHING, tuple(self._subjects(ctx, now.day)), Need(1, tokens, pico(usd)), now)

    def part(self, ctx: Context, request: Request, profile: Profile) -> Part | Hold:
        """A hold for one of several engines that a request calls, as a part of the request's own.

        Raises:
            RateLimitError: tokens; nothing was taken.
            BudgetError: money; nothing was taken.
        """
        whole = self._open.get(ctx.trace)
        if whole is None:
            return self.hold(ctx, request, profile)
        request, tokens, usd = self._most(request, profile, tuple(self._subjects(ctx, self.now().day)))
        whole.draw(tokens, usd)
        return Part(whole, request, tokens, usd)

    def spending(self) -> dict[str, dict[str, float]]:
        """`kind:id` → what it spent today and this month, and holds now, in US dollars; and its running requests."""
        now = self.now()
        return {f"{kind}:{id_}" if id_ else kind: _told(meter, now) for (kind, id_), meter in self._meters.items()}

    def spent(self, kind: str, id_: str = "") -> dict[str, float]:
        """What one key, team or the system (whose id is empty) spent, as in `spending`. Rotated keys spend together."""
        now = self.now()
        account = self._accounts.get(id_, id_) if kind == "key" else id_
        return _told(self._meters.get((kind, account)) or Meter(now.day), now)

    def learn(self, model: str, usage: Usage) -> None:
        """Remember how many seconds a token of a local model takes, for the holds of models priced by time."""
        if usage.total_tokens and usage.seconds:
            self._rates[model] = max(usage.seconds / usage.total_tokens, 0.9 * self._rates.get(model, 0.0))

    def _begin(self, ctx: Context, request: Request, subjects: tuple[Subject, ...], need: Need, now: Now) -> Hold:
        admit(subjects, need, now)
        hold = Hold(request, subjects, now.day, self.now, lambda hold: self._forget(ctx.trace, hold))
        hold.take(need, now)
        self._open[ctx.trace] = hold
        return hold

    def _forget(self, trace: str, hold: Hold) -> None:
        if self._open.get(trace) is hold:
            del self._open[trace]

    def _most(self, request: Request, profile: Profile, subjects: tuple[Subject, ...]) -> tuple[Request, int, int]:
        """The request, bounded; tokens that it is likely to use at most; `pico` dollars that it costs at most."""
        if not any(bounded(subject.limits) for subject in subjects):
            return request, 0, 0
        answer = request.sampling.max_tokens or profile.max_tokens
        if request.sampling.max_tokens is None:
            request = replace(request, sampling=replace(request.sampling, max_tokens=answer))
        prompt, price = size(request), profile.price
        dearest = max(price.prompt, price.written or 0.0, price.cached or 0.0)
        usd = (prompt.most * dearest + answer * price.completion) / 1e6
        if price.second:
            usd += (prompt.likely + answer) * self._rates.get(profile.name, 0.02) * price.second
        return request, prompt.likely + answer, pico(usd)

    def _subjects(self, ctx: Context, day: str) -> Iterator[Subject]:
        yield Subject("system", self._meter("system", "", day), self._system)
        team = ctx.principal.team
        if team is not None:
            yield Subject("team", self._meter("team", team.id, day), team.limits)
        if ctx.key is not None:
            yield Subject("key", self._meter("key", ctx.key.id, day), ctx.key.limits)

    def _meter(self, kind: str, id_: str, day: str) -> Meter:
        if kind == "key":
            id_ = self._accounts.get(id_, id_)
        found = self._meters.get((kind, id_))
        if found is None:
            found = self._meters[kind, id_] = Meter(day)
        return found


class Within(Wrapper):
    """An engine that others call while they answer a request: each call is held for, as a part of the request."""

    def __init__(self, inner: Engine, limiter: Limiter) -> None:
        super().__init__(inner)
        self._limiter = limiter

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        with self._limiter.part(ctx, request, self.profile) as part:
            async with aclosing(self._inner.run(part.request, ctx)) as events:
                async for event in events:
                    part.usage += event.usage
                    yield event


def _told(meter: Meter, now: Now) -> dict[str, float]:
    meter.turn(now.ticks, now.day)
    return {
        "usd_today": meter.day_usd / PICO,
        "usd_this_month": meter.month_usd / PICO,
        "usd_held": meter.held / PICO,
        "running": meter.running,
        "requests_last_minute": meter.requests.total,
        "tokens_last_minute": meter.tokens.total,
    }
