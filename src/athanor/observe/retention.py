"""Retention: what is kept of requests goes when its time is over.

Rows are deleted a few thousand at a time, so that the requests of that moment wait for none of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from athanor.config import TraceSettings
from athanor.errors import InputError
from athanor.store import Store

log = logging.getLogger(__name__)

BATCH = 2000
"""Rows of one transaction."""
DAY = 86400.0
"""Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """How many rows went."""

    traces: int = 0
    contents: int = 0
    """Requests whose texts were recorded."""
    requests: int = 0
    """Rows of the ledger."""
    responses: int = 0
    """Stored answers of `/v1/responses`."""
    guard_events: int = 0
    pseudonyms: int = 0
    """Of conversations that nobody went on with."""


def expire(store: Store, settings: TraceSettings, now: float) -> Expired:
    """Delete what is older than the settings allow at `now` (Unix seconds).

    The ledger keeps this calendar month (UTC) whatever the settings say: budgets are read from it at the next start.
    """
    old = now - settings.keep_days * DAY
    gone = Expired(
        traces=_all(store.traces.expire, old),
        contents=_all(store.contents.expire, old),
        requests=_all(store.requests.expire, min(now - settings.keep_ledger_days * DAY, month_of(now))),
        responses=store.responses.expire(),
        guard_events=_all(store.guard_events.expire, old),
        pseudonyms=_all(store.vaults.expire, old),
    )
    if gone != Expired():
        log.info(
            "expired %d traces, %d recorded texts, %d ledger rows, %d responses, %d guard events, %d pseudonyms",
            gone.traces, gone.contents, gone.requests, gone.responses, gone.guard_events, gone.pseudonyms,
        )  # fmt: skip
    return gone


def expire_before(store: Store, before: float, *, ledger: bool, now: float) -> Expired:
    """Delete traces and recorded texts from before a time in Unix seconds; with `ledger`, its rows too.

    Raises:
        InputError: `ledger`, and `before` is in this month, whose budgets rest on these rows.
    """
    if ledger and before > month_of(now):
        raise InputError(
            "The ledger of this month (UTC) is what its budgets are counted from.",
            where="before",
            hint="Name an earlier time, or delete traces and texts alone.",
        )
    return Expired(
        traces=_all(store.traces.expire, before),
        contents=_all(store.contents.expire, before),
        requests=_all(store.requests.expire, before) if ledger else 0,
        guard_events=_all(store.guard_events.expire, before),
        pseudonyms=_all(store.vaults.expire, before),
    )


def month_of(now: float) -> float:
    """When the calendar month (UTC) of `now` began, in Unix seconds."""
    start = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start.timestamp()


def _all(expire: Callable[..., int], before: float) -> int:
    total = 0
    while gone := expire(before, limit=BATCH):
        total += gone
    return total
