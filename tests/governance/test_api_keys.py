from __future__ import annotations

import json
import pickle
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from athanor.errors import AuthenticationError, ConflictError, NotFoundError
from athanor.governance import Keys, Secret
from athanor.governance.keys import CACHE_SECONDS
from athanor.store import Store
from athanor.types import RoleName


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
    key, secret = keys.create("ada", RoleName.ADMIN, expires_at=time.time() + 100)
    ada, _ = keys.identify(secret.reveal())
    keys.revoke(key.id, by=ada)
    with pytest.raises(AuthenticationError, match="revoked"):
        keys.identify(secret.reveal())
    _, brief = keys.create("ada", RoleName.ADMIN, expires_at=time.time() + 100)
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
