"""What a knowledge base is kept in step with: how each source does, adding one, synchronising, removing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from anyio import to_thread
from nicegui import ui
from nicegui.events import GenericEventArguments

from athanor.console.rules import allow, can
from athanor.console.widgets import Tag, badge, button, confirm, dialog, moment, square
from athanor.console.words import many
from athanor.errors import AthanorError
from athanor.gateway import App
from athanor.rag.sync_state import SourceStatus
from athanor.types import JobState, KnowledgeBase, Principal, Reader

_STATES = {
    JobState.QUEUED: ("waiting", ""),
    JobState.RUNNING: ("running", ""),
    JobState.DONE: ("in step", "is-good"),
    JobState.FAILED: ("failed", "is-bad"),
    JobState.CANCELLED: ("stopped", "is-warn"),
}
_PAUSES = [("", "when asked"), ("600", "every 10 minutes"), ("3600", "every hour"), ("86400", "every day")]
_CHANGES = (("documents", "read"), ("removed", "removed"), ("failed", "unread"))


class Sources:
    """The sources of the base that is shown.

    Args:
        changed: called after what was done here.
        tell: shows an error.
    """

    def __init__(
        self,
        app: App,
        principal: Principal,
        *,
        changed: Callable[[], Awaitable[None]],
        tell: Callable[[AthanorError], None],
    ) -> None:
        self._app = app
        self._principal = principal
        self._changed = changed
        self._tell = tell
        self._base: KnowledgeBase | None = None
        ui.on("source-add", self._added)

    async def draw(self, base: KnowledgeBase) -> None:
        """Draw the sources of `base` where the caller is; nothing for whom they are not."""
        self._base = base
        reader = await self._app.reader(self._principal)
        service = self._app.sources
        if not await to_thread.run_sync(service.tells, base, reader):
            return
        found = await to_thread.run_sync(partial(service.list, base, reader=reader))
        if not found and not self._may_add():
            return
        with Tag("section", "a-card", aria_label="Sources"):
            with Tag("div", "a-cardhead"):
                Tag("h3", text="Sources")
                if self._may_add():
                    button("Add a source", self._ask, sign="plus", css="is-small")
            if not found:
                text = "A folder or a git repository that this base follows: new, changed and deleted files."
                Tag("p", "a-small a-muted a-pad", text=text)
                return
            with Tag("table", "a-log"), Tag("tbody"):
                for status in found:
                    self._row(status)

    def _may_add(self) -> bool:
        return can(self._principal, "sources.folders") or (
            can(self._principal, "sources.change") and bool(self._app.settings.git.hosts)
        )

    def _row(self, status: SourceStatus) -> None:
        source = status.source
        kind, _, place = source.origin.partition(":")
        with Tag("tr", data_origin=source.origin):
            Tag("td", "is-tight a-muted", text=kind)
            with Tag("td"):
                Tag("span", text=place)
                Tag("div", "a-small a-muted", text=_facts(status))
                if source.error or status.rests:
                    Tag("div", "a-problem", text=status.rests or _failed(status))
            with Tag("td", "is-tight"):
                badge(*(("new", "") if status.job is None else _STATES[status.job.state]))
            with Tag("td", "is-tight a-muted"):
                if source.synced_at is not None:
                    moment(source.synced_at)
            with Tag("td", "is-tight"):
                if self._may_change(source.origin):
                    if not status.running:
                        square("turn", f"Synchronise {place} now", partial(self._sync, source.origin), css="is-small")
                    square("trash", f"Remove {place}", partial(self._ask_remove, status), css="is-small")

    def _may_change(self, origin: str) -> bool:
        try:
            self._app.sources.check(self._principal, origin)
        except AthanorError:
            return False
        return True

    # -- acting

    def _ask(self) -> None:
        folders = can(self._principal, "sources.folders")
        hint = "https://github.com/team/handbook#main" + (", or /srv/handbook" if folders else "")
        with dialog("Add a source") as made:
            made.classes("is-wide")
            with Tag("form", "a-stack", data_emit="source-add"):
                with Tag("div", "a-form"):
                    what = "Git repository, or folder of the server" if folders else "Git repository"
                    _field("place", what, hint, required=True, data_focus="")
                    with (
                        Tag("label", "a-label", text="Synchronise"),
                        Tag("span", "a-pick"),
                        Tag("select", "a-select", name="every"),
                    ):
                        for value, text in _PAUSES:
                            Tag("option", text=text, value=value, selected=value == "3600" or None)
                    _field("prefix", "Names of its documents begin with", "Nothing, or handbook/")
                note = "Credentials never belong in the URL: git's own credential helper and SSH keys are used."
                Tag("p", "a-small a-muted", text=note)
                with Tag("div", "a-actions"):
                    button("Cancel", data_close="")
                    button("Add and synchronise", css="is-main", type="submit")

    async def _added(self, event: GenericEventArguments) -> None:
        fields: Mapping[str, Any] = event.args if isinstance(event.args, dict) else {}
        place, prefix = str(fields.get("place", "")).strip(), str(fields.get("prefix", ""))
        pause = str(fields.get("every", ""))
        every = float(pause) if pause in dict(_PAUSES) and pause else None

        def add(base: KnowledgeBase, reader: Reader) -> None:
            who, service = self._principal, self._app.sources
            made = service.add(base, place, every=every, prefix=prefix, reader=reader, by=who)
            service.sync(base, made.origin, reader=reader, by=who)

        await self._do(add)

    async def _sync(self, origin: str) -> None:
        def sync(base: KnowledgeBase, reader: Reader) -> None:
            self._app.sources.sync(base, origin, reader=reader, by=self._principal)

        await self._do(sync)

    def _ask_remove(self, status: SourceStatus) -> None:
        origin = status.source.origin

        def remove(base: KnowledgeBase, reader: Reader) -> None:
            self._app.sources.remove(base, origin, reader=reader, by=self._principal)

        text = f"It is followed no longer, and its documents ({status.documents}) are deleted. This cannot be undone."
        confirm("Remove this source?", text, "Remove it and its documents", partial(self._do, remove))

    async def _do(self, act: Callable[[KnowledgeBase, Reader], None]) -> None:
        if self._base is None:
            return
        try:
            allow(self._principal, "sources.change")
            reader = await self._app.reader(self._principal)
            await to_thread.run_sync(act, self._base, reader)
        except AthanorError as error:
            self._tell(error)
        await self._changed()


def _field(name: str, label: str, hint: str, **more: Any) -> None:
    with Tag("label", "a-label", text=label):
        common: dict[str, Any] = {"type": "text", "maxlength": 1000, "autocomplete": "off", "spellcheck": "false"}
        Tag("input", "a-input", name=name, placeholder=hint, **common, **more)


def _facts(status: SourceStatus) -> str:
    """What there is to say of a source in one line."""
    source, job = status.source, status.job
    parts = [many(status.documents, "document")]
    if job is not None and job.state is JobState.DONE:
        changes = [f"{job.result[key]} {word}" for key, word in _CHANGES if job.result.get(key)]
        parts.append(", ".join(changes) or "nothing new")
    if source.state:
        parts.append(f"at {source.state[:10]}")
    if source.prefix:
        parts.append(f"under {source.prefix}")
    parts.append(f"every {source.every / 60:g} min" if source.every else "when asked")
    if status.registered_by:
        parts.append(f"by {status.registered_by}")
    return " · ".join(parts)


def _failed(status: SourceStatus) -> str:
    times = status.source.failures
    return status.source.error if times < 2 else f"{times} times in a row: {status.source.error}"
