"""Tuning: the settings of a base, chosen by its own questions and taken only where the choice holds on others.

Questions of people choose; made ones do not. Chosen by questions that rules make of its passages, the fusion trusts
words alone, which costs people much on two of the three sets of `bench/tune.py` and something on the third; mixed in
with a tenth of the weight they do harm on two. They are measured and shown.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from anyio import to_thread
from sqlalchemy import Connection

from athanor.engines import Embedder, Reranker
from athanor.errors import InputError, JobError
from athanor.governance import Right, require
from athanor.observe import Action, AuditLog
from athanor.rag.evaluation.climb import Climb, choices, climb
from athanor.rag.evaluation.measure import Measuring, resolved
from athanor.rag.evaluation.verdict import Verdict, decide, report
from athanor.rag.indexes import Indexes
from athanor.store import Store
from athanor.types import Job, KnowledgeBase, Principal, Question

MOST = 500
"""Questions that are measured, at most; those that people wrote come first."""
MADE = 200
"""Made questions that are measured beside them, at most."""
BUDGET = 600.0
"""Seconds."""


class Tuning:
    """Does jobs of the kind `tune`."""

    KIND = "tune"

    def __init__(self, store: Store, indexes: Indexes, *, embedder: Embedder, reranker: Reranker | None) -> None:
        self._store = store
        self._indexes = indexes
        self._embedder = embedder
        self._reranker = reranker
        self._audit = AuditLog(store)

    async def enqueue(
        self,
        base: KnowledgeBase,
        *,
        by: Principal,
        budget: float = BUDGET,
        allow_slow: bool = False,
        dry_run: bool = False,
    ) -> Job:
        """Queue a tuning of `base`.

        Args:
            budget: seconds; what does not fit is not tried.
            allow_slow: settings that make a search much slower may be chosen: the cross-encoder takes some .4 s.
            dry_run: measure, and change nothing.

        Raises:
            InputError: the budget is not one second to one day, or the base has no questions.
        """
        if not 1 <= budget <= 86_400:
            raise InputError("A budget is 1 to 86400 seconds.", where="budget")
        arguments = {
            "knowledge_base": base.id,
            "principal": by.id,
            "budget": budget,
            "allow_slow": allow_slow,
            "dry_run": dry_run,
        }

        def enqueue() -> Job:
            with self._store.write() as conn:
                if not self._store.questions.count(base.id, conn=conn):
                    raise InputError(
                        f"{base.name!r} has no questions.",
                        where=base.name,
                        hint=f"'athanor kb questions {base.name} --add FILE' adds yours.",
                    )
                job = self._store.jobs.enqueue(self.KIND, arguments, conn=conn)
                details = {"job": job.id, "kind": self.KIND, "dry_run": dry_run}
                self._audit.record(Action.JOB_ASKED, by=by, subject=base.id, details=details, conn=conn)
                return job

        return await to_thread.run_sync(enqueue)

    async def run(self, job: Job) -> Mapping[str, object]:
        """Do the job. The result is the table, the winner and what was decided, as JSON.

        Raises:
            PermissionDeniedError: who asked may no longer administer.
            JobError: who asked is gone, or no question is about a document that is there.
        """
        began = time.monotonic()
        base, people, made, counts = await to_thread.run_sync(self._begin, job)
        measuring = await to_thread.run_sync(self._measuring, base, people or made)
        measuring.deadline = began + float(job.arguments["budget"])
        allow_slow = bool(job.arguments["allow_slow"])
        wanted = choices(measuring, allow_slow=allow_slow)

        async def note(choice: str, count: int) -> None:
            async def told(done: int) -> None:
                if done % 20 == 0 or done == len(measuring.questions):
                    text = f"{choice}: {done} of {len(measuring.questions)} questions"
                    await self._tell(job, count, len(wanted), text)

            measuring.told = told
            await self._tell(job, count, len(wanted), choice)

        await note("reading questions", 0)
        await measuring.prepare()
        found = await climb(measuring, base.settings, wanted, note)
        await self._tell(job, len(wanted), len(wanted), "Deciding")
        beside = await self._beside(base, made, found) if people else {}
        spent = await measuring.milliseconds(_both(found))
        verdict = decide(found, people=bool(people), milliseconds=spent, allow_slow=allow_slow)
        told = report(measuring, found, verdict) | {"counts": counts, "milliseconds": spent, "made": beside}
        version = None
        if verdict.better and not job.arguments["dry_run"]:
            verdict, version = await to_thread.run_sync(self._take, job, base, found, verdict, told)
        return told | {
            "adopted": version is not None,
            "version": version,
            "reason": verdict.reason,
            "seconds": round(time.monotonic() - began, 1),
        }

    def _begin(self, job: Job) -> tuple[KnowledgeBase, list[Question], list[Question], dict[str, int]]:
        """The base, its questions of people and the made ones, and how many of each kind there are."""
        who = self._store.principals.find(str(job.arguments["principal"]))
        if who is None:
            raise JobError("Who asked for this is gone.")
        require(who, Right.ADMINISTER)  # its figures tell of documents that are closed to others
        base = self._store.knowledge.get(job.arguments["knowledge_base"])
        every = self._store.questions.list(base.id)
        found = resolved(self._store, base, every)
        usable = [replace(one, relevant=what.relevant) for one, what in zip(every, found, strict=True) if what.relevant]
        if not usable:
            raise JobError(
                "None of the questions names a document that is in the base.",
                hint="'relevant' holds source names, as 'athanor kb documents' lists them.",
            )
        counts = {kind: sum(one.origin == kind for one in usable) for kind in ("user", "feedback", "synthetic")}
        counts["without"] = sum(not one.relevant for one in every)
        counts["stale"] = len(every) - len(usable) - counts["without"]
        random.Random(0).shuffle(usable)  # noqa: S311  a sample, no secret
        people = [one for kind in ("user", "feedback") for one in usable if one.origin == kind][:MOST]
        return base, people, [one for one in usable if one.origin == "synthetic"][:MADE], counts

    def _measuring(self, base: KnowledgeBase, questions: list[Question]) -> Measuring:
        return Measuring(base, questions, self._store, self._indexes, embedder=self._embedder, reranker=self._reranker)

    async def _beside(self, base: KnowledgeBase, made: list[Question], found: Climb) -> dict[str, float]:
        """nDCG@10 on the made questions, which decide nothing."""
        if not made:
            return {}
        measuring = await to_thread.run_sync(self._measuring, base, made)
        await measuring.prepare()
        return {name: float((await measuring.of(one)).mean()) for name, one in _both(found).items()}

    def _take(
        self, job: Job, base: KnowledgeBase, found: Climb, verdict: Verdict, told: Mapping[str, Any]
    ) -> tuple[Verdict, int | None]:
        """Make the winner a version and use it, unless other settings came into use meanwhile."""
        with self._store.write() as conn:
            if self._store.knowledge.get(base.id, conn=conn).version != base.version:
                return Verdict(better=False, reason="Other settings came into use while this ran. Run it again."), None
            if not self._holds(job, conn):
                return Verdict(better=False, reason="The job was cancelled, or is another's by now."), None
            figures = {name: told[name] for name in ("ndcg", "held_out", "milliseconds", "counts")}
            made = self._store.versions.add(
                base.id, found.winner, note=f"Tuned: {verdict.reason}", figures=figures, conn=conn
            )
            self._store.versions.use(base.id, made.version, conn=conn)
            who = self._store.principals.find(str(job.arguments["principal"]), conn=conn)
            details = {"job": job.id, "version": made.version, "before": base.version}
            self._audit.record(Action.KNOWLEDGE_TUNED, by=who, subject=base.id, details=details, conn=conn)
        return verdict, made.version

    def _holds(self, job: Job, conn: Connection) -> bool:
        now = self._store.jobs.get(job.id, conn=conn)
        return now.lease_owner == job.lease_owner

    async def _tell(self, job: Job, done: int, total: int, message: str) -> None:
        owner = job.lease_owner or ""
        await to_thread.run_sync(
            partial(self._store.jobs.progress, job.id, owner, total=total, done=done, message=message)
        )


def _both(found: Climb) -> dict[str, Any]:
    return {"before": found.start, "winner": found.winner}
