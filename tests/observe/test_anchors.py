"""Heads of the audit chain that are noted beside the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from athanor.observe.anchors import Anchors
from athanor.store import MasterKey, Store


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path}/a.db", blobs=tmp_path / "blobs", master=MasterKey.fresh())
    yield store
    store.close()


def act(store: Store) -> None:
    store.audit.append(principal="p", action="key.created", subject="s")


def test_heads_are_noted_once_each(sealed: Store, tmp_path: Path) -> None:
    anchors = Anchors(sealed, tmp_path)
    anchors.note()
    assert not anchors.file.exists(), "there is no head yet"
    for _ in range(2):
        act(sealed)
        anchors.note()
        anchors.note()
    heads, problems = anchors.verify()
    assert (list(heads), problems) == ([1, 2], [])
    assert heads[2] == sealed.audit.head()[1]
    assert anchors.file.stat().st_mode & 0o777 == 0o600


def test_every_flipped_byte_of_the_notes_is_found(sealed: Store, tmp_path: Path) -> None:
    anchors = Anchors(sealed, tmp_path)
    act(sealed)
    anchors.note()
    raw = anchors.file.read_bytes()
    for place in range(len(raw) - 1):
        anchors.file.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert anchors.verify()[1], place


def test_who_has_no_key_cannot_forge_a_note(sealed: Store, tmp_path: Path) -> None:
    act(sealed)
    other = Store.open(f"sqlite:///{tmp_path}/b.db", blobs=tmp_path / "blobs", master=MasterKey.fresh())
    act(other)
    Anchors(other, tmp_path).note()
    assert Anchors(sealed, tmp_path).verify()[1]
    other.close()
