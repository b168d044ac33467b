"""Evaluations: how well a version of a base's settings finds, and how well the product answers by it."""

from __future__ import annotations

import io
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson
from anyio import to_thread
from sqlalchemy import Connection

from athanor.errors import InputError, JobError, NotFoundError
from athanor.governance import Right, require
from athanor.observe import Action, AuditLog
from athanor.rag.evaluation.asked import Asked, stored
from athanor.rag.evaluation.measuring import Measurement
from athanor.rag.evaluation.scores import Given, compare, figures
from athanor.rag.retrieve import Retriever
from athanor.store import Store
from athanor.types import (
    DEFAULT_RETRIEVAL,
    ApiKey,
    Evaluation,
    File,
    Job,
    KnowledgeBase,
    KnowledgeVersion,
    Principal,
    new_id,
)

MOST = 10_000
"""Questions of one evaluation."""
OWN = "own"
"""What the questions that a base keeps are called."""
_KEPT_SECONDS = 7 * 86_400.0
"""How long questions that were sent are kept where their job never ends."""
PURPOSE = "evaluation"
_ERRORS = 20
"""Questions that failed whose errors a result names."""

Answering = Callable[[Job, KnowledgeBase, str], Awaitable[Given]]
"""Answers a question from a base by the settings that it is given with, on the account of who asked for the job."""


class Evaluations:
    """Does jobs of the kind `evaluate`, and compares what they measured.

    Figures of a whole base tell of documents that are closed to others: callers check the right to administer.
    """

    KIND = "evaluate"

    def __init__(self, store: Store, retriever: Retriever) -> None:
        self._store = store
        self._retriever = retriever
        self._audit = AuditLog(store)
        self._answering: Answering | None = None

    def speak(self, how: Answering) -> None:
        """Have questions answered by `how`, which meters and limits them."""
        self._answering = how

    async def enqueue(
        self,
        base: KnowledgeBase,
        *,
        by: Principal,
        key: ApiKey | None = None,
        questions: Sequence[Asked] | None = None,
        name: str = OWN,
        answers: bool = False,
        version: int | None = None,
    ) -> Job:
        """Queue an evaluation of `base`.

        Args:
            key: that answers are billed to.
            questions: of a set called `name`; unset takes those that the base keeps.
            answers: have every question answered too, by the model that answers from the base.
            version: of the settings; unset takes the one in use.

        Raises:
            InputError: there are no questions, more than `MOST`, or two of one id.
            NotFoundError: the base has no such version.
        """
        if questions is not None:
            _check(questions)

        def enqueue() -> Job:
            with self._store.write() as conn:
                used = self._store.knowledge.get(base.id, conn=conn).version if version is None else version
                if used:
                    self._store.versions.get(base.id, used, conn=conn)
                arguments: dict[str, Any] = {
                    "knowledge_base": base.id,
                    "principal": by.id,
                    "name": name,
                    "answers": answers,
                    "version": used,
                }
                arguments |= {} if key is None else {"key": key.id}
                if questions is None:
                    total = self._store.questions.count(base.id, conn=conn)
                    if not total:
                        raise InputError(
                            f"{base.name!r} has no questions.",
                            where=base.name,
                            hint="Send some: 'athanor kb eval NAME FILE'. 'athanor kb questions' keeps some.",
                        )
                else:
                    total = len(questions)
                    arguments["questions"] = self._keep(questions, by, conn)
                job = self._store.jobs.enqueue(self.KIND, arguments, total=total, conn=conn)
                details = {"job": job.id, "kind": self.KIND, "name": name}
                self._audit.record(Action.JOB_ASKED, by=by, subject=base.id, details=details, conn=conn)
                return job

        return await to_thread.run_sync(enqueue)

    def _keep(self, questions: Sequence[Asked], by: Principal, conn: Connection) -> str:
        """Keep questions that were sent for as long as their job takes; the id of the file."""
        data = orjson.dumps([asdict(one) for one in questions])
        now = time.time()
        file = File(
            id=new_id("file"),
            name="questions.json",
            size=len(data),
            sha256=self._store.blobs.put(io.BytesIO(data)),
            purpose=PURPOSE,
            principal=by.id,
            created_at=now,
            expires_at=now + _KEPT_SECONDS,
        )
        self._store.files.insert(file, conn=conn)
        return file.id

    async def run(self, job: Job) -> Mapping[str, object]:
        """Do the job; what an earlier run of it has measured is not measured again.

        Raises:
            PermissionDeniedError: who asked may no longer administer.
            JobError: who asked is gone, answers are wanted and nothing answers here, or answers fail one after another.
        """
        base, questions = await to_thread.run_sync(self._begin, job)
        if job.arguments["answers"] and self._answering is None:
            raise JobError("This process gives no answers: it has no doors.")
        answering = self._answering if job.arguments["answers"] else None
        measurement = await to_thread.run_sync(
            lambda: Measurement(job, base, questions, self._store, self._retriever, answering)
        )
        details = await measurement.run()
        return await to_thread.run_sync(self._end, job, base, measurement, details)

    def _begin(self, job: Job) -> tuple[KnowledgeBase, list[Asked]]:
        who = self._store.principals.find(str(job.arguments["principal"]))
        if who is None:
            raise JobError("Who asked for this is gone.")
        require(who, Right.ADMINISTER)
        base = self._store.knowledge.get(job.arguments["knowledge_base"])
        version = int(job.arguments["version"])
        settings = self._store.versions.get(base.id, version).settings if version else DEFAULT_RETRIEVAL
        file = job.arguments.get("questions")
        if file is None:
            questions = [stored(one) for one in self._store.questions.list(base.id)]
        else:
            data = self._store.blobs.read(self._store.files.get(file).sha256)
            questions = [Asked(**one) for one in orjson.loads(data)]
        return replace(base, version=version, settings=settings), questions

    def _end(
        self, job: Job, base: KnowledgeBase, measurement: Measurement, details: Sequence[Mapping[str, Any]]
    ) -> Mapping[str, object]:
        made = Evaluation(
            id=new_id("eval"),
            base=base.id,
            version=base.version,
            revision=base.revision,
            questions=job.arguments["name"],
            created_at=time.time(),
            figures=figures(details),
            details=tuple(details),
        )
        with self._store.write() as conn:
            if self._store.jobs.get(job.id, conn=conn).lease_owner != job.lease_owner:
                raise JobError("The job was cancelled, or is another's by now.")
            self._store.evaluations.add(made, conn=conn)
            if (file := job.arguments.get("questions")) is not None:
                self._store.files.delete(file, conn=conn)
        before = self.previous(made)
        return {
            "evaluation": made.id,
            "version": made.version,
            "revision": made.revision,
            "figures": dict(made.figures),
            "questions": len(details),
            "failed": sum("error" in entry for entry in details),
            "errors": [{"id": one["id"], "error": one["error"]} for one in details if "error" in one][:_ERRORS],
            "unknown": measurement.unknown,
            "stale": measurement.stale,
            "changed_meanwhile": self._store.knowledge.get(base.id).revision != base.revision,
            "previous": None if before is None else before.id,
        }

    def previous(self, evaluation: Evaluation) -> Evaluation | None:
        """The newest evaluation before this one by some of its questions, of other settings or documents. Blocks."""
        digests = {(entry["id"], entry.get("digest")) for entry in evaluation.details}
        for one in self._store.evaluations.list(evaluation.base, questions=evaluation.questions):
            older = one.created_at <= evaluation.created_at and one.id != evaluation.id
            other = (one.version, one.revision) != (evaluation.version, evaluation.revision)
            if older and other and any((entry["id"], entry.get("digest")) in digests for entry in one.details):
                return one
        return None

    def get(self, base: KnowledgeBase, evaluation: str) -> Evaluation:
        """An evaluation of `base`. Blocks.

        Raises:
            NotFoundError: it has none with this id.
        """
        try:
            found = self._store.evaluations.get(evaluation)
        except NotFoundError:
            found = None
        if found is None or found.base != base.id:
            raise NotFoundError(f"{base.name!r} has no evaluation {evaluation!r}.", where="evaluation")
        return found

    def compare(self, base: KnowledgeBase, evaluation: str, against: str | None = None) -> dict[str, Any]:
        """An evaluation beside another one; unset is the previous one. Blocks.

        Raises:
            NotFoundError: the base has no such evaluation, or none before it by these questions.
            InputError: the two have no question in common.
        """
        after = self.get(base, evaluation)
        before = self.previous(after) if against is None else self.get(base, against)
        if before is None:
            raise NotFoundError(
                f"Nothing else of {base.name!r} was measured by these questions before.",
                where="against",
                hint="Evaluate another version of the settings, or name an evaluation.",
            )
        found = compare(before, after)
        if not found["shared"]:
            raise InputError("The two evaluations have no question in common.", where="against")
        return found

    def use(self, base: KnowledgeBase, version: int, *, by: Principal) -> tuple[int, KnowledgeVersion | None]:
        """Search `base` by this version of its settings from now on (0: the defaults); the version before. Blocks.

        Raises:
            NotFoundError: it has no such version.
        """
        with self._store.write() as conn:
            before = self._store.knowledge.get(base.id, conn=conn).version
            found = self._store.versions.get(base.id, version, conn=conn) if version else None
            self._store.versions.use(base.id, version, conn=conn)
            details = {"before": before, "version": version}
            self._audit.record(Action.KNOWLEDGE_ROLLED_BACK, by=by, subject=base.id, details=details, conn=conn)
        return before, found


def _check(questions: Sequence[Asked]) -> None:
    if not questions:
        raise InputError("There are no questions.", where="questions")
    if len(questions) > MOST:
        raise InputError(f"{len(questions)} questions; {MOST} are the most.", where="questions", hint="Use --limit.")
    if len({one.id for one in questions}) < len(questions):
        raise InputError("Two questions have the same id.", where="questions")
