"""One run of a job that makes questions: passage by passage, each looked at before it is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice

from anyio import to_thread

from athanor.engines import Embedder
from athanor.guards.spotlight import Spotlight
from athanor.rag.evaluation.corpus import Corpus, Place, sameness
from athanor.rag.evaluation.neighbours import Neighbours
from athanor.rag.evaluation.unanswerable import Asked, crossed, foreign, withdrawn
from athanor.rag.evaluation.written import fault, parsed, request
from athanor.rag.retrieve import Retriever
from athanor.store import Store
from athanor.types import Job, JobItem, JobState, KnowledgeBase, Question, Request

Ask = Callable[[Job, Request], Awaitable[str]]
"""Has a model answer for whoever asked for the job, on their account: the text of its answer."""

FOUND = 20
"""Passages among which a written question must find its own, or it is taken for a hard one."""
HARD = 0.5
"""Grade of the source of a question that did not find it: it may be hard, and it may be bad."""
_TRIED = 10
"""Passages that are tried for each question, at most."""
_BATCH = 16


class Making:
    """One taking up of a job. Everything it draws follows from the job's seed, so it goes on where it was."""

    def __init__(self, job: Job, base: KnowledgeBase, store: Store, retriever: Retriever, spotlight: Spotlight) -> None:
        self._spotlight = spotlight
        self._job = job
        self._base = base
        self._store = store
        self._retriever = retriever
        self._corpus = Corpus(store, base, job.arguments["seed"])
        known = store.questions.list(base.id)
        self._known = {sameness(one.text) for one in known}
        self._synthetic = [one for one in known if one.origin == "synthetic"]
        self._answered = [one.text for one in self._synthetic if one.relevant]
        self._wanted: int = job.arguments["count"]
        self._unanswerable = max(1, self._wanted // 10) if self._wanted > 1 else 0
        self._made = len(self._synthetic) - int(job.arguments["before"])
        self._hard = 0
        self._rejected = 0

    async def run(self, embedder: Embedder, ask: Ask | None) -> Mapping[str, object]:
        await self._tell("Reading passages")
        left = self._wanted - self._unanswerable - self._made
        tried = await to_thread.run_sync(self._tried)
        places = islice(
            (one for one in self._corpus.places() if one.chunk.id not in tried), _TRIED * max(1, self._wanted)
        )
        if self._job.arguments["how"] == "model":
            assert ask is not None
            await self._write(places, left, ask)
        else:
            words = await to_thread.run_sync(self._corpus.vocabulary)
            neighbours = await Neighbours.of(words, embedder, self._corpus.chance("neighbours"))
            await self._by_rules(places, left, neighbours)
        without = await to_thread.run_sync(self._without_answer)
        await self._tell("")
        return {
            "made": self._made,
            "unanswerable": without,
            "hard": self._hard,
            "rejected": self._rejected,
            "short": max(0, self._wanted - self._made),
        }

    # -- by rules

    async def _by_rules(self, places: Iterator[Place], left: int, neighbours: Neighbours) -> None:
        while left > 0:
            batch = await to_thread.run_sync(lambda: list(islice(places, _BATCH)))
            if not batch:
                return
            left -= await to_thread.run_sync(self._drawn, batch, neighbours, left)
            await self._tell("Making questions")

    def _drawn(self, batch: Sequence[Place], neighbours: Neighbours, left: int) -> int:
        made: list[Question] = []
        for place in batch:
            if len(made) == left:
                break
            draft = self._corpus.ask(place, neighbours, self._known)
            if draft is None:
                self._rejected += 1
                continue
            self._known.add(sameness(draft.text))
            made.append(self._question(draft.text, draft.answer, place))
        self._keep(made)
        return len(made)

    # -- by a model

    async def _write(self, places: Iterator[Place], left: int, ask: Ask) -> None:
        """Passage by passage: each costs a request, and what came of it is an item of the job."""
        model: str = self._job.arguments["model"]
        schema = bool(self._job.arguments.get("schema"))
        while left > 0:
            place = await to_thread.run_sync(lambda: next(places, None))
            if place is None:
                return
            said = parsed(await ask(self._job, request(place, model, schema=schema, spotlight=self._spotlight)))
            problem = "The model wrote no question." if said is None else ""
            if said is not None:
                problem = await to_thread.run_sync(self._problem, *said, place)
            if said is None or problem:
                self._rejected += 1
                await to_thread.run_sync(self._note, place, JobState.CANCELLED, problem)
            else:
                hits = await self._retriever.search(self._base, said[0], limit=FOUND)
                hard = all(hit.chunk.document != place.document.id for hit in hits)
                self._hard += hard
                self._known.add(sameness(said[0]))
                await to_thread.run_sync(self._accept, said, place, hard)
                left -= 1
            await self._tell("Writing questions")

    def _problem(self, question: str, answer: str, place: Place) -> str:
        if problem := fault(question, answer, place):
            return problem
        if not self._corpus.good(question, place):
            return "The question is a copy of the passage, or could be about many documents."
        return "There is such a question already." if sameness(question) in self._known else ""

    def _accept(self, said: tuple[str, str], place: Place, hard: bool) -> None:
        self._keep([self._question(*said, place, grade=HARD if hard else 1.0)])
        self._note(place, JobState.DONE, "Hard: its passage was not found." if hard else "")

    def _note(self, place: Place, state: JobState, message: str) -> None:
        item = JobItem(job=self._job.id, key=f"{place.document.source}#{place.chunk.id}", state=state, message=message)
        self._store.jobs.put_items([item])

    def _tried(self) -> set[str]:
        """Chunks that this job has dealt with before it was taken up again."""
        return {item.key.rpartition("#")[2] for item in self._store.jobs.items(self._job.id, limit=1_000_000)}

    # -- without an answer

    def _without_answer(self) -> int:
        there = sum(not one.relevant for one in self._store.questions.list(self._base.id, origin="synthetic"))
        before = sum(not one.relevant for one in self._synthetic)
        left = min(self._unanswerable - (there - before), self._wanted - self._made)
        chance = self._corpus.chance("unanswerable")
        made: list[Question] = []
        every = (
            withdrawn(self._corpus, chance),
            foreign(self._corpus, chance),
            crossed(self._corpus, self._answered, chance),
        )
        for text, document in chain.from_iterable(_by_turns(*every)):
            if len(made) >= left:
                break
            if sameness(text) not in self._known:
                self._known.add(sameness(text))
                made.append(self._question(text, "", None, document=document))
        self._keep(made)
        return len(made)

    # -- both

    def _question(
        self, text: str, answer: str, place: Place | None, *, grade: float = 1.0, document: str = ""
    ) -> Question:
        made_of = document if place is None else place.document.id
        digest = hashlib.sha256(f"{self._base.id}\0{text}".encode()).hexdigest()[:16]
        # The id of its document is in its own, so that an erasure finds it whatever words it has.
        return Question(
            id=f"q_{digest}_{made_of}" if made_of else f"q_{digest}",
            base=self._base.id,
            text=text,
            relevant={} if place is None else {place.document.source: grade},
            answer=answer,
            origin="synthetic",
        )

    def _keep(self, made: Sequence[Question]) -> None:
        self._store.questions.put(made)
        self._answered += [one.text for one in made if one.relevant]
        self._made += len(made)

    async def _tell(self, message: str) -> None:
        await to_thread.run_sync(
            partial(
                self._store.jobs.progress,
                self._job.id,
                self._job.lease_owner or "",
                total=self._wanted,
                done=self._made,
                message=message,
            )
        )


def _by_turns(*every: Iterator[Asked]) -> Iterator[Iterator[Asked]]:
    """One of each in turn, until none has any."""
    left = list(every)
    while left:
        for one in list(left):
            found = list(islice(one, 1))
            if not found:
                left.remove(one)
            yield iter(found)
