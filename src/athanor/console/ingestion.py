"""Ingestion jobs of one knowledge base as they run: a bar, what is being done, and one line for each problem."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import to_thread
from nicegui import ui

from athanor.console.widgets import Tag, busy, notice, square
from athanor.gateway import App
from athanor.types import Job, JobItem, JobState, KnowledgeBase, Principal

AT_WORK = (JobState.QUEUED, JobState.RUNNING)
PROBLEMS = 50
"""Problems listed of one job; the documents' table has them all."""


class Jobs:
    """Follows the jobs that are at work, from wherever they were started, and keeps showing how each ended."""

    def __init__(
        self, app: App, base: KnowledgeBase, principal: Principal, changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._app = app
        self._base = base
        self._principal = principal
        self._changed = changed
        self._followed: dict[str, tuple[Job, Tag]] = {}
        self._box = Tag("div", "a-stack")
        ui.timer(1.0, self.look)

    async def look(self) -> None:
        """Take up new jobs, draw what is new about the known ones."""
        current = await to_thread.run_sync(self._read)
        moved = False
        for job, problems in current:
            known = self._followed.get(job.id)
            if known is None:
                with self._box:
                    tag = Tag("div", "a-card a-pad a-stack", data_job=job.id)
            elif known[0] == job:
                continue
            else:
                tag = known[1]
            moved = moved or known is None or known[0].done != job.done or known[0].state != job.state
            self._followed[job.id] = (job, tag)
            self._draw(job, problems, tag)
        if moved and current:
            await self._changed()

    def _read(self) -> list[tuple[Job, list[JobItem]]]:
        jobs = {job.id: job for job in self._app.store.jobs.list(states=AT_WORK) if self._mine(job)}
        for known, _ in self._followed.values():
            if known.state in AT_WORK and known.id not in jobs:
                jobs[known.id] = self._app.store.jobs.get(known.id)  # it has just ended
        who, permissions = self._principal, self._app.knowledge.permissions
        reader = self._app.readers.of(who)
        found = []
        for job in jobs.values():
            if permissions.sees_job(job, principal=who, reader=reader):
                items = self._app.store.jobs.items(job.id, state=JobState.FAILED, limit=PROBLEMS)
                found.append((job, permissions.seen_items(job, items, principal=who, reader=reader)))
        return found

    def _mine(self, job: Job) -> bool:
        return job.arguments.get("knowledge_base") == self._base.id

    def _draw(self, job: Job, problems: list[JobItem], tag: Tag) -> None:
        tag.clear()
        with tag:
            if job.state in AT_WORK:
                seen = job.done + job.failed
                with Tag("div", "a-line"):
                    busy(job.message or ("Waiting" if job.state is JobState.QUEUED else "Reading")).classes("a-grow")
                    if job.total:
                        Tag("span", "a-small a-muted a-numbers", text=f"{seen} of {job.total}")
                known = job.total or None
                Tag("progress", "a-bar", aria_label="Ingestion", value=known and seen, max=known)
            else:
                with Tag("div", "a-line"):
                    Tag("p", "a-grow", text=_ended(job), role="status")
                    square("close", "Close", lambda: tag.set_visibility(False), css="is-small")
                if job.state is JobState.FAILED:
                    notice(job.message or "The job failed.")
            if problems:
                with Tag("ul", "a-stack a-small"):
                    for item in problems:
                        with Tag("li"):
                            Tag("b", text=item.key)
                            Tag("div", "a-problem", text=item.message)


def _ended(job: Job) -> str:
    if job.state is JobState.CANCELLED:
        return "Stopped."
    if job.state is JobState.FAILED:
        return "Reading did not come to an end."
    result = job.result
    parts = [f"{result.get('documents', job.done)} added or replaced"]
    for name, words in (("unchanged", "unchanged"), ("removed", "removed"), ("failed", "could not be read")):
        if result.get(name):
            parts.append(f"{result[name]} {words}")
    return f"Done: {', '.join(parts)}."
