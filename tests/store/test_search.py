from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athanor.store import Store
from athanor.types import KnowledgeBase
from tests.store.material import DIMENSION, EMBEDDER, base, put

PASSAGES = [
    "The athanor is a furnace that feeds itself with charcoal.",
    "Alchemists kept an even heat in the furnace for weeks; furnaces were costly.",
    "A crucible holds the metal. It's heated in a kiln, at 1,200 degrees.",
    "Café owners in München drink crème; naïve résumé writers do not.",
    "The C++ compiler's -O2 flag isn't AND, OR, NOT, nor NEAR(anything, 5)*.",
    "Наука и жизнь: печь. 東京 の 炉。 x_y snake_case 3.14 v2",
]

# Words that hostile strings are made of: FTS5's and tsquery's syntax, wildcards, quotes, controls.
HOSTILE = st.one_of(
    st.sampled_from([*"\"'\\*^(){}:-+!&|%_;\0", "<->", "NEAR", "AND", "OR", "NOT", "text:", "heading :", "rank"]),
    st.sampled_from(["--", "''", '""', ":*", "$1", ":query", "%s", "furnace"]),
    st.text(max_size=12),
    st.text(st.characters(categories=["L", "N", "M", "S", "Cc", "Co"]), max_size=12),
)


@pytest.fixture
def kb(store: Store) -> KnowledgeBase:
    kb = base(store)
    for number, passage in enumerate(PASSAGES):
        put(store, kb, f"{number}.md", [passage], heading=f"Chapter {number}")
    return kb


def found(store: Store, kb: KnowledgeBase, *terms: str) -> set[int]:
    """Numbers of the passages that hold any of `terms`."""
    hits = store.chunks.hits(kb.id, [chunk for chunk, _ in store.chunks.search_text(kb.id, terms)])
    return {int(hit.source.removesuffix(".md")) for hit in hits}


def test_words_are_stemmed_and_folded(store: Store, kb: KnowledgeBase) -> None:
    assert found(store, kb, "furnaces") == {0, 1}
    assert found(store, kb, "FURNACE") == {0, 1}
    assert found(store, kb, "feed") == {0}
    assert found(store, kb, "cafe") == found(store, kb, "CAFÉ") == found(store, kb, "cafe\u0301") == {3}
    assert found(store, kb, "munchen", "nothing") == {3}
    assert found(store, kb, "печь") == found(store, kb, "ПЕЧЬ") == {5}
    assert found(store, kb, "東京") == {5}


def test_terms_have_or_semantics_and_no_syntax(store: Store, kb: KnowledgeBase) -> None:
    assert found(store, kb, "charcoal", "kiln") == {0, 2}
    assert found(store, kb, "charcoal AND kiln") >= {0, 2}
    assert found(store, kb, '"charcoal kiln"') == {0, 2}
    assert found(store, kb, "furn*") == set()
    assert found(store, kb, "text:nothing") == set()
    assert found(store, kb, "NEAR(nothing)") == {4}
    assert found(store, kb, "-O2") == {4}
    assert found(store, kb, "snake_case") == found(store, kb, "snake") == {5}


def test_nothing_finds_nothing(store: Store, kb: KnowledgeBase) -> None:
    for terms in ([], [""], ["!!!", '"', "\0"], ["zzzzz"]):
        assert store.chunks.search_text(kb.id, terms) == []
    assert store.chunks.search_text(kb.id, ["furnace"], limit=0) == []
    assert store.chunks.search_text(base(store, "empty").id, ["furnace"]) == []


def test_best_comes_first(store: Store) -> None:
    kb = base(store)
    fillers = [f"Filler number {i} about nothing." for i in range(20)]
    put(store, kb, "f", fillers)
    put(store, kb, "a", ["furnace furnace furnace", "furnace and a lot of other words that dilute it very much indeed"])
    hits = store.chunks.search_text(kb.id, ["furnace", "furnace"])
    assert [chunk[-2:] for chunk, _ in hits] == ["-0", "-1"]
    assert hits[0][1] > hits[1][1] > 0
    assert store.chunks.search_text(kb.id, ["furnace"]) == hits
    assert store.chunks.search_text(kb.id, ["furnace"], limit=1) == hits[:1]


def test_heading_has_its_weight(store: Store) -> None:
    kb = base(store)
    put(store, kb, "f", [f"Filler number {i} about nothing." for i in range(20)])
    put(store, kb, "heading", ["of other things entirely"], heading="Kiln")
    put(store, kb, "text", ["kiln of other things"], heading="entirely")

    def best(text: float, heading: float) -> str:
        hits = store.chunks.search_text(kb.id, ["kiln"], text_weight=text, heading_weight=heading)
        return store.chunks.hits(kb.id, [hits[0][0]])[0].source

    assert best(1.0, 3.0) == "heading"
    assert best(3.0, 1.0) == "text"


def test_statistics_are_those_of_one_base(store: Store, kb: KnowledgeBase) -> None:
    before = store.chunks.search_text(kb.id, ["crucible", "heat"])
    other = base(store, "other")
    put(store, other, "a", ["crucible heat " * 5] * 10)
    assert store.chunks.search_text(kb.id, ["crucible", "heat"]) == before
    assert store.chunks.term_frequencies(kb.id, ["crucible"]) == (6, {"crucible": 1})
    assert store.chunks.term_frequencies(other.id, ["crucible"]) == (10, {"crucible": 10})


def test_term_frequencies(store: Store, kb: KnowledgeBase) -> None:
    total, found = store.chunks.term_frequencies(
        kb.id, ["furnace", "even heat", "heat even", "zzz", "", '"', "furnace"]
    )
    assert total == len(PASSAGES)
    assert found == {"furnace": 2, "even heat": 1, "heat even": 0, "zzz": 0, "": 0, '"': 0}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[Callable[[str], Store]]:
    """The passages on each dialect, in databases that stay for the module: hypothesis asks them often."""
    stores: dict[str, Store] = {}
    urls = {"sqlite": f"sqlite:///{tmp_path_factory.mktemp('shared')}/a.db", "postgresql": postgres_server}

    def get(dialect: str) -> Store:
        if dialect not in stores:
            url = urls[dialect].replace("NAME", "postgres")
            stores[dialect] = Store.open(url, blobs=tmp_path_factory.mktemp("blobs"))
            kb = base(stores[dialect])
            for number, passage in enumerate(PASSAGES * 3):
                put(stores[dialect], kb, f"{number}.md", [passage], heading=f"Chapter {number}")
        return stores[dialect]

    yield get
    for store in stores.values():
        store.close()


@pytest.mark.postgres
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(terms=st.lists(HOSTILE, max_size=8), data=st.data())
def test_hostile_terms_never_fail_and_cannot_hide_a_word(
    shared: Callable[[str], Store], terms: list[str], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(terms)))
    for dialect in ("sqlite", "postgresql"):
        store = shared(dialect)
        kb = store.knowledge.get("notes")
        store.chunks.search_text(kb.id, terms)
        total, counts = store.chunks.term_frequencies(kb.id, terms)
        assert total == 3 * len(PASSAGES)
        assert set(counts) == set(terms)
        assert all(0 <= count <= total for count in counts.values())
        hits = store.chunks.search_text(kb.id, [*terms[:place], "crucible", *terms[place:]])
        sources = {hit.source for hit in store.chunks.hits(kb.id, [chunk for chunk, _ in hits])}
        assert {"2.md", "8.md", "14.md"} <= sources


@pytest.mark.postgres
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(terms=st.lists(st.sampled_from(" ".join(PASSAGES[:5]).split()), min_size=1, max_size=6))
def test_both_dialects_give_the_same_scores(shared: Callable[[str], Store], terms: list[str]) -> None:
    scores = {}
    for dialect in ("sqlite", "postgresql"):
        store = shared(dialect)
        kb = store.knowledge.get("notes")
        hits = store.chunks.search_text(kb.id, terms, text_weight=1.0, heading_weight=2.0)
        sources = [hit.source for hit in store.chunks.hits(kb.id, [chunk for chunk, _ in hits])]
        scores[dialect] = dict(zip(sources, [score for _, score in hits], strict=True))
    assert scores["sqlite"].keys() == scores["postgresql"].keys()
    for source, score in scores["sqlite"].items():
        assert scores["postgresql"][source] == pytest.approx(score, rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(
    passages=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40), max_size=4
    )
)
def test_any_text_can_be_stored_and_deleted(tmp_path_factory: pytest.TempPathFactory, passages: list[str]) -> None:
    folder: Path = tmp_path_factory.getbasetemp()
    store = Store.open(f"sqlite:///{folder}/any.db", blobs=folder / "any")
    kb = store.knowledge.find("any") or store.knowledge.create("any", embedder=EMBEDDER, dimension=DIMENSION)
    passages = [f"{number} {passage}" for number, passage in enumerate(passages)]
    doc = put(store, kb, "a", passages)
    assert [c.text for c in store.chunks.of_document(doc.id)] == passages
    assert store.chunks.verify(kb.id) == []
    store.knowledge.delete_document(doc.id)
    assert store.chunks.verify(kb.id) == []
    store.close()
