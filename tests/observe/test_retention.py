from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from athanor.config import TraceSettings
from athanor.errors import InputError
from athanor.observe import retention
from athanor.observe.retention import DAY, Expired, expire, expire_before
from athanor.store import Store
from athanor.types import Content, Decision, GuardEvent, Origin, RequestRecord, StoredResponse

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC).timestamp()


def fill(store: Store, *days: float) -> None:
    """A request with its trace and texts from so many days ago, for each."""
    for number, ago in enumerate(days):
        trace, at = f"tr_{number}", NOW - ago * DAY
        store.requests.insert([RequestRecord(trace=trace, at=at, door="chat", principal="pr_1", model="m")])
        store.traces.insert([(trace, at, '[{"id":"1","parent":null,"name":"r","started_at":1,"duration":1}]')])
        store.contents.insert([Content(trace=trace, at=at, request={}, answer={})])


def left(store: Store) -> tuple[list[str], list[str], list[str]]:
    names = [f"tr_{number}" for number in range(10)]
    return (
        sorted(row.trace for row in store.requests.list()),
        [name for name in names if store.traces.get(name)],
        [name for name in names if store.contents.get(name)],
    )


def test_each_kind_is_kept_as_long_as_the_settings_say(store: Store) -> None:
    fill(store, 0, 6.9, 7.1, 99, 101)
    gone = expire(store, TraceSettings(keep_days=7, keep_ledger_days=100), NOW)
    assert gone == Expired(traces=3, contents=3, requests=1)
    assert left(store) == (["tr_0", "tr_1", "tr_2", "tr_3"], ["tr_0", "tr_1"], ["tr_0", "tr_1"])
    assert expire(store, TraceSettings(keep_days=7, keep_ledger_days=100), NOW) == Expired()


def test_the_ledger_of_this_month_stays_because_budgets_are_counted_from_it(store: Store) -> None:
    fill(store, 3, 19, 20)
    assert expire(store, TraceSettings(keep_days=1, keep_ledger_days=1), NOW).requests == 1
    assert left(store)[0] == ["tr_0", "tr_1"]


def test_rows_go_a_few_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    fill(store, 50, 51, 52, 53, 54, 1)
    taken = []
    delete = store.traces.expire
    monkeypatch.setattr(store.traces, "expire", lambda *a, **k: taken.append(delete(*a, **k)) or taken[-1])
    assert expire(store, TraceSettings(), NOW).traces == 5
    assert taken == [2, 2, 1, 0]


def test_stored_responses_go_when_they_end(store: Store) -> None:
    for name, end in (("old", time.time() - 1), ("new", time.time() + 60)):
        store.responses.insert(
            StoredResponse(id=name, principal="pr_1", previous=None, created_at=1.0, expires_at=end, body={}, items=())
        )
    assert expire(store, TraceSettings(), time.time()).responses == 1
    assert store.responses.get("new", principal="pr_1").id == "new"


def test_by_hand(store: Store) -> None:
    fill(store, 1, 25, 26)
    assert expire_before(store, NOW - 20 * DAY, ledger=True, now=NOW) == Expired(traces=2, contents=2, requests=2)
    assert left(store) == (["tr_0"], ["tr_0"], ["tr_0"])
    with pytest.raises(InputError, match="month"):
        expire_before(store, NOW, ledger=True, now=NOW)
    assert expire_before(store, NOW, ledger=False, now=NOW) == Expired(traces=1, contents=1)
    assert left(store) == (["tr_0"], [], [])


def test_what_guards_found_goes_with_the_traces(store: Store) -> None:
    def event(id_: str, ago: float) -> GuardEvent:
        return GuardEvent(
            id=id_, at=NOW - ago * DAY, trace="tr_1", principal="pr_1", door="chat", origin=Origin.USER, guard="g",
            category="pii.email", score=1.0, decision=Decision.FLAG, action=Decision.FLAG, start=0, end=1, policy="p",
            reason="r",
        )  # fmt: skip

    store.guard_events.insert([event("ge_1", 1), event("ge_2", 6), event("ge_3", 40)])
    assert expire(store, TraceSettings(keep_days=7), NOW).guard_events == 1
    assert expire_before(store, NOW - 5 * DAY, ledger=False, now=NOW).guard_events == 1
    assert [one.id for one in store.guard_events.list()] == ["ge_1"]
