"""What is sealed is unreadable in the files, opens only where it was sealed, and survives changes of keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from athanor.config import EncryptionSettings, SecretReference
from athanor.errors import EncryptionError
from athanor.store import MasterKey, MasterSource, Store
from athanor.store import tables as t
from athanor.store.keyring import RETIRED_SECONDS
from athanor.store.sealed import SEALED
from athanor.types import Content, Evaluation, Question, StoredResponse

MARK = "the-furnace-feeds-itself"


def fill(store: Store, count: int = 1) -> None:
    """A row in every sealed table, `count` recorded contents; all hold the mark."""
    base = store.knowledge.create("notes", embedder="e", dimension=4).id
    store.contents.insert(
        [Content(trace=f"t{i}", at=float(i), request={"m": f"{MARK} {i}"}, answer={"m": MARK}) for i in range(count)]
    )
    store.responses.insert(
        StoredResponse(
            id="resp_1",
            principal="p",
            previous=None,
            created_at=1.0,
            expires_at=time.time() + 60,
            body={"m": MARK},
            items=({"m": MARK},),
        )
    )
    store.feedback.put(trace="t0", principal="p", rating=1, comment=MARK)
    store.questions.put([Question(id="q1", base=base, text=MARK, relevant={"a": 1.0}, answer=MARK, origin="mine")])
    store.evaluations.add(
        Evaluation(
            id="e1",
            base=base,
            version=0,
            revision=0,
            questions="s",
            figures={"ndcg": 1.0},
            details=({"question": MARK},),
            created_at=1.0,
        )
    )


def check(store: Store, count: int = 1) -> None:
    """Everything that `fill` wrote is read."""
    base = store.knowledge.get("notes").id
    for i in range(count):
        found = store.contents.get(f"t{i}")
        assert found is not None
        assert (found.request, found.answer) == ({"m": f"{MARK} {i}"}, {"m": MARK})
    response = store.responses.get("resp_1", principal="p")
    assert (response.body, response.items) == ({"m": MARK}, ({"m": MARK},))
    assert [verdict.comment for verdict in store.feedback.of_trace("t0")] == [MARK]
    (question,) = store.questions.list(base)
    assert (question.text, question.answer, question.relevant) == (MARK, MARK, {"a": 1.0})
    assert store.evaluations.get("e1").details == ({"question": MARK},)


def raw(store: Store) -> str:
    """All rows of the sealed tables, as the database has them."""
    with store.read() as conn:
        return "\n".join(str(tuple(row)) for fields in SEALED for row in conn.execute(select(fields.table)))


def test_everything_is_sealed_and_read(store: Store) -> None:
    fill(store)
    check(store)
    assert MARK not in raw(store)
    census = store.resealing.census()
    assert not census.plain
    assert set(census.sealed) >= {"contents", "responses", "feedback", "questions", "evaluations"}
    assert list(store.resealing.verify()) == []


def test_grep_finds_nothing_in_the_files(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/a.db", blobs=tmp_path / "b", master=MasterKey.fresh())
    fill(store)
    files = b"".join(path.read_bytes() for path in tmp_path.glob("a.db*"))
    assert len(list(tmp_path.glob("a.db*"))) == 3, "the log is looked through as well"
    assert MARK.encode() not in files
    assert b"contents" in files
    store.close()


def test_grep_would_find_what_is_plain(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/a.db", blobs=tmp_path / "b", master=MasterKey.fresh(), content=False)
    fill(store)
    check(store)
    assert MARK.encode() in b"".join(path.read_bytes() for path in tmp_path.glob("a.db*"))
    sealed = store.cipher.seal(MARK, "vault", "r", "c")
    assert MARK not in sealed
    assert store.cipher.open(sealed, "vault", "r", "c") == MARK
    store.close()


@given(plain=st.text(), table=st.text(), row=st.text(), column=st.text())
def test_any_text_comes_back(cipher: Any, plain: str, table: str, row: str, column: str) -> None:
    for seal in (cipher.seal, cipher.seal_content):
        assert cipher.open(seal(plain, table, row, column), table, row, column) == plain


@pytest.fixture(scope="module")
def cipher(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("cipher")
    store = Store.open(f"sqlite:///{folder}/a.db", blobs=folder, master=MasterKey.fresh())
    yield store.cipher
    store.close()


def test_a_seal_is_new_each_time(cipher: Any) -> None:
    assert cipher.seal("same", "t", "r", "c") != cipher.seal("same", "t", "r", "c")


def test_every_flipped_bit_is_found(cipher: Any) -> None:
    for words in ("some words", "some words.", "some words.."):  # the three ways in which base64 ends
        sealed = cipher.seal(words, "t", "r", "c")
        for place in range(len(sealed)):
            for bit in range(7):
                changed = sealed[:place] + chr(ord(sealed[place]) ^ 1 << bit) + sealed[place + 1 :]
                with pytest.raises(EncryptionError):
                    cipher.open(changed, "t", "r", "c")


def test_a_seal_opens_in_its_own_place_only(store: Store) -> None:
    fill(store, 2)
    for source, target in (("t0", "t1"),):
        with store.write() as conn:
            moved = conn.scalar(select(t.contents.c.request).where(t.contents.c.trace == source))
            conn.execute(update(t.contents).where(t.contents.c.trace == target).values(request=moved))
    with pytest.raises(EncryptionError, match="moved") as caught:
        store.contents.get("t1")
    assert caught.value.where == "contents/t1/request"
    with store.write() as conn:
        conn.execute(update(t.contents).values(answer=t.contents.c.request))
    with pytest.raises(EncryptionError):
        store.contents.get("t0")
    assert len(list(store.resealing.verify())) == 3


def test_a_plain_value_is_a_forgery_where_all_is_sealed(store: Store) -> None:
    fill(store)
    with store.write() as conn:
        conn.execute(update(t.feedback).values(comment="I never said this"))
        conn.execute(update(t.responses).values(body={"m": "nor this"}))
    with pytest.raises(EncryptionError, match="plain"):
        store.feedback.of_trace("t0")
    with pytest.raises(EncryptionError, match="plain"):
        store.responses.get("resp_1", principal="p")


def test_the_word_that_all_is_sealed_cannot_be_taken_back_by_who_has_no_key(
    open_store: Callable[[], Store],
) -> None:
    store = open_store()
    with store.write() as conn:
        conn.execute(update(t.data_keys).values(whole=False))
    with pytest.raises(EncryptionError, match="was changed"):
        open_store()


def test_without_the_key_nothing_is_read_or_written(store: Store, url: str, tmp_path: Path) -> None:
    fill(store)
    keyless = Store.open(url, blobs=tmp_path / "blobs")
    try:
        with pytest.raises(EncryptionError, match="without its master key"):
            keyless.contents.get("t0")
        with pytest.raises(EncryptionError, match="without its master key"):
            keyless.feedback.put(trace="t9", principal="p", rating=1, comment="words")
        assert keyless.knowledge.get("notes")
    finally:
        keyless.close()


def test_another_key_is_told_apart(store: Store, url: str, tmp_path: Path) -> None:
    other, wanted = MasterKey.fresh("elsewhere"), store.key_ring.infos()[0].master
    with pytest.raises(EncryptionError, match=f"it is {other.id}, and the data keys were wrapped by {wanted}"):
        Store.open(url, blobs=tmp_path / "blobs", master=other)


def test_a_plain_text_that_looks_sealed_is_plain(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/a.db", blobs=tmp_path)
    for words in ("enc:1:aaaaaaaaaa:AAAA", "enc:0:x", "enc:"):
        store.feedback.put(trace="t", principal="p", rating=1, comment=words)
        assert [verdict.comment for verdict in store.feedback.of_trace("t")] == [words]
    store.close()


def test_an_old_store_is_sealed_when_asked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    plain = Store.open(url, blobs=tmp_path / "b")
    fill(plain, 450)
    plain.close()
    store = Store.open(url, blobs=tmp_path / "b", master=MasterKey.fresh())
    check(store, 450)
    assert not store.key_ring.whole
    seen: list[tuple[int, int]] = []
    assert store.resealing.reseal(lambda done, total: seen.append((done, total))) == 454
    assert seen[0] == (200, 454)
    assert seen[-1] == (454, 454)
    store.resealing.settle(content=True)
    assert store.key_ring.whole
    assert store.resealing.reseal() == 0
    check(store, 450)
    store.erasure.settle()
    assert MARK.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("a.db*"))
    store.close()


def test_rotation_goes_on_after_a_cut(open_store: Callable[[], Store]) -> None:
    store, running = open_store(), open_store()
    fill(store, 450)
    old = store.key_ring.active().id
    new = store.resealing.renew()
    assert new == store.key_ring.active().id != old

    def cut(done: int, _total: int) -> None:
        if done >= 400:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.resealing.reseal(cut)
    check(running, 450)  # half by either key, and by a process that has not heard of the new one
    assert store.resealing.renew() is None, "a second rotation would begin before the first has ended"
    assert [key.id for key in store.resealing.settle(content=True)] == [old]
    store.resealing.reseal()
    assert set(store.resealing.census().keys) == {new}
    check(running, 450)


def test_an_old_key_goes_when_nothing_needs_it(store: Store) -> None:
    fill(store)
    old = store.key_ring.active().id
    store.resealing.renew()
    past = time.time() - RETIRED_SECONDS - 1
    with store.write() as conn:
        conn.execute(update(t.data_keys).where(t.data_keys.c.id == old).values(retired_at=past))
    assert [key.id for key in store.resealing.prune()] == [old], "rows need it"
    store.resealing.reseal()
    assert store.resealing.prune() == []
    assert old not in {key.id for key in store.key_ring.infos()}
    store.key_ring.reload()
    check(store)


def test_a_new_key_is_kept_for_whoever_still_seals_with_the_old_one(open_store: Callable[[], Store]) -> None:
    store, running = open_store(), open_store()
    old = running.key_ring.active().id
    store.resealing.renew()
    store.resealing.reseal()
    assert [key.id for key in store.resealing.prune()] == [old], "it was retired only now"
    running.feedback.put(trace="t", principal="p", rating=1, comment=MARK)
    assert set(running.resealing.census().keys) == {old}
    assert [verdict.comment for verdict in store.feedback.of_trace("t")] == [MARK]


KILLED = """
import sys
from pathlib import Path
from athanor.store import MasterKey, Store
store = Store.open(sys.argv[1], blobs=Path(sys.argv[2]), master=MasterKey.parse(sys.stdin.readline(), "stdin"))
store.resealing.renew()
store.resealing.reseal(lambda done, total: (print(done, flush=True), sys.stdin.readline()))
"""


def test_rotation_survives_a_kill(tmp_path: Path) -> None:
    url, master = f"sqlite:///{tmp_path}/a.db", MasterKey.fresh()
    store = Store.open(url, blobs=tmp_path, master=master)
    fill(store, 450)
    old = store.key_ring.active().id
    command = [sys.executable, "-c", KILLED, url, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(master.text() + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "200\n"
        os.kill(process.pid, signal.SIGKILL)
    counts = store.resealing.census().keys
    assert len(counts) == 2
    check(store, 450)
    assert store.resealing.renew() is None
    store.key_ring.reload()
    store.resealing.reseal()
    assert set(store.resealing.census().keys) == set(counts) - {old}
    check(store, 450)
    store.close()


def test_the_master_key_changes_without_a_row(tmp_path: Path) -> None:
    source = MasterSource(EncryptionSettings(), tmp_path)
    url = f"sqlite:///{tmp_path}/a.db"
    store = Store.open(url, blobs=tmp_path / "b", master=source)
    fill(store)
    before, first = raw(store), source.file.read_text()
    new = source.prepare()
    assert store.key_ring.rewrap(new) == 2
    # Cut off here: the file still holds the old key, and the next start finishes.
    assert source.file.read_text() == first
    again = Store.open(url, blobs=tmp_path / "b", master=MasterSource(EncryptionSettings(), tmp_path))
    assert source.file.read_text().strip() == new.text()
    check(again)
    assert raw(again) == before
    check(store)
    for opened in (store, again):
        opened.close()


def test_a_running_process_follows_a_change_of_the_master_key(tmp_path: Path) -> None:
    source = MasterSource(EncryptionSettings(), tmp_path)
    url = f"sqlite:///{tmp_path}/a.db"
    running, other = (Store.open(url, blobs=tmp_path / "b", master=source) for _ in range(2))
    other.key_ring.rewrap(source.prepare())
    source.adopt()
    other.resealing.renew()
    fill(other)
    check(running)
    for opened in (running, other):
        opened.close()


def test_the_key_file_is_the_owner_s_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        source = MasterSource(EncryptionSettings(), tmp_path / "home")
        key = source.make()
    finally:
        os.umask(old)
    assert source.file.stat().st_mode & 0o777 == 0o600
    assert source.make().id == key.id, "a key that is there is never written over"
    assert key.text() not in repr(key)
    assert [path.name for path in source.file.parent.iterdir()] == ["master.key"]


def test_a_lost_key_file_is_not_replaced(tmp_path: Path) -> None:
    source, url = MasterSource(EncryptionSettings(), tmp_path), f"sqlite:///{tmp_path}/a.db"
    Store.open(url, blobs=tmp_path / "b", master=source).close()
    source.file.unlink()
    with pytest.raises(EncryptionError, match="is missing"):
        Store.open(url, blobs=tmp_path / "b", master=source)
    assert not source.file.exists()


def test_the_key_may_come_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = MasterKey.fresh()
    monkeypatch.setenv("FURNACE", key.text())
    (tmp_path / "key").write_text(key.text() + "\n")
    places: list[dict[str, Any]] = [
        {"key": SecretReference(env="FURNACE")},
        {"key": SecretReference(file=tmp_path / "key")},
        {"key_command": ("cat", str(tmp_path / "key"))},
    ]
    for place in places:
        found = MasterSource(EncryptionSettings(**place), tmp_path).read()
        assert found is not None
        assert found.id == key.id
    assert not (tmp_path / "master.key").exists()


@pytest.mark.parametrize("words", ["", "correct horse battery staple", "athanor-key:", "athanor-key:AAAA"])
def test_a_passphrase_is_not_a_key(words: str) -> None:
    with pytest.raises(EncryptionError, match="not a master key") as caught:
        MasterKey.parse(words, "$KEY")
    assert not words or words not in str(caught.value).replace("athanor encryption", "")


def test_secrets_outlive_rotations(open_store: Callable[[], Store]) -> None:
    store = open_store()
    secret = store.cipher.secret("hash")
    store.resealing.renew()
    assert store.cipher.secret("hash") == secret == open_store().cipher.secret("hash")
    assert store.cipher.secret("other") != secret
    assert len(secret) == 32


def test_erasure_looks_into_what_is_sealed(store: Store) -> None:
    fill(store)
    with store.write() as conn:
        found = store.erasure.speaking(lambda words: MARK in words, conn)
    assert found["recorded contents"] == ["t0"]
    assert all(found[kind] for kind in ("responses", "questions", "comments"))


def test_tables_with_sealed_columns_are_named_once() -> None:
    names = [fields.table.name for fields in SEALED]
    assert len(names) == len(set(names))
    for fields in SEALED:
        assert set(fields.columns + fields.row) <= set(fields.table.c.keys())
        unique = [set(fields.table.primary_key.columns.keys())] + [
            set(constraint.columns.keys())
            for constraint in fields.table.constraints
            if type(constraint).__name__ == "UniqueConstraint"
        ]
        assert set(fields.row) in unique, fields.table.name
