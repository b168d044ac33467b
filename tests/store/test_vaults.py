from __future__ import annotations

import time

import pytest
from sqlalchemy import update

from athanor.errors import ConflictError
from athanor.store import Store
from athanor.store import tables as t
from athanor.store.sealed import SEALED

VALUES = {"[PERSON_1]": "Ada Lovelace", "[EMAIL_1]": "ada@example.org"}


def test_what_is_kept_comes_back_and_is_sealed(store: Store) -> None:
    store.vaults.add("v1", principal="pr_1", values=VALUES)
    store.vaults.add("v2", principal="pr_1", values={"[PERSON_1]": "Bob"})
    assert store.vaults.get("v1") == VALUES
    assert store.vaults.get("v2") == {"[PERSON_1]": "Bob"}
    assert store.vaults.get("v3") == {}
    with store.read() as conn:
        rows = str(conn.execute(t.pseudonyms.select()).all())
    assert not [value for value in VALUES.values() if value in rows]


def test_the_list_of_sealed_columns_opens_them(store: Store) -> None:
    store.vaults.add("v1", principal="pr_1", values=VALUES)
    fields = next(fields for fields in SEALED if fields.table is t.pseudonyms)
    with store.read() as conn:
        opened = {fields.open(store.cipher, row, "value") for row in conn.execute(t.pseudonyms.select())}
    assert opened == set(VALUES.values())


def test_a_name_is_never_given_twice(store: Store) -> None:
    store.vaults.add("v1", principal="pr_1", values=VALUES)
    with pytest.raises(ConflictError):
        store.vaults.add("v1", principal="pr_1", values={"[PERSON_2]": "Bob", "[EMAIL_1]": "bob@example.org"})
    assert store.vaults.get("v1") == VALUES


def test_what_is_not_used_expires_and_what_is_used_stays(store: Store) -> None:
    for vault in ("old", "used", "new"):
        store.vaults.add(vault, principal="pr_1", values=VALUES)
    with store.write() as conn:
        conn.execute(update(t.pseudonyms).where(t.pseudonyms.c.vault != "new").values(used_at=5.0))
    assert store.vaults.use("used") == VALUES
    assert store.vaults.expire(time.time() - 60, limit=1) == 2
    assert store.vaults.expire(time.time() - 60, limit=1) == 0
    assert store.vaults.get("old") == {}
    assert store.vaults.get("used") == VALUES


def test_a_principal_is_forgotten(store: Store) -> None:
    store.vaults.add("v1", principal="pr_1", values=VALUES)
    store.vaults.add("v2", principal="pr_2", values=VALUES)
    assert store.vaults.forget(principal="pr_1") == 2
    assert store.vaults.get("v1") == {}
    assert store.vaults.get("v2") == VALUES
