"""The files of an index: reopened, checked, made again when they are not what the store says."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from athanor.rag.arrays import np
from athanor.rag.indexes import Indexes
from athanor.rag.vectors import Folder, LiveIndex
from athanor.rag.vectors.graph import Graph
from athanor.store import Store
from athanor.types import Chunk, Document, DocumentStatus, KnowledgeBase, new_id
from tests.rag.vectors import DIMENSION, unit, units

COUNT = 400


SMALL = {"few": 100, "later": 50}
"""A graph above 100 rows, extended by 50."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'test.db'}", blobs=tmp_path / "blobs")
    yield store
    store.close()


@pytest.fixture
def base(store: Store) -> KnowledgeBase:
    base = store.knowledge.create("docs", embedder="e", dimension=DIMENSION)
    put(store, base, "a", COUNT)
    return base


def put(store: Store, base: KnowledgeBase, name: str, count: int, seed: int = 0) -> Document:
    identity = new_id("doc")
    document = Document(
        id=identity, knowledge_base=base.id, source=name, version=0, sha256="0" * 64,
        text_sha256=store.blobs.put(name.encode()), title=name, mime="text/plain", size=1, pages=(0,),
        status=DocumentStatus.READY, error=None, chunks=0, created_at=0.0, updated_at=0.0,
    )  # fmt: skip
    chunks = [
        Chunk(id=f"{identity}-{n}", document=identity, ordinal=n, start=n, end=n + 1, page=1, heading="", text=f"w{n}")
        for n in range(count)
    ]
    vectors = [row.tobytes() for row in units(count, seed)]
    return store.knowledge.replace_document(document, chunks, vectors, embedder="e")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def opened(store: Store, base: KnowledgeBase, folder: Path) -> tuple[Indexes, LiveIndex]:
    """After the merges."""
    indexes = Indexes(store, folder, sizes=SMALL)
    index = indexes.current(base)
    indexes.settle()
    return indexes, index


def files(folder: Path, base: KnowledgeBase) -> Path:
    manifest = Folder(folder / base.id).manifest()
    assert manifest is not None
    return folder / base.id / manifest.folder


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each graph that was made from nothing."""
    made: list[int] = []
    build = Graph.build.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Graph], vectors: object, count: int, *rest: object, **options: object) -> Graph:
        made.append(count)
        found: Graph = build(cls, vectors, count, *rest, **options)
        return found

    monkeypatch.setattr(Graph, "build", classmethod(counted))
    return made


def test_a_second_start_maps_the_files(store: Store, base: KnowledgeBase, folder: Path, built: list[int]) -> None:
    first, index = opened(store, base, folder)
    first.close()
    put(store, base, "b", 20, seed=1)
    _, again = opened(store, base, folder)
    assert built == [COUNT]
    assert (again.state.covered, len(again)) == (COUNT, COUNT + 20)
    assert isinstance(again.state.base.base, np.memmap)
    assert again.search(unit(1), 5)[0][0][1] >= index.search(unit(1), 5)[0][0][1]


def test_changes_extend_the_graph_rather_than_make_it_again(
    store: Store, base: KnowledgeBase, folder: Path, built: list[int]
) -> None:
    indexes, index = opened(store, base, folder)
    put(store, base, "b", 90, seed=1)
    assert indexes.current(base) is index
    indexes.settle()
    assert built == [COUNT]
    assert index.state.covered == COUNT + 90
    assert indexes.verify(base) == []
    assert len(list((folder / base.id).iterdir())) == 2  # the former files are gone


DAMAGE = ["graph.usearch", "vectors.f32", "columns.npy", "names.json"]


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("how", ["torn", "gone"])
def test_files_that_are_not_whole_are_made_again(
    store: Store, base: KnowledgeBase, folder: Path, built: list[int], name: str, how: str
) -> None:
    first, index = opened(store, base, folder)
    first.close()
    expected = index.search(unit(1), 10)
    path = files(folder, base) / name
    if how == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2)
    second, again = opened(store, base, folder)
    assert built == [COUNT, COUNT]
    assert again.search(unit(1), 10) == expected
    assert second.verify(base) == []


def test_a_flipped_bit_in_the_graph_is_noticed_at_the_start(
    store: Store, base: KnowledgeBase, folder: Path, built: list[int]
) -> None:
    opened(store, base, folder)[0].close()
    flip(files(folder, base) / "graph.usearch")
    opened(store, base, folder)
    assert built == [COUNT, COUNT]


def test_a_flipped_bit_in_a_vector_is_found_by_verify_and_mended_by_rebuild(
    store: Store, base: KnowledgeBase, folder: Path
) -> None:
    opened(store, base, folder)[0].close()
    flip(files(folder, base) / "vectors.f32")
    indexes, _ = opened(store, base, folder)
    found = "\n".join(indexes.verify(base))
    assert "vectors.f32 is not what was written" in found
    assert "1 rows of the vector index differ" in found
    indexes.rebuild(base)
    indexes.settle()
    assert indexes.verify(base) == []


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.unlink()
    path.write_bytes(data)


def test_a_manifest_that_cannot_be_read_is_none(store: Store, base: KnowledgeBase, folder: Path) -> None:
    opened(store, base, folder)[0].close()
    for text in (b"", b"{", b"[]", b'{"format": 99}'):
        (folder / base.id / "current.json").write_bytes(text)
        assert Folder(folder / base.id).open(DIMENSION) is None


def test_files_of_a_later_revision_are_made_again(store: Store, base: KnowledgeBase, folder: Path) -> None:
    """The database was restored from a backup."""
    opened(store, base, folder)[0].close()
    path = folder / base.id / "current.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"revision": 99}))
    indexes, index = opened(store, base, folder)
    assert index.revision == store.knowledge.get(base.id).revision
    assert indexes.verify(base) == []


def test_a_crash_while_writing_leaves_the_former_files_in_force(
    store: Store, base: KnowledgeBase, folder: Path, monkeypatch: pytest.MonkeyPatch, built: list[int]
) -> None:
    indexes, index = opened(store, base, folder)
    before = Folder(folder / base.id).manifest()

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Graph, "save", full)
    put(store, base, "b", 90, seed=1)
    indexes.current(base)
    indexes.settle()
    assert Folder(folder / base.id).manifest() == before
    assert len(index.search(unit(1), 1000)[0]) == COUNT + 90
    assert indexes.verify(base) == []
    indexes.close()
    monkeypatch.undo()
    assert len(Indexes(store, folder, sizes=SMALL).current(base)) == COUNT + 90
    assert built == [COUNT]


def test_a_base_that_is_gone_leaves_no_files(store: Store, base: KnowledgeBase, folder: Path) -> None:
    indexes, _ = opened(store, base, folder)
    store.knowledge.delete(base.id)
    indexes.drop(base.id)
    assert list(folder.iterdir()) == []


def test_threads_that_search_while_documents_come_and_go(store: Store, base: KnowledgeBase, folder: Path) -> None:
    indexes, _ = opened(store, base, folder)
    stop, wrong = threading.Event(), list[object]()

    def search() -> None:
        try:
            while not stop.is_set():
                found, _ = indexes.current(base).search(unit(3), 20)
                if len(found) != 20 or len(dict(found)) != 20:
                    wrong.append(found)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for round_ in range(8):
        document = put(store, base, f"n{round_ % 3}", 40, seed=round_)
        if round_ % 4 == 3:
            store.knowledge.delete_document(document.id)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    indexes.current(base)
    indexes.settle()
    assert indexes.verify(base) == []
    indexes.close()


def test_a_second_process_may_write_too(store: Store, base: KnowledgeBase, folder: Path) -> None:
    one, first = opened(store, base, folder)
    two, second = opened(store, base, folder)
    put(store, base, "b", 90, seed=1)
    for indexes in (one, two):
        indexes.current(base)
        indexes.settle()
    assert first.search(unit(1), 10) == second.search(unit(1), 10)
    assert one.verify(base) == two.verify(base) == []
