"""Limits of keys, teams and the whole system: requests, tokens, concurrency, money.

A request takes a *hold* before it runs: one request, the tokens it can use at most, and what those can cost. All of it
is taken or nothing, in one step of the event loop, so N requests at once cannot pass a limit that has room for fewer.
When the request ends, the hold is replaced by what was used. Money that was spent is the ledger's sum, read once at
the start, so a crash loses none of it.

Windows are sliding: in any 60 seconds, no more than the limit. One process counts for itself; servers that share a
PostgreSQL each have their own counters (design/gateway.md).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType

from athanor.errors import BudgetError, RateLimitError
from athanor.types import NO_LIMITS, NO_USAGE, Attachment, Context, Image, Limits, Profile, Request, Usage

WINDOW = 60.0
_IMAGE_TOKENS = 1600
"""What vendors bill for a large picture, at most."""


def estimate(request: Request) -> int:
    """Tokens of a prompt, an upper estimate without a tokenizer: one for every three bytes, and four a message.

    English has some four bytes a token; a file counts one token for every four of its bytes.
    """
    tokens = 3
    for message in request.messages:
        tokens += 4 + _bytes(message.content) // 3
        for part in message.parts:
            if isinstance(part, Image):
                tokens += _IMAGE_TOKENS
            elif isinstance(part, Attachment):
                tokens += len(part.data or "") * 3 // 16 + _IMAGE_TOKENS
        for call in message.calls:
            tokens += 8 + _bytes(call.arguments) // 3
    for tool in request.tools:
        tokens += 16 + (len(tool.description) + len(str(tool.parameters))) // 3
    return tokens


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


class _Window:
    """A sum over the last minute, in steps of a second."""

    __slots__ = ("_slots", "total")

    def __init__(self) -> None:
        self._slots: deque[list[float]] = deque()
        self.total = 0.0

    def add(self, now: float, amount: float) -> list[float]:
        """Count `amount`; the slot that holds it, for a later correction."""
        second = math.floor(now)
        if not self._slots or self._slots[-1][0] != second:
            self._slots.append([second, 0.0])
        slot = self._slots[-1]
        slot[1] += amount
        self.total += amount
        return slot

    def correct(self, slot: list[float], amount: float) -> None:
        """Add to a slot of before, unless the minute has passed."""
        if self._slots and self._slots[0][0] <= slot[0]:
            slot[1] += amount
            self.total += amount

    def expire(self, now: float) -> None:
        while self._slots and self._slots[0][0] + WINDOW + 1 <= now:
            self.total -= self._slots.popleft()[1]

    def wait(self, now: float, excess: float) -> float:
        """Seconds until `excess` of the sum has left the window."""
        left = excess
        for second, amount in self._slots:
            left -= amount
            if left <= 0:
                return max(0.0, second + WINDOW + 1 - now)
        return WINDOW


class _Meter:
    """What one key, one team or the system has used and holds."""

    __slots__ = ("_day", "_month", "day_usd", "held", "month_usd", "requests", "running", "tokens")

    def __init__(self) -> None:
        self.requests = _Window()
        self.tokens = _Window()
        self.running = 0
        self.held = 0.0
        """US dollars that running requests may cost."""
        self.day_usd = 0.0
        self.month_usd = 0.0
        self._day = ""
        self._month = ""

    def turn(self, now: float, day: str) -> None:
        """Forget what is over: the minute, the day, the month."""
        self.requests.expire(now)
        self.tokens.expire(now)
        if day != self._day:
            self._day, self.day_usd = day, self.day_usd if not self._day else 0.0
            if day[:7] != self._month:
                self._month, self.month_usd = day[:7], self.month_usd if not self._month else 0.0


@dataclass(frozen=True, slots=True)
class _Subject:
    name: str
    """For messages: `key`, `team` or `system`."""
    meter: _Meter
    limits: Limits


class Hold:
    """What one request may use. Leaving the block gives back what it did not."""

    def __init__(self, request: Request, subjects: tuple[_Subject, ...], tokens: int, usd: float, now: float) -> None:
        self.request = request
        """The request, with its answer bounded where a limit has to be kept."""
        self._subjects = subjects
        self._tokens = tokens
        self._usd = usd
        self._slots = []
        for subject in subjects:
            meter = subject.meter
            meter.requests.add(now, 1)
            self._slots.append(meter.tokens.add(now, tokens))
            meter.running += 1
            meter.held += usd
        self.usage: Usage = NO_USAGE
        """What was used so far."""

    def headers(self) -> dict[str, str]:
        """What is left, by the tightest of the limits, in OpenAI's header names."""
        return _headers(self._subjects, time.time())

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        difference = self.usage.total_tokens - self._tokens
        for subject, slot in zip(self._subjects, self._slots, strict=True):
            meter = subject.meter
            meter.tokens.correct(slot, difference)
            meter.running -= 1
            meter.held -= self._usd
            meter.day_usd += self.usage.cost
            meter.month_usd += self.usage.cost


class Limiter:
    """Takes holds. Call it from one event loop only.

    Args:
        system: limits of everything together.
        clock: Unix seconds.
    """

    def __init__(self, system: Limits = NO_LIMITS, *, clock: Callable[[], float] = time.time) -> None:
        self._system = system
        self._clock = clock
        self._meters: dict[tuple[str, str], _Meter] = {}
        self._day = ("", 0.0)
        self._rates: dict[str, float] = {}
        self._accounts: dict[str, str] = {}

    def restore(
        self,
        today: Iterable[tuple[str | None, str | None, float]],
        month: Iterable[tuple[str | None, str | None, float]],
    ) -> None:
        """Take over what the ledger says was spent: (key, team, US dollars)."""
        day = self._today(self._clock())
        for rows, field in ((today, "day_usd"), (month, "month_usd")):
            for key, team, usd in rows:
                for kind, name in (("key", key), ("team", team), ("system", "")):
                    if name is not None:
                        meter = self._meter(kind, name)
                        meter.turn(self._clock(), day)
                        setattr(meter, field, getattr(meter, field) + usd)

    def hold(self, ctx: Context, request: Request, profile: Profile) -> Hold:
        """Take what `request` may use from everything that `ctx` is billed to.

        Where tokens or money are limited, a request that does not bound its answer is bounded by the profile's
        `max_tokens`, so that the hold cannot be exceeded by the answer.

        Raises:
            RateLimitError: requests, tokens or concurrency; nothing was taken.
            BudgetError: money; nothing was taken.
        """
        subjects = tuple(self._subjects(ctx))
        if any(_bounded(subject.limits) for subject in subjects):
            limit = request.sampling.max_tokens or profile.max_tokens
            if request.sampling.max_tokens is None:
                request = replace(request, sampling=replace(request.sampling, max_tokens=limit))
            prompt = estimate(request)
            tokens = prompt + limit
            usd = self._dearest(profile, prompt, limit)
        else:
            tokens, usd = 0, 0.0
        return self.take(request, subjects, tokens, usd)

    def take(self, request: Request, subjects: tuple[_Subject, ...], tokens: int, usd: float) -> Hold:
        """Check every subject, then take from all of them."""
        now = self._clock()
        day = self._today(now)
        for subject in subjects:
            subject.meter.turn(now, day)
            if subject.limits is not NO_LIMITS:
                _check(subject, subjects, now, tokens, usd)
        return Hold(request, subjects, tokens, usd, now)

    def follow(self, old: str, new: str) -> None:
        """Count the key `new` (by id) together with `old`, which it replaces: they spend from one budget."""
        self._accounts[new] = self._accounts.get(old, old)

    def spent(self, kind: str, id_: str) -> dict[str, float]:
        """What one key, team or the system (whose id is empty) spent, as in `spending`."""
        name = self._accounts.get(id_, id_)
        self._meter(kind, name)
        return self.spending()[f"{kind}:{name}" if name else kind]

    def spending(self) -> dict[str, dict[str, float]]:
        """`kind:id` → what it spent today and this month, and holds now, in US dollars; and its running requests."""
        now = self._clock()
        day = self._today(now)
        found = {}
        for (kind, name), meter in self._meters.items():
            meter.turn(now, day)
            found[f"{kind}:{name}" if name else kind] = {
                "usd_today": meter.day_usd,
                "usd_this_month": meter.month_usd,
                "usd_held": max(0.0, meter.held),
                "running": float(meter.running),
                "requests_last_minute": meter.requests.total,
                "tokens_last_minute": meter.tokens.total,
            }
        return found

    def learn(self, model: str, usage: Usage) -> None:
        """Remember how many seconds a token of a local model takes, for the holds of models priced by time."""
        if usage.total_tokens and usage.seconds:
            self._rates[model] = max(usage.seconds / usage.total_tokens, 0.9 * self._rates.get(model, 0.0))

    def _dearest(self, profile: Profile, prompt: int, completion: int) -> float:
        price = profile.price
        written = max(price.prompt, price.written or 0.0)
        seconds = (prompt + completion) * self._rates.get(profile.name, 0.02) if price.second else 0.0
        return (prompt * written + completion * price.completion) / 1e6 + seconds * price.second

    def _subjects(self, ctx: Context) -> Iterator[_Subject]:
        yield _Subject("system", self._meter("system", ""), self._system)
        team = ctx.principal.team
        if team is not None:
            yield _Subject("team", self._meter("team", team.id), team.limits)
        if ctx.key is not None:
            name = self._accounts.get(ctx.key.id, ctx.key.id)
            yield _Subject("key", self._meter("key", name), ctx.key.limits)

    def _meter(self, kind: str, name: str) -> _Meter:
        found = self._meters.get((kind, name))
        if found is None:
            found = self._meters[kind, name] = _Meter()
        return found

    def _today(self, now: float) -> str:
        day, until = self._day
        if now >= until:
            day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
            self._day = (day, (now // 86400 + 1) * 86400)
        return day


def _bounded(limits: Limits) -> bool:
    """Do these limits need to know how much an answer can be."""
    return limits.tokens_per_minute is not None or limits.usd_per_day is not None or limits.usd_per_month is not None


def _check(subject: _Subject, all_: tuple[_Subject, ...], now: float, tokens: int, usd: float) -> None:
    limits, meter = subject.limits, subject.meter
    wait: float | None
    if limits.concurrency is not None and meter.running >= limits.concurrency:
        raise _refusal(subject, all_, f"{limits.concurrency} requests at once", 1.0, now)
    if limits.requests_per_minute is not None and meter.requests.total + 1 > limits.requests_per_minute:
        wait = meter.requests.wait(now, meter.requests.total + 1 - limits.requests_per_minute)
        raise _refusal(subject, all_, f"{limits.requests_per_minute} requests a minute", wait, now)
    if limits.tokens_per_minute is not None and meter.tokens.total + tokens > limits.tokens_per_minute:
        wait = meter.tokens.wait(now, meter.tokens.total + tokens - limits.tokens_per_minute)
        what = f"{limits.tokens_per_minute} tokens a minute, and this request may need {tokens}"
        raise _refusal(subject, all_, what, wait, now)
    for limit, spent, word in (
        (limits.usd_per_day, meter.day_usd, "day"),
        (limits.usd_per_month, meter.month_usd, "month"),
    ):
        if limit is not None and spent + meter.held + usd > limit + 1e-12:
            raise BudgetError(
                f"The budget of this {subject.name}, {limit:g} US dollars a {word}, has no room for this request: "
                f"{spent:.6f} are spent, {meter.held:.6f} are held by running requests, and this one may cost "
                f"{usd:.6f}.",
                where=subject.name,
                hint="Ask for a shorter answer (max_tokens), wait, or have the budget raised.",
                retry_after=_next(now, word),
                headers=_headers(all_, now),
            )


def _refusal(subject: _Subject, all_: tuple[_Subject, ...], what: str, wait: float, now: float) -> RateLimitError:
    return RateLimitError(
        f"This {subject.name} may use {what}.",
        where=subject.name,
        hint=f"Try again in {math.ceil(wait)} s.",
        retry_after=wait,
        headers=_headers(all_, now),
    )


def _next(now: float, word: str) -> float:
    """Seconds until the next day or month begins, UTC."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if word == "day":
        return today.timestamp() + 86400 - now
    first = today.replace(day=1)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return following.timestamp() - now


def _headers(subjects: Iterable[_Subject], now: float) -> dict[str, str]:
    found: dict[str, str] = {}
    tightest = {"requests": math.inf, "tokens": math.inf}
    for subject in subjects:
        limits, meter = subject.limits, subject.meter
        for what, limit, window in (
            ("requests", limits.requests_per_minute, meter.requests),
            ("tokens", limits.tokens_per_minute, meter.tokens),
        ):
            if limit is None:
                continue
            left = max(0, int(limit - window.total))
            if left < tightest[what]:
                tightest[what] = left
                reset = window.wait(now, window.total) if window.total else 0.0
                found[f"x-ratelimit-limit-{what}"] = str(limit)
                found[f"x-ratelimit-remaining-{what}"] = str(left)
                found[f"x-ratelimit-reset-{what}"] = f"{reset:.0f}s"
    return found
