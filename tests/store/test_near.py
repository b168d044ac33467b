"""What documents are near to, while they come, change, are closed and go. Signatures here are made by hand."""

from __future__ import annotations

import random
import struct

import pytest

from athanor.errors import InputError
from athanor.store import SIGNATURE_VALUES, Store
from athanor.store.near import ALIKE
from athanor.types import Access, Document, KnowledgeBase, Reader
from tests.store.material import base, put

SAME = random.Random(7).sample(range(2**32), SIGNATURE_VALUES)
HR = Access(readers=("group:hr",))
STAFF = Reader(identities=frozenset({"group:staff"}))


def like(share: float, seed: int = 1) -> bytes:
    """A signature that has `share` of its values in common with all others of this function, at the same places."""
    other = random.Random(seed).sample(range(2**32), SIGNATURE_VALUES)
    kept = round(share * SIGNATURE_VALUES)
    return struct.pack(f"<{SIGNATURE_VALUES}I", *SAME[:kept], *other[kept:])


def signed(store: Store, kb: KnowledgeBase, source: str, signature: bytes | None) -> Document:
    document = put(store, kb, source, [f"Text of {source}. "])
    near = store.knowledge.sign(document.id, signature)
    found = store.knowledge.document(document.id)
    assert found.near == near
    return found


def near(store: Store, document: Document) -> str | None:
    return store.knowledge.document(document.id).near


def test_the_oldest_of_those_that_are_alike_is_named(store: Store) -> None:
    kb = base(store)
    first = signed(store, kb, "a", like(1))
    assert first.near is None
    assert signed(store, kb, "b", like(1)).near == first.id
    assert signed(store, kb, "c", like(ALIKE + 0.01, 2)).near == first.id
    assert signed(store, kb, "d", like(ALIKE - 0.02, 3)).near is None
    assert signed(store, kb, "e", like(0, 4)).near is None
    assert signed(store, kb, "f", None).near is None


def test_bases_do_not_know_of_each_other(store: Store) -> None:
    signed(store, base(store, "one"), "a", like(1))
    assert signed(store, base(store, "two"), "a", like(1)).near is None


def test_the_next_one_is_named_when_the_first_goes_or_changes(store: Store) -> None:
    kb = base(store)
    first, second, third = (signed(store, kb, source, like(1)) for source in "abc")
    store.knowledge.sign(first.id, like(0, 9))
    assert near(store, first) is None
    assert near(store, second) is None
    assert near(store, third) == second.id
    # What changes is the youngest from then on.
    assert store.knowledge.sign(first.id, like(1)) == second.id
    store.knowledge.delete_document(second.id)
    assert near(store, third) is None
    assert near(store, first) == third.id


def test_signing_the_same_again_changes_nothing(store: Store) -> None:
    kb = base(store)
    first, second = (signed(store, kb, source, like(1)) for source in "ab")
    assert store.knowledge.sign(first.id, like(1)) is None
    assert near(store, second) == first.id


def test_a_view_leaves_out_what_it_hides_and_names_the_next(store: Store) -> None:
    kb = base(store)
    hidden, seen, last = (signed(store, kb, source, like(1)) for source in "abc")
    store.knowledge.set_access(hidden.id, HR)
    view = store.knowledge.view(kb.id, STAFF)
    assert store.knowledge.near_of([seen.id, last.id], view) == {seen.id: None, last.id: seen.id}
    assert store.knowledge.near_of([last.id], None) == {last.id: hidden.id}


def test_nothing_is_left_of_what_is_deleted(store: Store) -> None:
    kb = base(store)
    documents = [signed(store, kb, source, like(1, seed)) for seed, source in enumerate("abc")]

    def rows() -> list[int]:
        with store.read() as conn:
            return [
                conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
                for table in ("signatures", "signature_bands")
            ]

    count, bands = rows()
    assert count == 3
    assert bands
    store.knowledge.delete_document(documents[0].id)
    assert rows()[0] == 2
    store.knowledge.sign(documents[1].id, None)
    assert rows() == [1, bands // 3]
    store.knowledge.delete(kb.id)
    assert rows() == [0, 0]


def test_a_signature_has_one_size(store: Store) -> None:
    document = put(store, base(store), "a", ["Text. "])
    with pytest.raises(InputError, match="bytes"):
        store.knowledge.sign(document.id, b"1234")
