from __future__ import annotations

import json
import pickle
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from athanor.errors import AuthenticationError, ConflictError, NotFoundError
from athanor.governance import Grant, Keys, Secret
from athanor.governance.keys import CACHE_SECONDS
from athanor.store import Store
from athanor.types import ApiKey, Limits, RoleName, Scopes


@pytest.fixture
def keys(store: Store) -> Keys:
    return Keys(store)


def test_a_key_identifies_its_principal(store: Store, keys: Keys) -> None:
    key, secret = keys.create("ada", RoleName.ADMIN)
    assert re.fullmatch(r"ath_[A-Za-z0-9_-]{43}", secret.reveal())
    assert secret.reveal().startswith(key.hint)
    principal, _ = keys.identify(secret.reveal())
    assert (principal.id, principal.name, principal.role) == (key.principal, "ada", RoleName.ADMIN)
    assert keys.identify(secret.reveal())[0] == principal
    assert keys.list() == [(key, principal)]
    assert store.audit.entries()[0].action == "key.created"


def test_the_secret_is_stored_nowhere(store: Store, keys: Keys, tmp_path: Path) -> None:
    _, secret = keys.create("ada", RoleName.ADMIN)
    store.close()
    inside = "\n".join(sqlite3.connect(tmp_path / "athanor.db").iterdump())
    assert secret.reveal() not in inside
    assert secret.reveal()[10:30] not in inside
    assert secret.hash() in inside


@pytest.mark.parametrize("secret", ["", "ath_", "ath_" + "x" * 43, "\0", "é", "\ud800", "x" * 100_000])
def test_unknown_secrets_are_refused(keys: Keys, secret: str) -> None:
    keys.create("ada", RoleName.ADMIN)
    with pytest.raises(AuthenticationError, match="not known"):
        keys.identify(secret)


def test_revoked_and_expired_keys_are_refused(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = keys.create("ada", RoleName.ADMIN, grant=Grant(expires_at=time.time() + 100))
    ada, _ = keys.identify(secret.reveal())
    keys.revoke(key.id, by=ada)
    with pytest.raises(AuthenticationError, match="revoked"):
        keys.identify(secret.reveal())
    _, brief = keys.create("ada", RoleName.ADMIN, grant=Grant(expires_at=time.time() + 100))
    assert keys.identify(brief.reveal())[0] == ada
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 101)
    with pytest.raises(AuthenticationError, match="expired"):
        keys.identify(brief.reveal())
    with pytest.raises(NotFoundError):
        keys.revoke("key_none")


def test_another_process_sees_a_revocation_soon(store: Store, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Keys(store)
    key, secret = keys.create("ada", RoleName.ADMIN)
    elsewhere.identify(secret.reveal())
    keys.revoke(key.id)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + CACHE_SECONDS + 0.1)
    with pytest.raises(AuthenticationError, match="revoked"):
        elsewhere.identify(secret.reveal())


def test_a_known_key_costs_no_query(store: Store, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = keys.create("ada", RoleName.ADMIN)
    keys.identify(secret.reveal())
    monkeypatch.setattr(store.keys, "by_hash", lambda _: pytest.fail("asked the database"))
    keys.identify(secret.reveal())


def test_several_keys_of_one_principal(keys: Keys) -> None:
    (first, _), (second, secret) = (
        keys.create("ada", RoleName.USER),
        keys.create("ada", RoleName.USER, key_name="laptop"),
    )
    assert first.principal == second.principal
    assert second.name == "laptop"
    keys.revoke(first.id)
    assert keys.identify(secret.reveal())[0].name == "ada"
    with pytest.raises(ConflictError, match="has the role user"):
        keys.create("ada", RoleName.ADMIN)


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda s: f"{s:>20}", lambda s: f"{[s]}"])
def test_a_secret_does_not_show(show: Callable[[Secret], str]) -> None:
    secret = Secret("ath_hidden")
    assert "hidden" not in show(secret)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


FULL = Grant(
    scopes=Scopes(models=("gpt-*",), knowledge=(), doors=("chat.completions",)),
    limits=Limits(requests_per_minute=1, tokens_per_minute=2, concurrency=3, usd_per_day=4.5, usd_per_month=6.0),
    record_content=True,
)


def test_what_a_key_is_good_for(store: Store, keys: Keys) -> None:
    key, secret = keys.create("ada", RoleName.USER, grant=FULL)
    assert (key.scopes, key.limits, key.record_content) == (FULL.scopes, FULL.limits, True)
    assert keys.identify(secret.reveal())[1] == key == keys.get(key.id)[0]
    (entry,) = store.audit.entries()
    assert entry.details["limits"]["usd_per_day"] == 4.5
    assert entry.details["scopes"]["models"] == ["gpt-*"]
    assert secret.reveal() not in json.dumps(entry.details)


def test_a_change_acts_on_the_next_request(store: Store, keys: Keys) -> None:
    key, secret = keys.create("ada", RoleName.USER)
    ada, _ = keys.identify(secret.reveal())
    changed = keys.change(key.id, lambda k: replace(k, name="x", limits=Limits(concurrency=1)), by=ada)
    assert keys.identify(secret.reveal())[1] == changed == replace(key, name="x", limits=Limits(concurrency=1))
    entry = store.audit.entries()[0]
    assert (entry.action, entry.subject, entry.principal) == ("key.changed", key.id, ada.id)
    assert set(entry.details) == {"name", "limits"}
    keys.change(key.id, lambda k: replace(k, expires_at=time.time() - 1))
    with pytest.raises(AuthenticationError, match="expired"):
        keys.identify(secret.reveal())
    keys.revoke(key.id)
    with pytest.raises(ConflictError, match="was revoked"):
        keys.change(key.id, lambda k: k)


def test_an_edit_cannot_make_a_key_another_one(store: Store, keys: Keys) -> None:
    key, _ = keys.create("ada", RoleName.USER)
    other, _ = keys.create("bob", RoleName.ADMIN)
    keys.change(key.id, lambda k: replace(k, principal=other.principal, hint="x", created_at=0.0, revoked_at=1.0))
    assert keys.get(key.id)[0] == key


def test_a_look_up_that_a_change_overtook_is_not_kept(
    store: Store, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = keys.create("ada", RoleName.USER)
    by_hash = store.keys.by_hash

    def overtaken(hash_: str) -> object:
        found = by_hash(hash_)
        keys.revoke(key.id)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(store.keys, "by_hash", overtaken)
        keys.identify(secret.reveal())
    with pytest.raises(AuthenticationError, match="revoked"):
        keys.identify(secret.reveal())


def test_rotation(store: Store, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    old, first = keys.create("ada", RoleName.USER, grant=FULL)
    keys.identify(first.reveal())
    new, second = keys.rotate(old.id, grace=100)
    kept = ("principal", "name", "scopes", "limits", "record_content", "expires_at")
    assert [getattr(new, name) for name in kept] == [getattr(old, name) for name in kept]
    assert second.reveal() != first.reveal()
    assert keys.identify(second.reveal())[1] == new
    during = keys.identify(first.reveal())[1]
    assert (during.id, during.replaced_by) == (old.id, new.id)
    assert during.expires_at == pytest.approx(time.time() + 100, abs=5)
    entry = store.audit.entries()[0]
    assert (entry.action, entry.subject, entry.details["into"]) == ("key.rotated", old.id, new.id)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 101)
    with pytest.raises(AuthenticationError, match="expired"):
        keys.identify(first.reveal())
    assert keys.identify(second.reveal())[1].id == new.id


def test_the_new_key_lives_as_long_as_the_old_one_did(keys: Keys) -> None:
    old, _ = keys.create("ada", RoleName.USER, grant=Grant(expires_at=time.time() + 50))
    new, secret = keys.rotate(old.id, grace=1000)
    assert new.expires_at == pytest.approx(time.time() + 50, abs=5)
    assert keys.get(old.id)[0].expires_at == old.expires_at, "a rotation gives the old one no more time"
    third, _ = keys.rotate(new.id, grace=0)
    with pytest.raises(AuthenticationError, match="expired"):
        keys.identify(secret.reveal())
    assert keys.get(third.id)[0].replaced_by is None


def test_what_cannot_be_rotated(keys: Keys) -> None:
    def refused(key: ApiKey, word: str) -> None:
        with pytest.raises(ConflictError, match=word):
            keys.rotate(key.id)

    key, _ = keys.create("ada", RoleName.USER)
    new, _ = keys.rotate(key.id)
    refused(key, f"rotated into {new.id}")
    keys.revoke(new.id)
    refused(new, "is over")
    refused(keys.create("ada", RoleName.USER, grant=Grant(expires_at=time.time() - 1))[0], "is over")
    with pytest.raises(NotFoundError):
        keys.rotate("key_none")
