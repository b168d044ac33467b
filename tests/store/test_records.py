"""Principals, keys, links, files, traces and feedback."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from athanor.errors import ConflictError, InputError, NotFoundError
from athanor.store import Store
from athanor.types import ApiKey, File, RequestRecord, RoleName, Span, Usage, new_id


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
    store.links.open_session("s", ada.id, expires_at=until)
    store.links.open_session("late", ada.id, expires_at=time.time() - 1)
    assert store.links.session("s") == (ada, until)
    assert store.links.session("late") is None
    store.links.revoke_session("s")
    assert store.links.session("s") is None
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


def test_spans_and_traces(store: Store) -> None:
    spans = [
        Span(
            id=f"sp_{t}{n}",
            trace=f"tr_{t}",
            parent=f"sp_{t}0" if n else None,
            name=f"stage {n}",
            started_at=10 * t + n,
            duration=0.1,
            attributes={"n": n, "deep": {"a": [1, None]}},
        )
        for t in range(3)
        for n in range(3)
    ]
    store.spans.insert(spans[::-1])
    store.spans.insert([])
    assert store.spans.trace("tr_1") == spans[3:6]
    assert [s.id for s in store.spans.roots(limit=2)] == ["sp_20", "sp_10"]
    assert [s.id for s in store.spans.roots(before=10.0)] == ["sp_00"]
    assert store.spans.trace("tr_9") == []


def test_requests(store: Store) -> None:
    usage = Usage(prompt_tokens=10, completion_tokens=2**33, cached_tokens=3, seconds=0.123456789)
    records = [
        RequestRecord(
            trace=f"tr_{n}",
            at=n / 3,
            door="chat",
            principal=f"pr_{n % 2}",
            model="m",
            usage=usage,
            status="cancelled",
            first_token=0.1 if n else None,
            cost=0.25,
        )
        for n in range(4)
    ]
    for record in records:
        store.requests.insert(record)
    assert store.requests.get("tr_2") == records[2]
    assert store.requests.list() == records[::-1]
    assert store.requests.list(principal="pr_1", limit=1) == [records[3]]
    assert store.requests.list(before=records[1].at) == [records[0]]
    with pytest.raises(ConflictError):
        store.requests.insert(records[0])
    with pytest.raises(NotFoundError):
        store.requests.get("tr_9")


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
