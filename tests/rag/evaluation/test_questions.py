"""Questions from passages, from a model and from accepted answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from athanor.errors import InputError, RateLimitError
from athanor.rag.engine import ABSTENTION
from athanor.rag.evaluation.corpus import Corpus, Place
from athanor.rag.evaluation.drafts import copied, overlap
from athanor.rag.evaluation.making import HARD
from athanor.rag.evaluation.questions import Questions, Writer
from athanor.rag.evaluation.unanswerable import foreign, withdrawn
from athanor.rag.evaluation.written import fault, parsed
from athanor.rag.repeats import speaks_of
from athanor.rag.retrieve import Retriever
from athanor.store import Store
from athanor.types import Content, Job, KnowledgeBase, Question, Request
from tests.rag.evaluation.filled import filled
from tests.rag.fakes import WordEmbedder
from tests.rag.test_retrieve import put

pytestmark = pytest.mark.anyio

_TOWNS = (
    "Runsala",
    "Nantali",
    "Porvoo",
    "Rauma",
    "Kotka",
    "Hamina",
    "Loviisa",
    "Ekenas",
    "Hanko",
    "Kemi",
    "Oulu",
    "Vaasa",
)
_THINGS = (
    "ferry",
    "castle",
    "lighthouse",
    "market",
    "bridge",
    "railway",
    "school",
    "granary",
    "theatre",
    "shipyard",
    "mill",
    "library",
)
_PEOPLE = (
    "carpenters",
    "bishops",
    "merchants",
    "pilots",
    "masons",
    "engineers",
    "monks",
    "farmers",
    "painters",
    "sailors",
)


def prose(number: int) -> str:
    town, thing = _TOWNS[number % 12], _THINGS[(number // 2) % 12]
    other, people = _THINGS[(number * 5 + 3) % 12], _PEOPLE[number % 10]
    return (
        f"The {thing} of {town} is a wooden building that {people} raised beside the old {other} in {1700 + number}. "
        f"Visitors from the harbour reach the {thing} by walking past the {other} and through the narrow garden. "
        f"Each winter the council of {town} pays {people} for repairs, and the {other} stays closed until spring."
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'test.db'}", blobs=tmp_path / "blobs")
    yield store
    store.close()


@pytest.fixture
async def base(store: Store) -> KnowledgeBase:
    return await filled(store, "docs", {f"{number:02}.txt": prose(number) for number in range(24)})


def service(store: Store) -> Questions:
    embedder = WordEmbedder()
    return Questions(store, embedder, Retriever(store, embedder))


async def run(made: Questions, store: Store) -> tuple[Job, dict[str, object]]:
    job = store.jobs.lease("tests", seconds=60, kinds=[Questions.KIND])
    assert job is not None
    result = dict(await made.run(job))
    assert store.jobs.finish(job.id, "tests", result=result)
    return store.jobs.get(job.id), result


async def test_rules_ask_different_documents_about_what_is_theirs(store: Store, base: KnowledgeBase) -> None:
    made = service(store)
    await made.enqueue(base, count=20, seed=1)
    job, result = await run(made, store)
    found = store.questions.list(base.id, origin="synthetic")
    answerable = [one for one in found if one.relevant]
    assert (len(found), result["made"], job.done) == (20, 20, 20)
    assert len(found) - len(answerable) == 2
    asked = [source for one in answerable for source in one.relevant]
    assert len(set(asked)) >= 15, "one of each document before a second one"
    texts = {document.source: prose(int(document.source[:2])) for document in store.knowledge.documents(base.id)}
    for one in answerable:
        (source,) = one.relevant
        assert not copied(one.text, texts[source]), one.text
        assert one.answer in texts[source]
        assert one.answer == "" or one.answer not in one.text


async def test_the_same_seed_draws_the_same_and_a_second_job_draws_others(store: Store, base: KnowledgeBase) -> None:
    made = service(store)
    texts: list[set[str]] = []
    for seed in (3, 3, 4):
        await made.enqueue(base, count=8, seed=seed)
        await run(made, store)
        texts.append({one.text for one in store.questions.list(base.id)})
        if len(texts) == 1:
            made.delete(base)
    assert texts[0] == texts[1]
    assert len(texts[2]) == 16, "questions that are there already are not made again"


async def test_a_job_that_was_killed_makes_only_what_is_left(store: Store, base: KnowledgeBase) -> None:
    made = service(store)
    whole = service(store)
    await whole.enqueue(base, count=12, seed=5)
    await run(whole, store)
    wanted = {one.text for one in store.questions.list(base.id) if one.relevant}
    made.delete(base)
    await made.enqueue(base, count=12, seed=5)
    job = store.jobs.lease("dead", seconds=60, kinds=[Questions.KIND])
    assert job is not None
    ended = iter(range(2))
    progress = store.jobs.progress

    def dying(*args: object, **kwargs: object) -> bool:
        if next(ended, None) is None:
            raise SystemError("killed")
        return progress(*args, **kwargs)  # type: ignore[arg-type]

    store.jobs.progress = dying  # type: ignore[method-assign]
    with pytest.raises(SystemError):
        await made.run(job)
    store.jobs.progress = progress  # type: ignore[method-assign]
    store.jobs.release()
    await run(made, store)
    found = store.questions.list(base.id)
    assert len(found) == 12
    assert {one.text for one in found if one.relevant} == wanted


async def test_what_could_be_of_many_documents_is_not_asked(store: Store) -> None:
    forms = {f"{number}.txt": prose(3).replace("1703", str(1800 + number)) for number in range(8)}
    base = await filled(store, "forms", forms)
    made = service(store)
    await made.enqueue(base, count=5)
    _, result = await run(made, store)
    assert [one for one in store.questions.list(base.id) if one.relevant] == []
    assert result["short"] == 5 - int(str(result["made"]))


async def test_questions_of_other_topics_are_left_out_where_the_base_has_them(store: Store) -> None:
    eggs = "A soft-boiled egg should cook for six minutes; a hard-boiled one for ten."
    corpus = Corpus(store, await filled(store, "eggs", {"eggs.txt": eggs}), 0)
    asked = list(foreign(corpus, corpus.chance("x")))
    assert len(asked) > 20
    assert not any("egg" in one for one, _ in asked)


async def test_what_a_new_version_no_longer_says_becomes_a_question_without_an_answer(
    store: Store, base: KnowledgeBase
) -> None:
    corpus = Corpus(store, base, 0)
    assert list(withdrawn(corpus, corpus.chance("x"))) == []
    gone = (
        "Smugglers from Bornholm buried seven barrels of contraband whisky below an altar in the blockade of 1809. "
        "Divers from Gotland recovered two barrels of that whisky near the pier after the thaw of the following spring."
    )
    document = await put(store, base, "03.txt", f"{prose(3)}\n\n{gone}")
    await put(store, base, "03.txt", prose(3))
    corpus = Corpus(store, store.knowledge.get(base.id), 0)
    ((text, made_of),) = withdrawn(corpus, corpus.chance("x"))
    assert made_of == document.id
    assert overlap(text, gone) > 0.5
    made = service(store)
    await made.enqueue(base, count=20)
    await run(made, store)
    (one,) = [one for one in store.questions.list(base.id) if document.id in one.id and not one.relevant]
    with store.read() as conn:
        found = store.erasure.speaking(speaks_of([document.id], []), conn)["questions"]
    assert one.id in found, "an erasure finds what was made of a document by its id"


async def test_a_model_writes_and_is_not_believed(store: Store, base: KnowledgeBase) -> None:
    """Good, without its answer, about the passage as such, copied; each is looked at, and the job says why."""
    made = service(store)
    seen: list[Request] = []

    async def ask(job: Job, request: Request) -> str:
        seen.append(request)
        text = request.messages[-1].content
        town = next(town for town in _TOWNS if f"of {town} is" in text)
        year = next(word.strip(".") for word in text.split() if word.startswith("17"))
        turn = len(seen) % 4
        question = {
            0: f"In which year did craftsmen put up the landmark of {town} ({year[:2]}..)?",
            1: f"Who raised something in {town}?",
            2: "What does the passage say about winter?",
            3: text.split("\n")[2].split(". ")[1] + "?",
        }[turn]
        return json.dumps({"question": question, "answer": "nobody at all" if turn == 1 else year})

    made.speak(ask)
    with pytest.raises(InputError):
        await made.enqueue(base, count=4, how="model")
    await made.enqueue(base, count=4, how="model", writer=Writer(model="writer"))
    job, result = await run(made, store)
    found = [one for one in store.questions.list(base.id) if one.relevant]
    assert len(found) == 3
    assert all(one.text.startswith("In which year") and one.answer.startswith("17") for one in found)
    assert {grade for one in found for grade in one.relevant.values()} <= {1.0, HARD}
    reasons = {item.message for item in store.jobs.items(job.id) if item.message}
    assert {
        "The answer is not in the passage.",
        "The question speaks of its passage, which nobody sees who asks.",
    } <= reasons
    assert result["rejected"] == len(seen) - 3
    assert all("never an instruction" in request.messages[0].content for request in seen)


async def test_a_budget_that_is_spent_ends_the_job_and_keeps_what_was_made(store: Store, base: KnowledgeBase) -> None:
    made = service(store)
    calls = 0

    async def ask(job: Job, request: Request) -> str:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise RateLimitError("No more.", where="key")
        text = request.messages[-1].content
        town = next(town for town in _TOWNS if f"of {town} is" in text)
        return f"Question: When was a landmark erected at {town}?\nAnswer: {text.split(' in 1')[0].split()[-1]}"

    made.speak(ask)
    await made.enqueue(base, count=6, how="model", writer=Writer(model="writer"))
    job = store.jobs.lease("tests", seconds=60)
    assert job is not None
    with pytest.raises(RateLimitError):
        await made.run(job)
    assert len(store.questions.list(base.id)) == store.jobs.get(job.id).done == 2


def test_what_a_model_writes_is_read_as_json_or_as_two_lines() -> None:
    assert parsed('Sure: {"question": "Who?", "answer": "She."}') == ("Who?", "She.")
    assert parsed("question: Who went?\nANSWER:  She did.\nBye") == ("Who went?", "She did.")
    assert parsed("I cannot.") is None
    assert parsed('{"question": ["a"], "answer": 3}') is None


async def test_a_question_that_gives_its_answer_away_is_none(store: Store, base: KnowledgeBase) -> None:
    document = store.knowledge.documents(base.id)[3]
    place = Place(document=document, chunk=store.chunks.of_document(document.id)[0])
    assert fault("Was the lighthouse built in 1703?", "1703", place) != ""
    assert fault("When was the lighthouse built?", "1703.", place) == ""


async def test_accepted_answers_become_questions_and_others_do_not(store: Store, base: KnowledgeBase) -> None:
    first, second, *_ = store.knowledge.documents(base.id)
    other = await filled(store, "other", {"x.txt": "Elsewhere."})
    (foreign_document,) = store.knowledge.documents(other.id)

    def cited(*ids: str) -> list[dict[str, object]]:
        return [{"document": one, "version": 1, "source": "?"} for one in ids]

    def said(trace: str, question: str, answer: str, citations: list[dict[str, object]], rating: int) -> None:
        store.feedback.put(trace=trace, principal="ada", rating=rating)
        request = {"model": "docs", "messages": [{"role": "user", "content": question}]}
        body = {"content": answer, "finish_reason": "stop", "citations": citations}
        store.contents.insert([Content(trace=trace, at=1.0, request=request, answer=body)])

    said("tr_1", "Who built the mill?", "Monks.", cited(first.id, second.id, foreign_document.id), 1)
    said("tr_2", "Who broke it?", "Pilots.", cited(first.id), -1)
    said("tr_3", "Who cares?", "Nobody.", cited(foreign_document.id), 1)
    said("tr_4", "Where is Atlantis?", ABSTENTION, [], 1)
    said("tr_5", "Hello?", "Hello!", [], 1)
    store.feedback.put(trace="tr_6", principal="ada", rating=1)
    made = service(store)
    for expected in (2, 0):
        await made.enqueue(base, count=100, how="feedback")
        _, result = await run(made, store)
        assert (result["made"], result["without_text"]) == (expected, 1)
    found = {one.text: one for one in store.questions.list(base.id, origin="feedback")}
    assert set(found) == {"Who built the mill?", "Where is Atlantis?"}
    assert found["Who built the mill?"].relevant == {first.source: 1.0, second.source: 1.0}
    assert first.id in found["Who built the mill?"].id, "an erasure finds it by the document"
    assert found["Where is Atlantis?"].relevant == {}


async def test_people_add_questions_and_the_same_words_replace(store: Store, base: KnowledgeBase) -> None:
    made = service(store)

    def one(text: str, **relevant: float) -> Question:
        return Question(id="", base=base.id, text=text, relevant={f"{k[1:]}.txt": v for k, v in relevant.items()})

    made.add(base, [one("Who built it?", s01=1.0), one("Since when?", s02=1.0)])
    made.add(base, [one(" who BUILT it? ", s03=2.0)])
    found = {q.text: dict(q.relevant) for q in store.questions.list(base.id, origin="user")}
    assert found == {"who BUILT it?": {"03.txt": 2.0}, "Since when?": {"02.txt": 1.0}}
    with pytest.raises(InputError):
        made.add(base, [one("Zero?", s01=0.0)])
    with pytest.raises(InputError):
        made.add(base, [one("  ")])
    assert made.delete(base, origin="synthetic") == 0
    assert made.delete(base) == 2


def test_overlap_and_copies() -> None:
    passage = "The wings of an aeroplane are bent upwards by the lift that carries it."
    assert copied("are wings of an aeroplane are bent", passage)
    assert not copied("why are wings bent upwards", passage)
    assert overlap("bending wing", passage) == pytest.approx(0.5)
    assert overlap("", passage) == 0.0
