"""Settings are changed where a base's own questions speak for it, on questions that they were not chosen on."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from athanor.errors import InputError, JobError, PermissionDeniedError
from athanor.rag.evaluation.choose import STAGES, fusions, halves, plain, preferred
from athanor.rag.evaluation.climb import Climb, choices, climb
from athanor.rag.evaluation.measure import BudgetSpent, Measuring
from athanor.rag.evaluation.tune import Tuning
from athanor.rag.evaluation.verdict import LEAST, decide
from athanor.rag.indexes import Indexes
from athanor.store import Store
from athanor.types import (
    DEFAULT_RETRIEVAL,
    Embeddings,
    Job,
    KnowledgeBase,
    Principal,
    Question,
    RetrievalSettings,
    RoleName,
)
from tests.rag.evaluation.filled import filled
from tests.rag.fakes import DIMENSION, WordEmbedder, WordReranker

pytestmark = pytest.mark.anyio

PARTS = 64
_COLOURS = ("green", "yellow", "black", "white")
_METALS = ("copper", "brass", "steel", "nickel")
_ROOMS = ("cellar", "attic", "kitchen", "stable")


def part(number: int) -> str:
    """What tells a part from the others: no word of it does so alone."""
    return f"{_COLOURS[number % 4]} {_METALS[number // 4 % 4]} {_ROOMS[number // 16]}"


class BlindEmbedder(WordEmbedder):
    """Embeds what a text is made of, never what it says: the dense leg is noise."""

    async def embed(self, texts: Sequence[str], *, kind: Literal["query", "document"]) -> Embeddings:
        self.texts += len(texts)
        rows = np.stack([np.random.default_rng(zlib.crc32(text.encode())).normal(size=DIMENSION) for text in texts])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return Embeddings(data=rows.astype("<f4").tobytes(), count=len(texts), dimension=DIMENSION, tokens=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'test.db'}", blobs=tmp_path / "blobs")
    yield store
    store.close()


@pytest.fixture
def fusion_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes a search for each question and setting, and most of the grid."""
    monkeypatch.setattr("athanor.rag.evaluation.choose.WEIGHTS", (0.0, 0.7))
    monkeypatch.setattr("athanor.rag.evaluation.choose.LEADS", (0.06,))
    monkeypatch.setattr("athanor.rag.evaluation.tune.choices", lambda measuring, allow_slow: ["fusion"])


@pytest.fixture
def admin(store: Store) -> Principal:
    return store.principals.create("root", RoleName.ADMIN)


@pytest.fixture
async def base(store: Store) -> KnowledgeBase:
    """Parts of a machine that differ by a word."""
    texts = {
        f"part{number}.txt": f"A {part(number)} valve of the pump, with rubber seals, number {number}."
        for number in range(PARTS)
    }
    return await filled(store, "parts", texts)


def asked(store: Store, base: KnowledgeBase, origin: str = "user", count: int = PARTS) -> list[Question]:
    made = [
        Question(
            id=f"q_{origin}_{number}",
            base=base.id,
            text=f"Which number has the {part(number)} valve?",
            relevant={f"part{number}.txt": 1.0},
            origin=origin,
        )
        for number in range(count)
    ]
    store.questions.put(made)
    return made


def tuning(store: Store, embedder: WordEmbedder | None = None, reranker: WordReranker | None = None) -> Tuning:
    # The passages' vectors are those of `WordEmbedder`: a query by another one meets noise.
    return Tuning(store, Indexes(store), embedder=embedder or WordEmbedder(), reranker=reranker)


async def run(made: Tuning, store: Store) -> tuple[Job, dict[str, Any]]:
    job = store.jobs.lease("tests", seconds=60, kinds=[Tuning.KIND])
    assert job is not None
    result = dict(await made.run(job))
    store.jobs.finish(job.id, "tests", result=result)
    return store.jobs.get(job.id), result


@pytest.mark.usefixtures("fusion_only")
async def test_what_wins_on_questions_held_out_is_taken_once_and_can_be_taken_back(
    store: Store, base: KnowledgeBase, admin: Principal
) -> None:
    asked(store, base)
    made = tuning(store, BlindEmbedder())
    await made.enqueue(base, by=admin, dry_run=True)
    _, tried = await run(made, store)
    assert (tried["better"], tried["adopted"], tried["version"]) == (True, False, None)
    assert store.versions.list(base.id) == []

    await made.enqueue(base, by=admin)
    job, result = await run(made, store)
    now = store.knowledge.get(base.id)
    assert result["adopted"], result["reason"]
    assert now.version == result["version"] == 1
    assert now.settings.dense_weight < DEFAULT_RETRIEVAL.dense_weight
    assert result["held_out"]["low"] > 0
    (version,) = store.versions.list(base.id)
    assert version.figures["ndcg"]["winner"]["value"] > version.figures["ndcg"]["before"]["value"]
    assert "held out" in version.note
    assert job.done == job.total
    assert [entry.subject for entry in store.audit.entries(action="knowledge.tuned")] == [base.id]

    await made.enqueue(base, by=admin)
    _, again = await run(made, store)
    assert not again["adopted"], "it begins with what is in use"
    assert store.knowledge.get(base.id).version == 1
    store.versions.use(base.id, 0)
    assert store.knowledge.get(base.id).settings == DEFAULT_RETRIEVAL


async def test_every_stage_has_its_turn_and_one_without_time_stays_as_it_was(
    store: Store, base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STAGES, "feedback", (0.0, 0.2))  # type: ignore[misc]
    made = await measuring(store, base, reranker=WordReranker())
    turns: list[str] = []

    async def note(choice: str, count: int) -> None:
        turns.append(choice)
        if choice == "rerank":
            made.deadline = time.monotonic() - 1

    wanted = choices(made, allow_slow=True)
    found = await climb(made, DEFAULT_RETRIEVAL, wanted, note)
    assert turns == wanted == ["fusion", "feedback", "diversity", "hops", "rerank"]
    assert found.untried == ("rerank",)
    assert found.winner.rerank == 0
    assert 5 < len(found.held_out) == len(found.before) == len(found.after) < 15
    assert {settings.hops for settings in made.scores} == {1, 2}


@pytest.mark.usefixtures("fusion_only")
async def test_nothing_is_changed_where_nothing_is_better(store: Store, base: KnowledgeBase, admin: Principal) -> None:
    asked(store, base)
    made = tuning(store)
    await made.enqueue(base, by=admin)
    _, result = await run(made, store)
    assert not result["adopted"]
    assert result["reason"].endswith("The settings stay as they are.")
    assert store.versions.list(base.id) == []
    assert result["table"][0]["settings"] == {}


@pytest.mark.usefixtures("fusion_only")
@pytest.mark.parametrize(("origin", "count"), [("synthetic", PARTS), ("user", LEAST - 1)])
async def test_made_questions_and_few_questions_change_nothing(
    store: Store, base: KnowledgeBase, admin: Principal, origin: str, count: int
) -> None:
    asked(store, base, origin, count)
    made = tuning(store, BlindEmbedder())
    await made.enqueue(base, by=admin)
    _, result = await run(made, store)
    assert result["change"], "there is something to gain here"
    assert not result["adopted"]
    assert store.knowledge.get(base.id).version == 0


@pytest.mark.usefixtures("fusion_only")
async def test_made_questions_do_not_outvote_those_of_people(
    store: Store, base: KnowledgeBase, admin: Principal
) -> None:
    asked(store, base)
    made = tuning(store)
    await made.enqueue(base, by=admin)
    _, alone = await run(made, store)
    wrong = [
        replace(one, id=f"q_x{i}", relevant={"part0.txt": 1.0}, origin="synthetic")
        for i, one in enumerate(asked(store, base))
    ]
    store.questions.put(wrong)
    await made.enqueue(base, by=admin)
    _, result = await run(made, store)
    assert (result["winner"], result["ndcg"], result["questions"]) == (
        alone["winner"],
        alone["ndcg"],
        alone["questions"],
    )
    assert set(result["made"]) == {"before", "winner"}


@pytest.mark.usefixtures("fusion_only")
async def test_settings_that_came_into_use_meanwhile_are_not_overwritten(
    store: Store, base: KnowledgeBase, admin: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(store, base)
    made = tuning(store, BlindEmbedder())
    measured = Measuring.milliseconds

    async def meanwhile(self: Measuring, every: Mapping[str, RetrievalSettings], count: int = 20) -> dict[str, float]:
        if store.knowledge.get(base.id).version == 0:
            store.versions.use(base.id, store.versions.add(base.id, RetrievalSettings(diversity=0.1)).version)
        return await measured(self, every, count)

    monkeypatch.setattr(Measuring, "milliseconds", meanwhile)
    await made.enqueue(base, by=admin)
    _, result = await run(made, store)
    assert not result["adopted"]
    assert "came into use" in result["reason"]
    assert store.knowledge.get(base.id).settings == RetrievalSettings(diversity=0.1)


async def test_who_may_not_administer_any_more_gets_no_figures(
    store: Store, base: KnowledgeBase, admin: Principal
) -> None:
    asked(store, base)
    made = tuning(store)
    demoted = store.principals.create("demoted", RoleName.DEVELOPER)
    await made.enqueue(base, by=demoted)
    job = store.jobs.lease("tests", seconds=60)
    assert job is not None
    with pytest.raises(PermissionDeniedError):
        await made.run(job)


async def test_questions_are_needed_and_must_name_what_is_there(
    store: Store, base: KnowledgeBase, admin: Principal
) -> None:
    made = tuning(store)
    with pytest.raises(InputError, match="no questions"):
        await made.enqueue(base, by=admin)
    store.questions.put([Question(id="q_1", base=base.id, text="Where?", relevant={"gone.txt": 1.0})])
    await made.enqueue(base, by=admin)
    job = store.jobs.lease("tests", seconds=60)
    assert job is not None
    with pytest.raises(JobError):
        await made.run(job)


async def measuring(store: Store, base: KnowledgeBase, *, reranker: WordReranker | None = None) -> Measuring:
    made = Measuring(
        base, asked(store, base, count=20), store, Indexes(store), embedder=WordEmbedder(), reranker=reranker
    )
    await made.prepare()
    return made


async def test_a_budget_that_is_spent_leaves_the_costly_stages_out(store: Store, base: KnowledgeBase) -> None:
    made = await measuring(store, base)
    made.deadline = time.monotonic() - 1
    assert (await made.of(DEFAULT_RETRIEVAL)).shape == (20,), "the fusion costs next to nothing"
    with pytest.raises(BudgetSpent):
        await made.of(RetrievalSettings(feedback=0.2))
    assert RetrievalSettings(feedback=0.2) not in made.scores


async def test_the_cheap_way_and_the_product_give_the_same_scores(store: Store, base: KnowledgeBase) -> None:
    made = await measuring(store, base)
    for settings in (DEFAULT_RETRIEVAL, RetrievalSettings(dense_weight=0.2, lexical_lead=0.0)):
        assert made._fused(settings) == await made._searched(settings)


async def test_models_read_each_text_once(store: Store, base: KnowledgeBase) -> None:
    reranker = WordReranker()
    made = await measuring(store, base, reranker=reranker)
    await made.of(RetrievalSettings(rerank=0.1))
    read = reranker.pairs
    assert read > 0
    await made.of(RetrievalSettings(rerank=0.2))
    assert reranker.pairs == read


async def test_only_what_can_be_judged_is_chosen(store: Store, base: KnowledgeBase) -> None:
    plain_one = await measuring(store, base)
    assert choices(plain_one, allow_slow=True) == ["fusion", "feedback", "diversity", "hops"]
    other = await measuring(store, base, reranker=WordReranker())
    assert "rerank" in choices(other, allow_slow=True)
    assert "rerank" not in choices(other, allow_slow=False)
    (chunk,) = store.chunks.of_document(store.knowledge.documents(base.id)[0].id)
    source = store.knowledge.documents(base.id)[0].source
    by_passage = Question(id="q_p", base=base.id, text="green copper cellar", relevant={f"{source}#{chunk.id}": 1.0})
    named = Measuring(base, [by_passage], store, Indexes(store), embedder=WordEmbedder(), reranker=None)
    await named.prepare()
    assert "per_document" in choices(named, allow_slow=False)
    assert (await named.of(DEFAULT_RETRIEVAL))[0] > 0


def test_questions_about_one_document_are_in_one_half() -> None:
    questions = [
        Question(id=f"q{i}", base="b", text="?", relevant={f"doc{i % 9}.txt": 1.0, "z.txt": 1.0}) for i in range(40)
    ]
    parts = halves(questions)
    assert sorted(place for part in parts for place in part) == list(range(40))
    for part in parts:
        others = {place % 9 for other in parts if other is not part for place in other}
        assert others.isdisjoint(place % 9 for place in part)


def test_the_settings_in_use_give_way_only_to_what_is_clearly_better() -> None:
    chance = np.random.default_rng(0)
    before, noise, better = (RetrievalSettings(dense_weight=weight) for weight in (0.7, 0.6, 0.5))
    base = chance.uniform(size=100)
    lucky = base + np.where(chance.uniform(size=100) < 0.5, 0.3, -0.3) + 0.01
    scores = {before: base, noise: lucky, better: base + chance.uniform(0.0, 0.04, size=100)}
    assert preferred(before, scores, range(100)) == better
    assert preferred(before, {before: base, noise: lucky}, range(100)) == before
    assert preferred(before, scores, [3]) == before
    # Settings that went wrong go back to the defaults, if nothing is clearly better than those.
    assert preferred(noise, {noise: base - 0.2, before: base, better: lucky}, range(100), before) == before
    assert preferred(noise, {noise: base - 0.2, before: base, better: base + 0.1}, range(100), before) == better


def test_the_grid_holds_the_defaults_and_what_is_in_use() -> None:
    odd = RetrievalSettings(dense_weight=0.55, feedback=0.2)
    assert odd in fusions(odd)
    assert DEFAULT_RETRIEVAL in fusions(DEFAULT_RETRIEVAL)
    assert plain(odd) == RetrievalSettings(dense_weight=0.55)
    assert all(getattr(DEFAULT_RETRIEVAL, name) in values for name, values in STAGES.items())


def test_slow_settings_are_taken_only_when_asked_for() -> None:
    found = Climb(
        start=DEFAULT_RETRIEVAL,
        winner=RetrievalSettings(hops=2),
        held_out=tuple(range(100)),
        before=np.zeros(100),
        after=np.full(100, 0.1),
    )
    spent = {"before": 10.0, "winner": 35.0}
    assert not decide(found, people=True, milliseconds=spent, allow_slow=False).better
    assert decide(found, people=True, milliseconds=spent, allow_slow=True).better
    unsure = replace(found, after=np.linspace(-1.0, 1.01, 100))
    assert not decide(unsure, people=True, milliseconds=spent, allow_slow=True).better
