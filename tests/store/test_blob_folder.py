from __future__ import annotations

import hashlib
import io
import os
import time
from pathlib import Path

import pytest

from athanor.errors import NotFoundError, StoreError
from athanor.store import Blobs, Store
from athanor.types import File, new_id
from tests.store.material import base, put, rolled_back


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def age(blobs: Blobs, sha256: str, seconds: float = 7200) -> None:
    then = time.time() - seconds
    os.utime(blobs.path(sha256), (then, then))


def test_bytes_paths_and_streams_are_one(blobs: Blobs, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(data)
    names = {blobs.put(data), blobs.put(tmp_path / "file"), blobs.put(io.BytesIO(data))}
    assert names == {hashlib.sha256(data).hexdigest()}
    name = names.pop()
    assert (blobs.read(name), blobs.size(name), list(blobs)) == (data, len(data), [name])
    assert blobs.path(name).relative_to(blobs.root).as_posix() == f"{name[:2]}/{name[2:]}"
    assert blobs.exists(name)
    blobs.delete(name)
    blobs.delete(name)
    assert not blobs.exists(name)


def test_what_is_not_there(blobs: Blobs) -> None:
    for name in ("0" * 64, "../../etc/passwd", "", "A" * 64):
        with pytest.raises(NotFoundError):
            blobs.read(name)


def test_damage_is_noticed(blobs: Blobs) -> None:
    name = blobs.put(b"true")
    blobs.path(name).write_bytes(b"fake")
    with pytest.raises(StoreError, match="damaged"):
        blobs.read(name)


def test_a_stream_that_breaks_leaves_nothing(blobs: Blobs) -> None:
    class Broken(io.RawIOBase):
        def read(self, _: int = -1) -> bytes:
            raise OSError("unplugged")

    with pytest.raises(StoreError, match="unplugged"):
        blobs.put(Broken())  # type: ignore[arg-type]
    assert [p for p in blobs.root.rglob("*") if p.is_file()] == []


def test_collect_removes_what_no_row_refers_to(store: Store) -> None:
    doc = put(store, base(store), "a", ["One. "])
    put(store, store.knowledge.get("notes"), "a", ["Two. "])
    file = File(
        id=new_id("file"), name="f", size=1, sha256=store.blobs.put(b"f"), purpose="x", principal="p", created_at=0.0
    )
    store.files.insert(file)
    lost, fresh = store.blobs.put(b"lost"), store.blobs.put(b"fresh")
    old = store.blobs.root / "new-crashed"
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    for name in store.blobs:
        if name != fresh:
            age(store.blobs, name)
    assert store.collect() == [lost]
    assert not old.exists()
    assert doc.text_sha256 is not None
    assert store.blobs.exists(doc.text_sha256)
    assert store.blobs.exists(file.sha256)
    assert store.blobs.exists(fresh)


def test_putting_again_makes_a_blob_young(store: Store) -> None:
    name = store.blobs.put(b"again")
    age(store.blobs, name)
    store.blobs.put(b"again")
    assert store.collect() == []


def test_a_deleted_file_takes_its_blob_along(store: Store) -> None:
    name = store.blobs.put(b"f")
    files = [
        File(id=new_id("file"), name="f", size=1, sha256=name, purpose="x", principal="p", created_at=0.0)
        for _ in range(2)
    ]
    for file in files:
        store.files.insert(file)
    age(store.blobs, name)
    store.files.delete(files[0].id)
    assert store.blobs.exists(name)
    with rolled_back(store) as conn:
        store.files.delete(files[1].id, conn=conn)
    assert store.blobs.exists(name)
    store.files.delete(files[1].id)
    assert not store.blobs.exists(name)
    with pytest.raises(NotFoundError):
        store.files.delete(files[1].id)
