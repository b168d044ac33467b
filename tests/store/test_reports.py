"""What is read from the ledger: filters, sums, percentiles; and how it is made smaller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from athanor.store import Store
from athanor.types import RequestRecord, Usage

DAY = 86400.0
ROW = RequestRecord(
    trace="", at=0.0, door="chat", principal="pr_1", model="main", target="a", usage=Usage(prompt_tokens=2, cost=0.5)
)


def fill(store: Store, *rows: RequestRecord) -> None:
    store.requests.insert([replace(row, trace=f"tr_{number}") for number, row in enumerate(rows)])


def traces(rows: list[RequestRecord]) -> list[str]:
    return [row.trace for row in rows]


def test_columns_are_one_value_or_one_of_several(store: Store) -> None:
    keys = ("k1", "k2", "k3", None)
    fill(store, *(replace(ROW, at=float(number), key=key) for number, key in enumerate(keys)))
    assert traces(store.requests.list(key="k2")) == ["tr_1"]
    assert traces(store.requests.list(key=["k1", "k3"])) == ["tr_2", "tr_0"]
    assert traces(store.requests.list(key=[], principal="pr_1")) == []
    assert traces(store.requests.list(key=None, door="chat", team=None)) == ["tr_3", "tr_2", "tr_1", "tr_0"]


def test_a_part_of_an_id_is_no_pattern(store: Store) -> None:
    fill(store, ROW, ROW)
    assert traces(store.requests.list(trace="r_1")) == ["tr_1"]
    assert store.requests.list(trace="%") == []
    assert store.requests.list(trace="t__") == []


def test_costs_by_day_and_of_one_principal(store: Store) -> None:
    fill(store, ROW, replace(ROW, at=DAY - 0.001), replace(ROW, at=DAY), replace(ROW, at=1.0, principal="pr_2"))
    sums = {row["day"]: (row["requests"], row["cost"]) for row in store.requests.costs(by=["day"], since=0)}
    assert sums == {"1970-01-01": (3, 1.5), "1970-01-02": (1, 0.5)}
    (row,) = store.requests.costs(by=["target"], since=0, until=DAY, principal="pr_1")
    assert (row["requests"], row["prompt_tokens"]) == (2, 4)


def test_percentiles_are_those_of_the_nearest_rank(store: Store) -> None:
    answered = [replace(ROW, first_token=0.01 * n, duration=float(n)) for n in range(1, 102)]
    others = [
        replace(ROW, first_token=0.0, duration=1e6, cache="exact"),
        replace(ROW, first_token=0.0, duration=1e6, status="engine_failed"),
        replace(ROW, first_token=None, duration=1e6),
        replace(ROW, target="b", first_token=3.0, duration=4.0),
    ]
    fill(store, *answered, *others)
    first, second = store.requests.latencies(by="target", since=0)
    assert (first["target"], first["answers"]) == ("a", 101)
    assert [first[f"duration_p{p}"] for p in (50, 95, 99)] == [51.0, 96.0, 100.0]
    assert first["first_token_p50"] == pytest.approx(0.51)
    assert second == {"target": "b", "answers": 1, **{f"duration_p{p}": 4.0 for p in (50, 95, 99)}} | {
        f"first_token_p{p}": 3.0 for p in (50, 95, 99)
    }
    assert store.requests.latencies(by="day", since=0)[0]["day"] == "1970-01-01"
    assert store.requests.latencies(by="target", since=0, principal="pr_2") == []


def test_the_oldest_go_first(store: Store) -> None:
    fill(store, *(replace(ROW, at=float(at)) for at in (5, 1, 3, 9)))
    assert store.requests.expire(6.0, limit=2) == 2
    assert traces(store.requests.list()) == ["tr_3", "tr_0"]
    assert store.requests.expire(6.0, limit=2) == 1
    assert store.requests.expire(6.0) == 0


def test_verdicts_of_several_answers_are_counted(store: Store) -> None:
    for trace, principal, rating in (("a", "1", 1), ("a", "2", -1), ("a", "3", 1), ("b", "1", -1), ("c", "1", 1)):
        store.feedback.put(trace=trace, principal=principal, rating=rating)
    assert store.feedback.counts(["a", "b", "x"]) == {"a": (2, 1), "b": (0, 1)}
    assert store.feedback.counts([]) == {}
