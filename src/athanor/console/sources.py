"""What a knowledge base is kept in step with, and since when it is."""

from __future__ import annotations

from anyio import to_thread

from athanor.console.widgets import Tag, badge, moment
from athanor.gateway import App
from athanor.types import JobState, KnowledgeBase, SyncSource

_STATES = {
    JobState.QUEUED: ("waiting", ""),
    JobState.RUNNING: ("running", ""),
    JobState.DONE: ("in step", "is-good"),
    JobState.FAILED: ("failed", "is-bad"),
    JobState.CANCELLED: ("stopped", "is-warn"),
}


async def sources(app: App, base: KnowledgeBase) -> None:
    """Draw the folders and repositories of `base`; nothing where there is none."""

    def read() -> list[tuple[SyncSource, JobState | None]]:
        states = {job.id: job.state for job in app.store.jobs.list(limit=1000)}
        return [(source, states.get(source.job or "")) for source in app.store.sync_sources.list(base.id)]

    found = await to_thread.run_sync(read)
    if not found:
        return
    with Tag("section", "a-card", aria_label="Sources"):
        with Tag("div", "a-cardhead"):
            Tag("h3", text="Sources")
        with Tag("table", "a-log"), Tag("tbody"):
            for source, state in found:
                _row(source, state)


def _row(source: SyncSource, state: JobState | None) -> None:
    kind, _, place = source.origin.partition(":")
    with Tag("tr", data_origin=source.origin):
        Tag("td", "is-tight a-muted", text=kind)
        Tag("td", text=place)
        with Tag("td", "is-tight"):
            if state is not None:
                badge(*_STATES[state])
        with Tag("td", "is-tight a-muted"):
            if source.synced_at is not None:
                moment(source.synced_at)
        Tag("td", "is-tight a-muted", text=source.state[:10])
        Tag("td", "is-tight a-muted", text=f"every {source.every / 60:g} min" if source.every else "when asked")
