"""Is there room for a request: the check of its limits, the refusals, and the headers that tell what is left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from athanor.errors import BudgetError, RateLimitError
from athanor.gateway.meters import PICO, Meter, pico
from athanor.types import Limits

_NEVER = {"x-should-retry": "false"}
"""Tells the vendors' SDKs that to ask again soon is no use."""


class Subject(NamedTuple):
    """Who is billed."""

    kind: str
    """For messages: `key`, `team` or `system`."""
    meter: Meter
    limits: Limits


class Now(NamedTuple):
    """One moment, by the two clocks: Unix seconds for days, seconds that never go back for minutes."""

    wall: float
    ticks: float
    day: str
    day_ends: float
    month_ends: float

    def left(self, period: str) -> float:
        """Seconds until the `day` or `month` is over."""
        return max(0.0, (self.day_ends if period == "day" else self.month_ends) - self.wall)


class Need(NamedTuple):
    """What a request takes. Money in `pico` dollars."""

    requests: int
    """1, or 0 for a part of a request that is counted already."""
    tokens: int
    usd: int


def bounded(limits: Limits) -> bool:
    """Do these limits need to know how long an answer can be."""
    return limits.tokens_per_minute is not None or limits.usd_per_day is not None or limits.usd_per_month is not None


def admit(subjects: Sequence[Subject], need: Need, now: Now) -> None:
    """Let `need` pass if every subject has room for it. It takes nothing.

    Raises:
        RateLimitError: requests, tokens or concurrency.
        BudgetError: money.
    """
    for subject in subjects:
        subject.meter.turn(now.ticks, now.day)
    for subject in subjects:
        if need.requests:
            _check_requests(subject, subjects, now)
        _check_tokens(subject, subjects, need, now)
        _check_money(subject, subjects, need, now)


def _check_requests(subject: Subject, all_: Sequence[Subject], now: Now) -> None:
    limits, meter = subject.limits, subject.meter
    if limits.concurrency is not None and meter.running >= limits.concurrency:
        wait = 1.0 if limits.concurrency else None
        raise _refusal(subject, all_, f"run {limits.concurrency} requests at once", wait, now)
    if limits.requests_per_minute is not None and meter.requests.total >= limits.requests_per_minute:
        excess = meter.requests.total + 1 - limits.requests_per_minute
        wait = meter.requests.wait(now.ticks, excess) if limits.requests_per_minute else None
        raise _refusal(subject, all_, f"send {limits.requests_per_minute} requests a minute", wait, now)


def _check_tokens(subject: Subject, all_: Sequence[Subject], need: Need, now: Now) -> None:
    limit, window = subject.limits.tokens_per_minute, subject.meter.tokens
    if limit is not None and window.total + need.tokens > limit:
        wait = window.wait(now.ticks, window.total + need.tokens - limit) if need.tokens <= limit else None
        raise _refusal(
            subject, all_, f"use {limit} tokens a minute, and this request may need {need.tokens}", wait, now
        )


def _check_money(subject: Subject, all_: Sequence[Subject], need: Need, now: Now) -> None:
    if not need.usd:
        return  # what costs nothing may run on a budget that is used up
    limits, meter = subject.limits, subject.meter
    for limit, spent, word in (
        (limits.usd_per_day, meter.day_usd, "day"),
        (limits.usd_per_month, meter.month_usd, "month"),
    ):
        if limit is None or spent + meter.held + need.usd <= pico(limit):
            continue
        # What running requests hold comes back when they end, most of it perhaps.
        soon = spent + need.usd <= pico(limit)
        raise BudgetError(
            f"The budget of this {subject.kind}, {limit:g} US dollars a {word}, has no room for this request: "
            f"{spent / PICO:.6f} are spent, {meter.held / PICO:.6f} are held by running requests, and this one "
            f"may cost {need.usd / PICO:.6f}.",
            where=subject.kind,
            hint=f"Ask for a shorter answer (max_tokens), wait for {'them' if soon else f'the next {word}'}, or have "
            "the budget raised.",
            retry_after=1.0 if soon else now.left(word),
            headers=headers(all_, now) | ({} if soon else _NEVER),
        )


def _refusal(subject: Subject, all_: Sequence[Subject], what: str, wait: float | None, now: Now) -> RateLimitError:
    """`wait` is `None` where waiting does not help."""
    hint = "It never fits: ask for less, or have the limit raised."
    if wait is not None:
        hint = f"Try again in {math.ceil(wait)} s."
    return RateLimitError(
        f"This {subject.kind} may {what}.",
        where=subject.kind,
        hint=hint,
        retry_after=wait,
        headers=headers(all_, now) | (_NEVER if wait is None else {}),
    )


def headers(subjects: Iterable[Subject], now: Now) -> dict[str, str]:
    """What is left by the tightest of all limits, under OpenAI's names; `concurrency` and `usd` are our own."""
    left: dict[str, tuple[float, float, float]] = {}

    def note(what: str, limit: float, used: float, reset: float) -> None:
        rest = max(0, limit - used)
        if what not in left or rest < left[what][1]:
            left[what] = (limit, rest, reset)

    for subject in subjects:
        limits, meter = subject.limits, subject.meter
        if limits.requests_per_minute is not None:
            note("requests", limits.requests_per_minute, meter.requests.total, meter.requests.reset(now.ticks))
        if limits.tokens_per_minute is not None:
            note("tokens", limits.tokens_per_minute, meter.tokens.total, meter.tokens.reset(now.ticks))
        if limits.concurrency is not None:
            note("concurrency", limits.concurrency, meter.running, 0.0)
        if limits.usd_per_day is not None:
            note("usd", limits.usd_per_day, (meter.day_usd + meter.held) / PICO, now.left("day"))
        if limits.usd_per_month is not None:
            note("usd", limits.usd_per_month, (meter.month_usd + meter.held) / PICO, now.left("month"))
    found = {}
    for what, (limit, rest, reset) in left.items():
        found[f"x-ratelimit-limit-{what}"] = _number(limit)
        found[f"x-ratelimit-remaining-{what}"] = _number(rest)
        if what != "concurrency":
            found[f"x-ratelimit-reset-{what}"] = f"{math.ceil(reset)}s"
    return found


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6f}".rstrip("0").rstrip(".")
