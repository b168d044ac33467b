"""Questions for a base that has none: from its passages by rules or by a model, and from answers people accepted.

Made questions are not those of people. Rules favour the words of the passage whatever is done about it, so such
questions measure that nothing broke, and choose nothing (see `tune.py`); `design/retrieval.md` has the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from anyio import to_thread

from athanor.engines import Embedder
from athanor.errors import InputError, JobError
from athanor.governance import Right, require
from athanor.guards.spotlight import Spotlight
from athanor.observe import Action, AuditLog
from athanor.rag.evaluation.accepted import accepted
from athanor.rag.evaluation.making import Ask, Making
from athanor.rag.retrieve import Retriever
from athanor.store import Store
from athanor.types import Job, KnowledgeBase, Principal, Question, new_id

How = Literal["rules", "model", "feedback"]

MOST = 2000
"""Questions of one job, and of one call that adds some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """The model that writes questions."""

    model: str
    schema: bool = False
    """It can be held to a JSON schema."""
    key: str | None = None
    """Id of the key that its requests are billed to; `None` is the principal alone."""


class Questions:
    """Keeps the questions of bases, and does jobs of the kind `questions`."""

    KIND = "questions"

    def __init__(
        self, store: Store, embedder: Embedder, retriever: Retriever, *, spotlight: Spotlight | None = None
    ) -> None:
        self._spotlight = spotlight or Spotlight()
        self._store = store
        self._embedder = embedder
        self._retriever = retriever
        self._audit = AuditLog(store)
        self._ask: Ask | None = None

    def speak(self, how: Ask) -> None:
        """Have models write by `how`, which meters and limits them."""
        self._ask = how

    def add(self, base: KnowledgeBase, questions: Iterable[Question], *, by: Principal | None = None) -> list[Question]:
        """Store questions that people wrote; those that `base` has already in the same words are replaced. Blocks.

        Raises:
            InputError: one has no text or a grade that is not above 0, or there are more than `MOST`.
        """
        given = list(islice(questions, MOST + 1))
        if len(given) > MOST:
            raise InputError(f"More than {MOST} questions at once.", where="questions", hint="Split the file.")
        for place, one in enumerate(given, 1):
            if not one.text.strip() or any(not 0 < grade < float("inf") for grade in one.relevant.values()):
                raise InputError(f"Question {place} needs a text, and grades above 0.", where="questions")
        with self._store.write() as conn:
            known = {one.text.strip().casefold(): one.id for one in self._store.questions.list(base.id, conn=conn)}
            kept: dict[str, Question] = {}
            for one in given:
                key = one.text.strip().casefold()
                kept[key] = Question(
                    id=known.get(key, new_id("q")),
                    base=base.id,
                    text=one.text.strip(),
                    relevant=dict(one.relevant),
                    answer=one.answer,
                    origin="user",
                )
            self._store.questions.put(kept.values(), conn=conn)
            self._changed(base, {"added": len(kept)}, by, conn)
        return list(kept.values())

    def delete(
        self,
        base: KnowledgeBase,
        *,
        ids: Sequence[str] | None = None,
        origin: str | None = None,
        by: Principal | None = None,
    ) -> int:
        """Delete questions of `base`, all of them or those named; how many. Blocks."""
        with self._store.write() as conn:
            gone = self._store.questions.delete(base.id, ids=ids, origin=origin, conn=conn)
            if gone:
                self._changed(base, {"deleted": gone}, by, conn)
        return gone

    async def enqueue(
        self,
        base: KnowledgeBase,
        *,
        count: int = 100,
        how: How = "rules",
        writer: Writer | None = None,
        seed: int = 0,
        by: Principal | None = None,
    ) -> Job:
        """Queue a job that makes up to `count` questions, a tenth of them without an answer.

        `feedback` takes all that there are, whatever `count`.

        Raises:
            InputError: `count` is not 1 to `MOST`, or a model is to write and none is named.
        """
        if not 1 <= count <= MOST:
            raise InputError(f"A job makes 1 to {MOST} questions.", where="count")
        if how == "model" and writer is None:
            raise InputError("Say which model writes.", where="model")

        def enqueue() -> Job:
            with self._store.write() as conn:
                arguments: dict[str, Any] = {"knowledge_base": base.id, "count": count, "how": how, "seed": seed}
                if how == "model" and writer is not None:
                    arguments |= {"model": writer.model, "schema": writer.schema, "key": writer.key}
                # Where it begins, so that a run after a kill makes what is left and not all of it again.
                arguments["before"] = len(self._store.questions.list(base.id, origin="synthetic", conn=conn))
                arguments |= {} if by is None else {"principal": by.id}
                job = self._store.jobs.enqueue(self.KIND, arguments, total=count, conn=conn)
                self._changed(base, {"job": job.id, "how": how, "count": count}, by, conn)
            return job

        return await to_thread.run_sync(enqueue)

    async def run(self, job: Job) -> Mapping[str, object]:
        """Do the job.

        Raises:
            PermissionDeniedError: who asked may no longer administer.
            JobError: a model should write, and this process has no way to one.
        """
        await to_thread.run_sync(self._check, job)
        base = await to_thread.run_sync(self._store.knowledge.get, job.arguments["knowledge_base"])
        if job.arguments["how"] == "feedback":
            return await to_thread.run_sync(self._from_feedback, base)
        if job.arguments["how"] == "model" and self._ask is None:
            raise JobError("This process asks no models: it has no doors.")
        run = await to_thread.run_sync(Making, job, base, self._store, self._retriever, self._spotlight)
        return await run.run(self._embedder, self._ask)

    def _check(self, job: Job) -> None:
        """Questions tell of documents that are closed to others, and of what others have asked."""
        who = self._store.principals.find(str(job.arguments.get("principal", "")))
        if who is not None:
            require(who, Right.ADMINISTER)

    def _from_feedback(self, base: KnowledgeBase) -> Mapping[str, object]:
        found, silent = accepted(self._store, base)
        before = {one.id for one in self._store.questions.list(base.id, origin="feedback")}
        self._store.questions.put(found)
        new = sum(one.id not in before for one in found)
        return {
            "made": new,
            "known": len(found) - new,
            "unanswerable": sum(not q.relevant for q in found),
            "without_text": silent,
        }

    def _changed(self, base: KnowledgeBase, details: Mapping[str, Any], by: Principal | None, conn: Any) -> None:
        self._audit.record(Action.QUESTIONS_CHANGED, by=by, subject=base.id, details=details, conn=conn)
