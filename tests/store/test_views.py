"""What a reader sees must be what would be there if the rest did not exist."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from athanor.store import Store
from athanor.types import OPEN, SYSTEM_READER, Access, Comparison, Document, KnowledgeBase, Reader, View
from tests.store.material import base, put

HR = Access(readers=("group:hr",))
LEGAL = Access(readers=("group:hr", "group:legal"), labels=("secret",))
STAFF = Reader(identities=frozenset({"principal:1"}))
HR_READER = Reader(identities=frozenset({"group:hr"}))
WORDS = [
    "furnace",
    "furnaces",
    "kiln",
    "crucible",
    "heat",
    "charcoal",
    "metal",
    "alchemist",
    "gold",
    "lead",
    "slag",
    "café",
    "naïve",
    "ore",
    "flux",
]


def closed(store: Store, kb: KnowledgeBase, source: str, passages: list[str], access: Access) -> Document:
    return store.knowledge.set_access(put(store, kb, source, passages).id, access)


def sources(store: Store, kb: KnowledgeBase, view: View | None, *terms: str) -> list[str]:
    ids = [chunk for chunk, _ in store.chunks.search_text(kb.id, terms, view=view)]
    return [hit.source for hit in store.chunks.hits(kb.id, ids)]


def test_a_reader_sees_what_is_open_to_them(store: Store) -> None:
    kb = base(store)
    put(store, kb, "open", ["Furnace one. "])
    closed(store, kb, "hr", ["Furnace two. "], HR)
    closed(store, kb, "legal", ["Furnace three. "], LEGAL)
    cleared = Reader(identities=frozenset({"group:legal"}), labels=frozenset({"secret"}))
    for reader, seen in [
        (STAFF, {"open"}),
        (HR_READER, {"open", "hr"}),
        (cleared, {"open", "legal"}),
        (SYSTEM_READER, {"open", "hr", "legal"}),
    ]:
        view = store.knowledge.view(kb.id, reader)
        assert view.revision == store.knowledge.get(kb.id).revision
        assert set(sources(store, kb, view, "furnace")) == seen
        assert {d.source for d in store.knowledge.documents(kb.id, view=view)} == seen
        assert store.knowledge.count_documents(kb.id, view=view) == len(seen)
        assert store.knowledge.counts(kb.id, view) == (len(seen), len(seen))
        assert store.chunks.term_frequencies(kb.id, ["furnace"], view=view) == (len(seen), {"furnace": len(seen)})
        everything = store.chunks.ids(kb.id)
        assert {hit.source for hit in store.chunks.hits(kb.id, everything, view=view)} == seen
        assert len(store.chunks.get(kb.id, everything, view=view)) == len(seen)


def test_what_is_closed_after_the_look_is_closed_to_the_look(store: Store) -> None:
    kb = base(store)
    doc = put(store, kb, "a", ["Furnace. "])
    put(store, kb, "b", ["Furnace too. "])
    view = store.knowledge.view(kb.id, STAFF)
    store.knowledge.set_access(doc.id, HR)
    assert sources(store, kb, view, "furnace") == ["b"]
    assert store.knowledge.count_documents(kb.id, view=view) == 1


def test_the_number_of_a_class_is_not_given_again(store: Store) -> None:
    kb = base(store)
    doc = closed(store, kb, "a", ["Furnace. "], HR)
    view = store.knowledge.view(kb.id, HR_READER)
    store.knowledge.set_access(doc.id, OPEN)
    with store.read() as conn:
        assert conn.scalar(text("SELECT count(*) FROM access_classes")) == 0
    store.knowledge.set_access(doc.id, LEGAL)
    assert sources(store, kb, view, "furnace") == []
    assert store.chunks.verify(kb.id) == []


def test_a_view_is_of_one_base(store: Store) -> None:
    kb, other = base(store), base(store, "other")
    view = store.knowledge.view(other.id, STAFF)
    with pytest.raises(ValueError, match="not of"):
        store.chunks.search_text(kb.id, ["x"], view=view)
    with pytest.raises(ValueError, match="not of"):
        store.chunks.hits(kb.id, [], view=view) or store.chunks.hits(kb.id, ["x"], view=view)


def test_derived_indexes_learn_of_access_and_attributes(store: Store) -> None:
    kb = base(store)
    a, b = put(store, kb, "a", ["One. ", "Two. "]), put(store, kb, "b", ["Three. "])
    first = store.chunks.changes(kb.id, 0)
    assert first.documents == (a.id, a.id, b.id)
    assert first.classes == (0, 0, 0)
    store.knowledge.set_access(a.id, HR)
    second = store.chunks.changes(kb.id, first.revision)
    assert (second.revision, second.added) == (first.revision + 1, first.added[:2])
    (number,) = set(second.classes)
    assert second.classes == (number, number)
    assert number in (store.knowledge.view(kb.id, HR_READER).classes or ())
    assert number not in (store.knowledge.view(kb.id, STAFF).classes or ())
    store.knowledge.set_attributes(b.id, {"year": 2024})
    third = store.chunks.changes(kb.id, second.revision)
    assert (third.added, third.documents) == ((f"{b.id}-0",), (b.id,))


def test_a_filter_narrows_both(store: Store) -> None:
    kb = base(store)
    for year in (2022, 2023, 2024):
        doc = put(store, kb, str(year), [f"Furnace of {year}. "])
        store.knowledge.set_attributes(doc.id, {"year": year, "kind": "report"})
    put(store, kb, "none", ["Furnace of no year. "])
    store.knowledge.set_access(doc.id, HR)
    late = Comparison(key="year", operator="gte", value=2023)
    view = store.knowledge.view(kb.id, STAFF, late)
    assert sources(store, kb, view, "furnace") == ["2023"]
    assert [d.source for d in store.knowledge.documents(kb.id, view=view)] == ["2023"]
    assert len(view.documents or ()) == 1
    assert store.chunks.term_frequencies(kb.id, ["furnace"], view=view) == (1, {"furnace": 1})
    assert set(sources(store, kb, store.knowledge.view(kb.id, HR_READER, late), "furnace")) == {"2023", "2024"}
    nothing = store.knowledge.view(kb.id, STAFF, Comparison(key="year", operator="eq", value="2023"))
    assert sources(store, kb, nothing, "furnace") == []


@pytest.mark.parametrize("everything", [True, False])
def test_a_view_that_hides_nothing_changes_nothing(store: Store, everything: bool) -> None:
    kb = base(store)
    put(store, kb, "a", [" ".join(random.Random(n).choices(WORDS, k=20)) + " " for n in range(30)])
    narrow = closed(store, kb, "b", ["furnace gold "], HR)
    reader = SYSTEM_READER if everything else HR_READER
    whole = store.chunks.search_text(kb.id, ["gold", "lead"])
    assert store.chunks.search_text(kb.id, ["gold", "lead"], view=store.knowledge.view(kb.id, reader)) == whole
    # The long way to the same: documents are named, and none is missing.
    every = View(base=kb.id, revision=0, documents=frozenset({d.id for d in store.knowledge.documents(kb.id)}))
    found = store.chunks.search_text(kb.id, ["gold", "lead"], view=every)
    assert narrow.id in every.documents if every.documents else False
    assert [chunk for chunk, _ in found] == [chunk for chunk, _ in whole]
    assert [score for _, score in found] == pytest.approx([score for _, score in whole], rel=1e-12)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Callable[[str], Store]]:
    """A store on each dialect for the whole module: hypothesis makes and deletes bases in it."""
    import psycopg  # noqa: PLC0415

    folder: Path = tmp_path_factory.mktemp("views")
    host = postgres_server.rpartition("=")[2]
    with psycopg.connect(host=host, user="athanor", dbname="postgres", autocommit=True) as conn:
        conn.execute("CREATE DATABASE views")
    urls = {"sqlite": f"sqlite:///{folder}/a.db", "postgresql": postgres_server.replace("NAME", "views")}
    stores: dict[str, Store] = {}

    def get(dialect: str) -> Store:
        if dialect not in stores:
            stores[dialect] = Store.open(urls[dialect], blobs=folder / dialect)
        return stores[dialect]

    yield get
    for store in stores.values():
        store.close()
    with psycopg.connect(host=host, user="athanor", dbname="postgres", autocommit=True) as conn:
        conn.execute("DROP DATABASE views WITH (FORCE)")


PASSAGES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), min_size=1, max_size=3)
CASES = st.lists(st.tuples(PASSAGES, st.sampled_from([OPEN, HR, LEGAL]), st.booleans()), min_size=1, max_size=6)


@pytest.mark.postgres
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cases=CASES,
    terms=st.lists(st.sampled_from(WORDS), min_size=1, max_size=5),
    weight=st.sampled_from([1.0, 2.5]),
    filtered=st.booleans(),
)
def test_scores_are_those_of_a_base_of_what_is_seen(
    empty: Callable[[str], Store],
    dialect: str,
    cases: list[tuple[list[list[str]], Access, bool]],
    terms: list[str],
    weight: float,
    filtered: bool,
) -> None:
    store = empty(dialect)
    mixed, alone = base(store, "mixed"), base(store, "alone")
    try:
        for number, (passages, access, kept) in enumerate(cases):
            cut = [" ".join(words) + " " for words in passages]
            doc = put(store, mixed, f"{number}", cut, heading=WORDS[number])
            store.knowledge.set_access(doc.id, access)
            store.knowledge.set_attributes(doc.id, {"kept": kept})
            if HR_READER.may_read(access) and (kept or not filtered):
                put(store, alone, f"{number}", cut, heading=WORDS[number])
        condition = Comparison(key="kept", operator="eq", value=True) if filtered else None
        view = store.knowledge.view(mixed.id, HR_READER, condition)

        def found(kb: KnowledgeBase, seen: View | None) -> list[tuple[str, int, float]]:
            hits = store.chunks.search_text(kb.id, terms, heading_weight=weight, view=seen)
            about = store.chunks.hits(kb.id, [chunk for chunk, _ in hits])
            return [(h.source, h.chunk.ordinal, s) for h, (_, s) in zip(about, hits, strict=True)]

        expected, got = found(alone, None), found(mixed, view)
        assert [hit[:2] for hit in got] == [hit[:2] for hit in expected]
        assert [hit[2] for hit in got] == pytest.approx([hit[2] for hit in expected], rel=0, abs=1e-9)
        asked = [*terms, f"{terms[0]} {terms[-1]}"]
        assert store.chunks.term_frequencies(mixed.id, asked, view=view) == store.chunks.term_frequencies(
            alone.id, asked
        )
        there = store.knowledge.get(alone.id)
        assert store.knowledge.counts(mixed.id, view) == (there.documents, there.chunks)
        assert store.chunks.verify(mixed.id) == []
    finally:
        for kb in (mixed, alone):
            store.knowledge.delete(kb.id)


def test_a_restricted_search_reads_no_table_from_end_to_end(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/a.db", blobs=tmp_path)
    kb = base(store)
    doc = closed(store, kb, "a", ["Furnace. "], HR)
    put(store, kb, "b", ["Furnace too. "])
    statements: list[str] = []
    with store.read() as conn:
        raw = conn.connection.driver_connection
        assert raw is not None
        raw.set_trace_callback(statements.append)
        view = store.knowledge.view(kb.id, STAFF, conn=conn)
        named = View(base=kb.id, revision=0, classes=view.classes, documents=frozenset({doc.id}))
        for seen in (view, named):
            store.chunks.search_text(kb.id, ["furnace"], view=seen, conn=conn)
            store.chunks.term_frequencies(kb.id, ["furnace"], view=seen, conn=conn)
        raw.set_trace_callback(None)
        plans = [
            row[3]
            for statement in dict.fromkeys(statements)
            if statement.startswith("SELECT")
            for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]
    store.close()
    assert any("chunks USING COVERING INDEX ix_chunks_base_access" in plan for plan in plans)
    assert [plan for plan in plans if plan.startswith(("SCAN chunks", "SCAN documents"))] == []
