"""The index of one base against a brute-force search of what it must hold."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athanor.rag.vectors import Folder, LiveIndex, StaleError, Stopped
from athanor.types import VectorChanges, View
from tests.rag.vectors import DIMENSION, Base, unit, units

CHUNKS = st.lists(st.integers(0, 30), max_size=12, unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), CHUNKS, st.integers(0, 3)),
        st.tuples(st.just("close"), CHUNKS, st.integers(0, 3)),
        st.tuples(st.just("drop"), CHUNKS, st.just(0)),
        st.tuples(st.just("merge"), st.just([]), st.just(0)),
    ),
    max_size=12,
)
VIEWS = st.tuples(
    st.none() | st.frozensets(st.integers(0, 3)),
    st.none() | st.frozensets(st.sampled_from(["d0", "d1", "d2", "d9"])),
    st.integers(0, 3),
)


@settings(deadline=None, max_examples=150)
@given(STEPS, st.lists(VIEWS, max_size=4), st.integers(1, 12), st.booleans())
def test_equals_brute_force_after_every_kind_of_change(
    steps: list[tuple[str, list[int], int]],
    views: list[tuple[frozenset[int] | None, frozenset[str] | None, int]],
    limit: int,
    eager: bool,
) -> None:
    index, base = LiveIndex(DIMENSION), Base()
    for number, (kind, keys, access) in enumerate(steps):
        chunks = [f"c{key}" for key in keys]
        if kind == "put":  # few different vectors, so that many cosines are equal
            base.put({f"c{key}": (unit((key * 7 + number) % 11), f"d{key % 3}", access) for key in keys})
        elif kind == "close":
            base.close(chunks, access)
        elif kind == "drop":
            base.drop(chunks)
        if kind == "merge":
            index.merge()
        elif eager:
            index.apply(base.changes(index.revision))
    index.apply(base.changes(index.revision), thorough=not eager)
    assert len(index) == len(base.rows)
    query = unit(5000)
    made = [
        View(base="b", revision=max(0, base.revision - back), classes=classes, documents=documents)
        for classes, documents, back in views
    ]
    for view in [None, *made]:
        if not eager and view is not None and view.revision < base.revision:
            continue  # an index that skipped revisions hides more of an older view
        found, also = index.search(query, limit, ["c0", "c3", "unknown"], view)
        assert found == base.best(query, limit, view)
        seen = dict(base.best(query, 1000, view))
        assert also == {chunk: seen[chunk] for chunk in ("c0", "c3") if chunk in seen}


def test_hidden_rows_change_no_digit() -> None:
    """A matrix product rounds by position; a score must not tell how many rows are hidden before it."""
    vectors = units(3000)
    seen = set(range(0, 3000, 7))
    whole, part = Base(), Base()
    whole.put({f"c{i}": (v, "d", 0 if i in seen else 1) for i, v in enumerate(vectors)})
    part.put({f"c{i}": (v, "d", 0) for i, v in enumerate(vectors) if i in seen})
    one, two = LiveIndex(DIMENSION), LiveIndex(DIMENSION)
    one.apply(whole.changes(0))
    two.apply(part.changes(0))
    view = View(base="b", revision=1, classes=frozenset({0}))
    for seed in range(20):
        asked = [f"c{i}" for i in range(50)]
        assert one.search(unit(seed), 40, asked, view) == two.search(unit(seed), 40, asked)


def test_a_view_of_a_later_revision_is_refused() -> None:
    index, base = LiveIndex(DIMENSION), Base()
    base.put({"a": (unit(1), "d", 0)})
    index.apply(base.changes(0))
    with pytest.raises(ValueError, match="revision 2"):
        index.search(unit(1), 1, view=View(base="b", revision=2))


def test_an_older_view_does_not_see_what_was_closed_since() -> None:
    index, base = LiveIndex(DIMENSION), Base()
    base.put({"a": (unit(1), "d", 0), "b": (unit(2), "e", 0)})
    index.apply(base.changes(0))
    before = View(base="b", revision=1)  # its maker saw no class that was closed
    base.close(["a"], 5)
    index.apply(base.changes(1))
    assert index.search(unit(1), 5, ["a"], before) == ([("b", pytest.approx(float(unit(2) @ unit(1)), abs=1e-6))], {})


def test_a_base_that_does_not_add_up_is_refused_and_nothing_changes() -> None:
    index, base = LiveIndex(DIMENSION), Base()
    base.put({"a": (unit(1), "d", 0)})
    index.apply(base.changes(0))
    with pytest.raises(StaleError):
        index.apply(VectorChanges(revision=2, added=(), matrix=b"", present=("a", "b")))
    assert (index.revision, len(index)) == (1, 1)
    with pytest.raises(ValueError, match="2 ids"):
        index.apply(VectorChanges(revision=2, added=("a", "b"), matrix=unit(1).tobytes(), present=("a", "b")))


def test_an_empty_index_finds_nothing() -> None:
    assert LiveIndex(DIMENSION).search(unit(1), 5, ["a"]) == ([], {})


def filled(folder: Folder | None = None, count: int = 1500) -> tuple[LiveIndex, Base]:
    """An index with a graph, of rows in 30 documents and 3 access classes."""
    base = Base()
    base.put({f"c{i}": (v, f"d{i % 30}", i % 3) for i, v in enumerate(units(count))})
    index = LiveIndex(DIMENSION, folder, few=100, later=50)
    index.apply(base.changes(0))
    assert index.overdue
    index.merge()
    assert not index.overdue
    assert index.state.covered == count
    return index, base


def recall(index: LiveIndex, base: Base, view: View | None = None) -> float:
    """Of the ten best, over 20 queries. What was found must be visible, in order, and scored exactly."""
    hits = 0
    for seed in range(9000, 9020):
        query = unit(seed)
        found, _ = index.search(query, 10, view=view)
        every = dict(base.best(query, len(base.rows), view))
        assert all(every[chunk] == score for chunk, score in found)
        assert found == sorted(found, key=lambda pair: (-pair[1], pair[0]))
        hits += len(dict(found).keys() & dict(base.best(query, 10, view)).keys())
    return hits / 200


VIEW = View(base="b", revision=10**6, classes=frozenset({0, 2}))


def at(base: Base, view: View) -> View:
    return View(base="b", revision=base.revision, classes=view.classes, documents=view.documents)


def test_the_graph_finds_what_exact_search_finds_whatever_changes() -> None:
    index, base = filled()
    base.put({f"n{i}": (v, "d1", 0) for i, v in enumerate(units(40, seed=3))})
    base.put({f"c{i}": (v, "d2", 2) for i, v in enumerate(units(30, seed=4))})
    base.drop([f"c{i}" for i in range(100, 200)])
    base.close([f"c{i}" for i in range(300, 400)], 1)
    index.apply(base.changes(index.revision))
    assert index.state.covered < index.state.count
    for view in (None, at(base, VIEW), View(base="b", revision=base.revision, documents=frozenset({"d3", "d4"}))):
        assert recall(index, base, view) >= 0.98
    index.merge()
    assert index.state.covered == index.state.count
    assert recall(index, base) >= 0.98
    assert recall(index, base, at(base, VIEW)) >= 0.98


def test_few_visible_rows_are_searched_exactly() -> None:
    index, base = filled()
    few = View(base="b", revision=1, documents=frozenset({"d7"}))
    for seed in range(20):
        assert index.search(unit(seed), 10, view=few)[0] == base.best(unit(seed), 10, few)


def test_a_view_that_hides_all_that_is_near_gets_its_rows_all_the_same() -> None:
    """The graph proposes hidden rows only, however many are asked of it."""
    base, query = Base(), unit(77)
    near = {f"n{i}": (_near(query, i), "d", 1) for i in range(1200)}
    base.put(near | {f"f{i}": (-_near(query, i), "d", 0) for i in range(300)})
    index = LiveIndex(DIMENSION, few=100)
    index.apply(base.changes(0))
    index.merge()
    view = View(base="b", revision=1, classes=frozenset({0}))
    assert index.search(query, 10, view=view)[0] == base.best(query, 10, view)


def _near(query: np.ndarray, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    vector = query + 0.1 * unit(seed)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def test_dead_rows_are_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("athanor.rag.vectors.live._DEAD", 100)
    index, base = filled(Folder(tmp_path))
    base.drop([f"c{i}" for i in range(600)])
    index.apply(base.changes(index.revision))
    assert index.overdue
    index.merge()
    assert index.state.count == len(index) == 900
    assert recall(index, base) >= 0.98
    again = LiveIndex.open(DIMENSION, Folder(tmp_path), few=100)
    assert again is not None
    assert again.search(unit(1), 30) == index.search(unit(1), 30)


def test_a_merge_that_is_stopped_changes_nothing(tmp_path: Path) -> None:
    index, base = filled(Folder(tmp_path))
    before = Folder(tmp_path).manifest()
    base.put({f"n{i}": (v, "d1", 0) for i, v in enumerate(units(200, seed=3))})
    index.apply(base.changes(1))
    with pytest.raises(Stopped):
        index.merge(stopped=lambda: True)
    assert index.overdue
    assert Folder(tmp_path).manifest() == before
    assert recall(index, base) >= 0.98


@pytest.mark.parametrize("merges", [False, True])
def test_searches_beside_changes_see_whole_revisions(merges: bool) -> None:
    """Every revision has one document of 20 chunks with one vector: a search finds 20 of one document, or none."""
    index, base = filled(count=300)
    stop, wrong = threading.Event(), list[object]()
    query = unit(123)

    def search() -> None:
        while not stop.is_set():
            found, also = index.search(query, 20, ["m0", "m19"])
            scores = {score for _, score in found if score > 0.999}
            near = [chunk for chunk, score in found if score > 0.999]
            if len(near) not in (0, 20) or len(scores) > 1 or len(also) not in (0, 2) or len(set(also.values())) > 1:
                wrong.append((found, also))

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for round_ in range(40):
            if round_ % 4 == 3:
                base.drop([f"m{i}" for i in range(20)])
            else:
                moved = query + 0.001 * unit(round_)
                moved = np.asarray(moved / np.linalg.norm(moved), dtype=np.float32)
                base.put({f"m{i}": (moved, f"m{round_}", round_ % 3) for i in range(20)})
            index.apply(base.changes(index.revision))
            if merges and round_ % 5 == 0:
                index.merge()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
