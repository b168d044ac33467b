"""Groups, versions of settings, questions, evaluations, pictures, expiry and filters."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athanor.errors import ConflictError, NotFoundError
from athanor.store import Store
from athanor.types import (
    SYSTEM_READER,
    Comparison,
    Compound,
    Evaluation,
    Filter,
    Question,
    RetrievalSettings,
    RoleName,
    StoredPicture,
)
from tests.store.material import EMBEDDER, base, cut, document, put, vector

DAY = 86_400.0


def test_groups(store: Store) -> None:
    ada = store.principals.create("Ada", role=RoleName.USER)
    bob = store.principals.create("Bob", role=RoleName.USER)
    hr = store.groups.create("hr", labels=["b", "a", "b"])
    assert hr.labels == ("a", "b")
    assert store.groups.get("hr") == store.groups.get(hr.id) == hr
    with pytest.raises(ConflictError, match="'hr' exists"):
        store.groups.create("hr")
    store.groups.add(hr.id, ada.id)
    store.groups.add(hr.id, ada.id)
    store.groups.add(hr.id, bob.id)
    legal = store.groups.create("a legal")
    store.groups.add(legal.id, ada.id)
    assert store.groups.get("hr").members == tuple(sorted([ada.id, bob.id]))
    assert [group.name for group in store.groups.list()] == ["a legal", "hr"]
    assert [group.name for group in store.groups.of(ada.id)] == ["a legal", "hr"]
    assert store.groups.set_labels(hr.id, ["c"]).labels == ("c",)
    store.groups.remove(hr.id, bob.id)
    assert store.groups.of(bob.id) == []
    store.groups.delete(hr.id)
    assert store.groups.find("hr") is None
    assert [group.name for group in store.groups.of(ada.id)] == ["a legal"]
    for call in (
        lambda: store.groups.get("hr"),
        lambda: store.groups.delete(hr.id),
        lambda: store.groups.set_labels(hr.id, []),
        lambda: store.groups.add(hr.id, ada.id),
        lambda: store.groups.add(legal.id, "p_nobody"),
        lambda: store.groups.remove(legal.id, bob.id),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_versions_of_settings(store: Store) -> None:
    kb, other = base(store), base(store, "other")
    assert (kb.version, kb.settings, store.versions.list(kb.id)) == (0, RetrievalSettings(), [])
    first = store.versions.add(kb.id, RetrievalSettings(expand=400), note="larger", figures={"ndcg": {"value": 0.5}})
    second = store.versions.add(kb.id, RetrievalSettings(dense_weight=0.2))
    assert (first.version, second.version) == (1, 2)
    assert store.versions.list(kb.id) == [second, first]
    assert store.versions.get(kb.id, 1) == first
    assert store.knowledge.get(kb.id).version == 0, "made is not used"
    store.versions.use(kb.id, 1)
    assert store.knowledge.get(kb.id).settings == first.settings
    assert store.knowledge.get(other.id).settings == RetrievalSettings()
    store.versions.use(kb.id, 0)
    assert store.knowledge.get(kb.id).settings == RetrievalSettings()
    for call in (
        lambda: store.versions.use(kb.id, 3),
        lambda: store.versions.get(other.id, 1),
        lambda: store.versions.add("kb_nil", RetrievalSettings()),
    ):
        with pytest.raises(NotFoundError):
            call()
    store.versions.use(kb.id, 2)
    store.knowledge.delete(kb.id)
    with pytest.raises(NotFoundError):
        store.versions.list(kb.id)


def test_questions_and_evaluations(store: Store) -> None:
    kb, other = base(store), base(store, "other")
    one = Question(id="q_1", base=kb.id, text="Where?", relevant={"a.md": 1.0, "b.md#chk_1": 0.5}, answer="there")
    two = Question(id="q_2", base=kb.id, text="Who?", relevant={}, origin="synthetic")
    store.questions.put([two, one])
    store.questions.put([replace(one, text="Where to?")])
    assert store.questions.list(kb.id) == [replace(one, text="Where to?"), two]
    assert store.questions.list(kb.id, origin="synthetic") == [two]
    assert store.questions.get("q_2") == two
    assert (store.questions.count(kb.id), store.questions.count(other.id)) == (2, 0)
    assert store.questions.delete(other.id, ids=["q_1"]) == 0, "another base's"
    assert store.questions.delete(kb.id, origin="user") == 1
    with pytest.raises(NotFoundError):
        store.questions.get("q_1")
    made = [
        Evaluation(id=f"e{i}", base=kb.id, version=i, revision=7, questions="own", created_at=float(i),
                   figures={"ndcg": {"value": 0.5, "low": 0.4, "high": 0.6}}, details=({"id": "q_2", "ndcg": 0.5},))
        for i in range(3)
    ]  # fmt: skip
    for evaluation in made:
        store.evaluations.add(evaluation)
    with pytest.raises(ConflictError):
        store.evaluations.add(made[0])
    assert store.evaluations.list(kb.id) == made[::-1]
    assert store.evaluations.list(kb.id, version=1) == [made[1]]
    assert store.evaluations.list(kb.id, questions="a.csv") == []
    assert store.evaluations.get("e2") == made[2]
    store.evaluations.delete("e2")
    with pytest.raises(NotFoundError):
        store.evaluations.delete("e2")
    store.knowledge.delete(kb.id)
    for find in (store.evaluations.get, store.questions.get):
        with pytest.raises(NotFoundError):
            find("e1" if find == store.evaluations.get else "q_2")


def test_pictures_live_as_long_as_their_version(store: Store) -> None:
    kb = base(store)
    doc = document(store, kb, "a.md", "With a picture. ")
    shown, again = (
        StoredPicture(sha256=store.blobs.put(data), mime="image/png", start=5, alt="A cat") for data in (b"1", b"2")
    )
    chunks = cut(doc, ["With a picture. "])
    stored = store.knowledge.replace_document(doc, chunks, [vector()], embedder=EMBEDDER, pictures=[shown, again])
    assert store.knowledge.pictures(stored.id, 1) == [shown, again]
    names = store.chunks.blobs(kb.id)
    assert {shown.sha256, again.sha256, stored.text_sha256} == names.keys()
    assert names[shown.sha256] == "A picture of version 1 of 'a.md'"
    put(store, kb, "a.md", ["Without. "])
    assert store.knowledge.pictures(stored.id, 2) == []
    assert store.knowledge.pictures(stored.id, 1) == [shown, again], "old citations can still be opened"
    assert store.collect(older=-1.0) == []
    store.knowledge.delete_document(stored.id)
    assert {shown.sha256, again.sha256} <= {*store.collect(older=-1.0)}
    assert not store.blobs.exists(shown.sha256)


def test_a_base_expires_after_its_last_use(store: Store) -> None:
    kb = store.knowledge.update(base(store).id, expires_after=2)
    base(store, "for ever")
    made = kb.created_at
    assert store.knowledge.expired(at=made + 1.9 * DAY) == []
    assert [one.id for one in store.knowledge.expired(at=made + 2 * DAY)] == [kb.id]
    store.knowledge.touch(kb.id, at=made + DAY)
    assert store.knowledge.expired(at=made + 2.9 * DAY) == []
    assert store.knowledge.get(kb.id).expires_at == pytest.approx(made + 3 * DAY)
    assert [one.id for one in store.knowledge.expired(at=made + 3 * DAY)] == [kb.id]
    assert store.knowledge.update(kb.id, expires_after=None).expires_at is None
    assert store.knowledge.expired(at=made + 1000 * DAY) == []


VALUES = st.one_of(
    st.sampled_from(["", "a", "A", "ä", "b", "1", "true"]),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**53, 0.5, -0.0, 1e300]),
)
KEYS = st.sampled_from(["x", "y z", 'q"uote', "é"])
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=3)
SINGLE = st.builds(Comparison, key=KEYS, operator=st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), value=VALUES)
SEVERAL = st.builds(
    Comparison, key=KEYS, operator=st.sampled_from(["in", "nin"]), value=st.lists(VALUES, max_size=3).map(tuple)
)
FILTERS = st.recursive(
    SINGLE | SEVERAL,
    lambda inner: st.builds(
        Compound, operator=st.sampled_from(["and", "or"]), filters=st.lists(inner, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=5,
)


def kind(value: Any) -> str:
    return "boolean" if value is True or value is False else "text" if isinstance(value, str) else "number"


def satisfied(wanted: Filter, held: dict[str, Any]) -> bool:
    """The rules again, one by one."""
    if isinstance(wanted, Compound):
        verdicts = [satisfied(one, held) for one in wanted.filters]
        return False not in verdicts if wanted.operator == "and" else True in verdicts
    if wanted.key not in held:
        return wanted.operator in ("ne", "nin")
    own = held[wanted.key]
    given = wanted.value if wanted.operator in ("in", "nin") else [wanted.value]
    equal = any(kind(one) == kind(own) and one == own for one in given)  # type: ignore[union-attr]
    if wanted.operator in ("eq", "in"):
        return equal
    if wanted.operator in ("ne", "nin"):
        return not equal
    compare = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}[wanted.operator]
    return kind(own) == kind(wanted.value) and compare(own, wanted.value)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(held=st.tuples(*[ATTRIBUTES] * 4), wanted=st.lists(FILTERS, min_size=4, max_size=8))
def test_filters_leave_what_a_plain_reading_leaves(
    store: Store, held: tuple[dict[str, Any], ...], wanted: list[Filter]
) -> None:
    kb = store.knowledge.find("notes")
    if kb is None:
        kb = base(store)
        for number in range(len(held)):
            put(store, kb, f"{number}", ["Furnace. "])
    with store.write() as conn:
        documents = {}
        for doc, attributes in zip(store.knowledge.documents(kb.id, conn=conn), held, strict=True):
            store.knowledge.set_attributes(doc.id, attributes, conn=conn)
            documents[doc.id] = attributes
    for one in wanted:
        view = store.knowledge.view(kb.id, SYSTEM_READER, one)
        assert view.documents == {name for name, attributes in documents.items() if satisfied(one, attributes)}
