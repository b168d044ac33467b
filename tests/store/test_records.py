"""Principals, keys, links, files, traces and feedback."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from athanor.errors import ConflictError, InputError, NotFoundError
from athanor.store import Store
from athanor.types import (
    NOBODY_KNOWN,
    ApiKey,
    Content,
    File,
    Limits,
    RequestRecord,
    RoleName,
    Scopes,
    Span,
    Usage,
    new_id,
)


def key_of(principal: str, **more: object) -> ApiKey:
    return ApiKey(
        **{"id": new_id("key"), "principal": principal, "name": "k", "hint": "ath_", "created_at": 1.5, **more}
    )


def test_principals(store: Store) -> None:
    ada = store.principals.create("ada", RoleName.ADMIN)
    assert store.principals.get("ada") == store.principals.get(ada.id) == ada
    with pytest.raises(ConflictError, match="'ada' exists"):
        store.principals.create("ada", RoleName.USER)
    key = key_of(ada.id)
    store.keys.insert(key, "h")
    store.principals.delete(ada.id)
    assert store.keys.list() == []
    with pytest.raises(NotFoundError):
        store.principals.get("ada")
    with pytest.raises(NotFoundError):
        store.principals.delete(ada.id)


def test_keys(store: Store) -> None:
    ada, bob = store.principals.create("ada", RoleName.ADMIN), store.principals.create("bob", RoleName.USER)
    key, other = key_of(ada.id, expires_at=99.5), key_of(bob.id)
    store.keys.insert(key, "h1")
    store.keys.insert(other, "h2")
    assert store.keys.by_hash("h1") == (key, ada)
    assert store.keys.by_hash("h3") is None
    assert {k.id for k in store.keys.list()} == {key.id, other.id}
    assert store.keys.list(principal=bob.id) == [other]
    revoked = store.keys.revoke(key.id)
    assert revoked.revoked_at is not None
    assert store.keys.revoke(key.id) == revoked == store.keys.get(key.id)
    with pytest.raises(ConflictError):
        store.keys.insert(key_of(bob.id), "h2")
    with pytest.raises(ConflictError):
        store.keys.insert(key_of("pr_nobody"), "h4")
    with pytest.raises(NotFoundError):
        store.keys.revoke("key_none")


def test_link_is_taken_once(store: Store) -> None:
    ada = store.principals.create("ada", RoleName.ADMIN)
    store.links.create("h", ada.id, expires_at=time.time() + 60)
    store.links.create("late", ada.id, expires_at=time.time() - 1)
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(store.links.take, ["h"] * 8))
    assert [p for p in taken if p is not None] == [ada]
    assert store.links.take("late") is None
    assert store.links.take("unknown") is None
    assert store.links.purge() == 2


def test_sessions(store: Store) -> None:
    ada = store.principals.create("ada", RoleName.ADMIN)
    until = time.time() + 60
    store.links.open_session("s", ada.id, expires_at=until, way="link", visitor=NOBODY_KNOWN)
    store.links.open_session("late", ada.id, expires_at=time.time() - 1, way="link", visitor=NOBODY_KNOWN)
    found = store.links.session("s", idle=60)
    assert found is not None
    assert (found.principal, found.expires_at, found.way) == (ada, until, "link")
    assert store.links.session("s", idle=0) is None
    assert store.links.session("late", idle=60) is None
    store.links.revoke_session("s")
    assert store.links.session("s", idle=60) is None
    assert store.links.purge() == 2


def test_files(store: Store) -> None:
    files = [
        File(
            id=f"file_{n}",
            name=f"{n}.pdf",
            size=2**40 + n,
            sha256="0" * 64,
            purpose="x",
            principal="p",
            created_at=n / 7,
        )
        for n in range(3)
    ]
    for file in files:
        store.files.insert(file)
    assert store.files.list() == files[::-1]
    assert store.files.list(limit=1, before="file_2") == [files[1]]
    assert store.files.list(principal="q") == store.files.list(purpose="y") == []
    assert store.files.get("file_1") == files[1]
    with pytest.raises(ConflictError):
        store.files.insert(files[0])
    with pytest.raises(NotFoundError):
        store.files.get("file_9")


def test_traces(store: Store) -> None:
    def row(number: int) -> tuple[str, float, str]:
        spans = [
            {
                "id": str(n),
                "parent": "1" if n > 1 else None,
                "name": f"stage {n}",
                "started_at": 10.0 * number + n,
                "duration": 0.1,
                "status": "ok",
                "attributes": {"n": n, "deep": {"a": [1, None]}},
            }
            for n in (3, 1, 2)
        ]
        return f"tr_{number}", float(number), json.dumps(spans)

    store.traces.insert([row(1), row(2)])
    found = store.traces.get("tr_1")
    assert [span.id for span in found] == ["1", "2", "3"]
    assert found[1] == Span(
        id="2",
        trace="tr_1",
        parent="1",
        name="stage 2",
        started_at=12.0,
        duration=0.1,
        status="ok",
        attributes={"n": 2, "deep": {"a": [1, None]}},
    )
    with pytest.raises(ConflictError):
        store.traces.insert([row(3), row(1)])
    assert store.traces.get("tr_3") == store.traces.get("tr_9") == []
    assert store.traces.expire(2.0) == 1
    assert store.traces.get("tr_1") == []
    assert store.traces.get("tr_2")


def test_contents(store: Store) -> None:
    said = [
        Content(trace=f"tr_{n}", at=float(n), request={"messages": [{"content": "é 😀"}]}, answer={"n": n})
        for n in range(2)
    ]
    store.contents.insert(said)
    assert store.contents.get("tr_1") == said[1]
    assert store.contents.get("tr_9") is None
    with pytest.raises(ConflictError):
        store.contents.insert(said[:1])
    assert store.contents.expire(1.0) == 1
    assert store.contents.get("tr_0") is None


def record(number: int, **more: Any) -> RequestRecord:
    usage = Usage(
        prompt_tokens=10,
        completion_tokens=2**33,
        cached_tokens=3,
        written_tokens=2,
        reasoning_tokens=1,
        seconds=0.123456789,
        cost=0.25,
    )
    given = {"at": number / 3, "door": "chat", "principal": f"pr_{number % 2}", "model": "m", "usage": usage}
    return RequestRecord(trace=f"tr_{number}", **given | more)


def test_requests(store: Store) -> None:
    records = [
        record(0, status="cancelled", first_token=None),
        record(1, key="key_1", team="team_1", target="t", duration=1.5, first_token=0.1),
        record(2, cache="exact", saved=0.5, model="other"),
        record(3, status="engine_failed"),
    ]
    store.requests.insert(records)
    assert store.requests.count() == 4
    assert store.requests.get("tr_1") == records[1]
    assert store.requests.list() == records[::-1]
    assert store.requests.list(principal="pr_1", limit=1) == [records[3]]
    assert store.requests.list(before=records[1].at) == [records[0]]
    assert store.requests.list(since=records[3].at) == [records[3]]
    assert store.requests.list(model="t") == store.requests.list(key="key_1") == [records[1]]
    assert store.requests.list(model="other") == [records[2]]
    assert store.requests.list(status="failed") == [records[3]]
    assert store.requests.list(status="cancelled") == [records[0]]
    with pytest.raises(ConflictError):
        store.requests.insert([record(9), records[0]])
    with pytest.raises(NotFoundError):
        store.requests.get("tr_9")
    assert store.requests.expire(records[2].at) == 2
    assert store.requests.list() == records[:1:-1]


DAY = 86400.0


def test_what_was_spent(store: Store) -> None:
    paid = Usage(cost=0.25, prompt_tokens=4)
    rows = [
        record(1, at=DAY, key="a", team="t", usage=paid),
        record(2, at=2 * DAY - 1, key="a", team="t", usage=paid),
        record(3, at=2 * DAY, key="a", team=None, usage=paid),
        record(4, at=2 * DAY, key=None, team="t", usage=paid, model="n"),
        record(5, at=2 * DAY, key="b", team=None, usage=Usage()),
    ]
    store.requests.insert(rows)
    assert sorted(store.requests.spent(DAY), key=str) == [("a", "t", 0.5), ("a", None, 0.25), (None, "t", 0.25)]
    assert sorted(store.requests.spent(2 * DAY), key=str) == [("a", None, 0.25), (None, "t", 0.25)]
    by_day = store.requests.costs(by=["day"], since=0.0)
    assert [(row["day"], row["cost"], row["requests"]) for row in by_day] == [
        ("1970-01-03", 0.5, 3),
        ("1970-01-02", 0.5, 2),
    ]
    by_model = store.requests.costs(by=["model", "key"], since=0.0, until=2 * DAY + 1)
    assert {(row["model"], row["key"]): row["prompt_tokens"] for row in by_model} == {
        ("m", "a"): 12,
        ("n", None): 4,
        ("m", "b"): 0,
    }


def test_teams(store: Store) -> None:
    blue = store.teams.create("blue", Limits(usd_per_day=1.5, concurrency=0))
    assert store.teams.get("blue") == store.teams.get(blue.id) == blue
    with pytest.raises(ConflictError, match="'blue' exists"):
        store.teams.create("blue")
    ada = store.principals.create("ada", RoleName.USER, team=blue)
    key = key_of(ada.id)
    store.keys.insert(key, "h")
    assert store.keys.by_hash("h") == (key, ada)
    changed = store.teams.set_limits(blue.id, Limits(requests_per_minute=7))
    assert changed.limits == Limits(requests_per_minute=7)
    assert store.principals.get("ada").team == changed
    with pytest.raises(ConflictError, match="has members"):
        store.teams.delete(blue.id)
    assert store.principals.move(ada.id, None).team is None
    store.teams.delete(blue.id)
    assert store.teams.list() == []
    for gone in (lambda: store.teams.delete(blue.id), lambda: store.teams.set_limits(blue.id, Limits())):
        with pytest.raises(NotFoundError):
            gone()


def test_a_changed_key(store: Store) -> None:
    ada = store.principals.create("ada", RoleName.ADMIN)
    key = key_of(ada.id, scopes=Scopes(models=("a*",), knowledge=()), limits=Limits(usd_per_month=2.5))
    store.keys.insert(key, "h")
    assert store.keys.get(key.id) == key
    changed = replace(
        key,
        name="other",
        expires_at=5.5,
        record_content=True,
        replaced_by="key_2",
        scopes=Scopes(doors=("messages",)),
        limits=Limits(concurrency=3),
    )
    assert store.keys.change(changed) == store.keys.get(key.id) == changed
    with pytest.raises(NotFoundError):
        store.keys.change(replace(changed, id="key_none"))


def test_feedback_is_replaced(store: Store) -> None:
    first = store.feedback.put(trace="tr_1", principal="pr_1", rating=1)
    changed = store.feedback.put(trace="tr_1", principal="pr_1", rating=-1, comment="Wrong page.")
    other = store.feedback.put(trace="tr_1", principal="pr_2", rating=1)
    assert (changed.id, changed.rating, changed.comment) == (first.id, -1, "Wrong page.")
    assert store.feedback.of_trace("tr_1") == [changed, other]
    assert store.feedback.list(rating=-1) == [changed]
    assert store.feedback.list() == [other, changed]
    store.feedback.delete(trace="tr_1", principal="pr_1")
    store.feedback.delete(trace="tr_1", principal="pr_1")
    assert store.feedback.list() == [other]
    with pytest.raises(InputError):
        store.feedback.put(trace="tr_1", principal="pr_1", rating=0)
