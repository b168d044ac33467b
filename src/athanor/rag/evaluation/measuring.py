"""Measures the questions of one evaluation, and keeps what it has measured so that a killed run goes on."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import orjson
from anyio import to_thread

from athanor.errors import AthanorError, BudgetError, JobError, NotFoundError, PermissionDeniedError, StoreError
from athanor.rag.evaluation.asked import Asked, Found
from athanor.rag.evaluation.measure import WANTED, name, resolved
from athanor.rag.evaluation.scores import Given, answering, ranking
from athanor.rag.knowledge import checked_query
from athanor.rag.retrieve import Retriever
from athanor.store import Store
from athanor.types import Job, JobItem, JobState, KnowledgeBase

FAILURES = 5
"""Questions in a row that fail, after which the rest is not tried."""
_SAVE_SECONDS = 1.0
_PAGE = 1000

Entry = dict[str, Any]


class Measurement:
    """One run of a job. Its questions are measured one at a time, so that a search's time is its own."""

    def __init__(
        self,
        job: Job,
        base: KnowledgeBase,
        questions: Sequence[Asked],
        store: Store,
        retriever: Retriever,
        answer: Callable[[Job, KnowledgeBase, str], Awaitable[Given]] | None,
    ) -> None:
        """Reads the store; make it in a thread. `base` has the settings that are measured."""
        self._job = job
        self._base = base
        self._questions = questions
        self._store = store
        self._retriever = retriever
        self._answer = answer
        found = resolved(store, base, questions)
        self._found = {one.id: what for one, what in zip(questions, found, strict=True)}
        self._details = self._before()
        self._unsaved: list[Entry] = []
        self._saved_at = 0.0

    @property
    def unknown(self) -> list[str]:
        """What judgements name and the base does not hold, or holds more than once."""
        return sorted({key for found in self._found.values() for key in found.unknown})

    @property
    def stale(self) -> int:
        """Questions with judgements, none of which means anything in the base: their ranking is not measured."""
        return sum(bool(one.relevant) and not self._found[one.id].relevant for one in self._questions)

    async def run(self) -> list[Entry]:
        """One entry for each question, in their order.

        Raises:
            JobError: answers fail one after another, or the job is another's by now.
        """
        left = [one for one in self._questions if one.id not in self._details]
        if left:
            await self._retriever.search(self._base, "warm up", limit=1)  # an index that is loaded is timed as none
        failures = 0
        for one in left:
            entry = await self._one(one)
            self._details[one.id] = entry
            self._unsaved.append(entry)
            failures = failures + 1 if "error" in entry else 0
            if time.monotonic() - self._saved_at > _SAVE_SECONDS:
                await self._save()
            if failures >= FAILURES:
                await self._save()
                raise JobError(f"{FAILURES} questions in a row failed, the last with: {entry['error']}")
        await self._save()
        return [self._details[one.id] for one in self._questions]

    async def _one(self, asked: Asked) -> Entry:
        found = self._found[asked.id]
        entry: Entry = {"id": asked.id, "digest": asked.digest}
        try:
            text = checked_query(asked.text)
            began = time.perf_counter()
            hits = await self._retriever.search(self._base, text, limit=WANTED)
            entry["seconds"] = round(time.perf_counter() - began, 6)
            entry |= _rounded(ranking([name(hit, by_passage=found.passages) for hit in hits], found))
            if self._answer is not None:
                entry |= await self._answered(asked, text, found)
        except (BudgetError, NotFoundError, PermissionDeniedError, StoreError):
            raise  # it is so for every question
        except AthanorError as error:
            entry["error"] = str(error)
        return entry

    async def _answered(self, asked: Asked, text: str, found: Found) -> dict[str, float]:
        assert self._answer is not None
        return _rounded(answering(await self._answer(self._job, self._base, text), asked, found))

    async def _save(self) -> None:
        """Keep what was measured since the last time, and say how far it is."""
        items = [
            JobItem(
                job=self._job.id,
                key=entry["id"],
                state=JobState.FAILED if "error" in entry else JobState.DONE,
                message=orjson.dumps({**entry, "revision": self._base.revision}).decode(),
            )
            for entry in self._unsaved
        ]
        failed = sum("error" in entry for entry in self._details.values())
        tell = partial(
            self._store.jobs.progress,
            self._job.id,
            self._job.lease_owner or "",
            total=len(self._questions),
            done=len(self._details) - failed,
            failed=failed,
            message="Asking" if self._answer is None else "Asking and answering",
        )

        def save() -> bool:
            with self._store.write() as conn:
                held = tell(conn=conn)
                if held:
                    self._store.jobs.put_items(items, conn=conn)
            return held

        if not await to_thread.run_sync(save):
            raise JobError("The job was cancelled, or is another's by now.")
        self._unsaved = []
        self._saved_at = time.monotonic()

    def _before(self) -> dict[str, Entry]:
        """What an earlier run has measured, of these questions and these documents. What failed is tried again."""
        known = {one.id: one.digest for one in self._questions}
        found: dict[str, Entry] = {}
        after = None
        while items := self._store.jobs.items(self._job.id, state=JobState.DONE, limit=_PAGE, after=after):
            after = items[-1].key
            for item in items:
                entry: Entry = orjson.loads(item.message)
                if entry.pop("revision") == self._base.revision and known.get(item.key) == entry["digest"]:
                    found[item.key] = entry
        return found


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {key: round(value, 6) for key, value in values.items()}
