"""`/console/guards/policy`: the policies' text, what it would have done last week, and every version that was."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from anyio import to_thread
from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.requests import Request

from athanor.console.gate import Visit, visit
from athanor.console.guards import DONE, FROM, KINDS, tabs
from athanor.console.rules import allow
from athanor.console.widgets import Tag, badge, busy, button, moment, notice, page, problem
from athanor.errors import AthanorError, ConflictError
from athanor.gateway import App
from athanor.guards import Policies
from athanor.guards.book import Kept
from athanor.guards.figures import published, summary
from athanor.guards.reading import LONGEST, unheard
from athanor.observe import Action
from athanor.types import Decision, JobState, Origin

_SECONDS = 0.5
"""Between two looks at a running job."""
_DAYS = ("1", "7", "30")


async def show(request: Request, version: str = "") -> None:
    """Draw the page; `version` opens an older text, to be looked at or put in force again."""
    here = visit(request)
    with page("shield", "Guards: policy"):
        with Tag("div", "a-pagehead"), Tag("div"):
            Tag("h1", text="Guards")
            Tag("p", text="What is done about what guards find. Try a change on stored traffic before it is in force.")
        tabs(here, "/guards/policy")
        drawn = _Editor(here)
        _draw_figures(here.app)
    await drawn.open(version.strip())


def _draw_figures(app: App) -> None:
    """Every guard, and how well it was measured to do."""
    Tag("h2", text="Guards")
    figures = published()
    with Tag("div", "a-card a-scrollx"), Tag("table", "a-log"), Tag("tbody"):
        for guard in app.guards.guards:
            with Tag("tr", data_guard=guard.name):
                Tag("td", "is-tight", text=guard.name)
                Tag("td", "a-small a-muted", text=summary(figures.get(guard.name)))


class _Editor:
    def __init__(self, here: Visit) -> None:
        self._app = here.app
        self._by = here.principal
        self._form = Tag("div", "a-stack")
        self._told = Tag("div", "a-stack", aria_live="polite")
        self._history = Tag("section", "a-stack")
        self._read = ""
        ui.on("guard-policy", self._act)

    async def open(self, version: str) -> None:
        """The text of one version, or of what is in force."""
        book = self._app.guards.book
        try:
            text = await to_thread.run_sync(book.text, version) if version else book.current.text
        except AthanorError as error:
            with self._told:
                problem(error)
            text = book.current.text
        self._read = book.current.version
        self._draw(text, version)
        await self._draw_history()
        if book.problem is not None:
            with self._told:
                notice("The file was changed by hand and is wrong; what was in force stays so.", hint=str(book.problem))

    def _draw(self, text: str, version: str) -> None:
        book = self._app.guards.book
        old = bool(version) and version != book.current.version
        self._form.clear()
        with self._form:
            with Tag("div", "a-line a-wrap"):
                badge(
                    f"version {version}" if old else f"in force: {book.current.version}",
                    "is-warn" if old else "is-good",
                )
                Tag("span", "a-muted a-small a-break", text=book.source)
            with Tag("form", "a-stack", data_emit="guard-policy", data_keep=""):
                Tag(
                    "textarea", "a-field is-code", text=text, name="text", maxlength=LONGEST, spellcheck="false",
                    autocomplete="off", aria_label="Policies", wrap="off",
                )  # fmt: skip
                with Tag("div", "a-filters"):
                    button("Check", type="submit", name="do", value="check")
                    with Tag("label", text="Traffic of"), Tag("span", "a-pick"), Tag("select", "a-select", name="days"):
                        for days in _DAYS:
                            label = "the last day" if days == "1" else f"the last {days} days"
                            Tag("option", text=label, value=days, selected=days == "7" or None)
                    button("Try on it", type="submit", name="do", value="dry")
                    Tag("span", "a-grow")
                    button("Put in force", css="is-main", type="submit", name="do", value="save")

    async def _draw_history(self) -> None:
        kept = await to_thread.run_sync(self._app.guards.book.versions)
        now = self._app.guards.book.current.version
        self._history.clear()
        with self._history:
            Tag("h2", text="Versions")
            if not kept:
                Tag("p", "a-muted", text="Only the shipped policies were in force so far.")
                return
            with Tag("div", "a-card a-scrollx"), Tag("table", "a-log"), Tag("tbody"):
                for one in kept:
                    self._version(one, in_force=one.version == now)

    def _version(self, one: Kept, *, in_force: bool) -> None:
        with Tag("tr", data_version=one.version):
            with Tag("td", "is-tight"):
                moment(one.at)
            Tag("td", "is-tight a-numbers", text=one.version)
            with Tag("td", "is-number"):
                if in_force:
                    badge("in force", "is-good")
                else:
                    Tag("a", text="open", href=f"/console/guards/policy?version={one.version}")

    # --- acting

    async def _act(self, event: GenericEventArguments) -> None:
        fields: Mapping[str, Any] = event.args if isinstance(event.args, dict) else {}
        text = str(fields.get("text", "")).replace("\r\n", "\n")
        self._told.clear()
        try:
            allow(self._by, "guards.change")
            policies = await to_thread.run_sync(self._app.guards.book.check, text)
            match fields.get("do"):
                case "save":
                    await self._save(text)
                case "dry":
                    await self._try(text, str(fields.get("days", "7")))
                case _:
                    self._good(policies, "These policies are good. They are not in force yet.")
        except AthanorError as error:
            self._told.clear()
            with self._told:
                where = f" ({error.where})" if error.where else ""
                notice(f"{error.message}{where}", hint=error.hint)

    def _good(self, policies: Policies, text: str) -> None:
        with self._told:
            notice(text, kind="is-good")
            lines = unheard(policies, self._app.guards.categories())
            for line in lines:
                Tag("p", "a-small a-muted", text=line)

    async def _save(self, text: str) -> None:
        book = self._app.guards.book

        def save() -> Policies:
            before = book.current.version
            if before != self._read:
                raise ConflictError(
                    f"The policies are of version {before} by now.",
                    hint="Open the page again, and make your change there.",
                )
            details = {"before": before, "after": book.check(text).version}
            # First the note of it: a change that nobody can explain is worse than a note of one that failed.
            self._app.audit.record(Action.GUARDS_CHANGED, by=self._by, subject="policies", details=details)
            return book.save(text)

        policies = await to_thread.run_sync(save)
        self._read = policies.version
        self._draw(text, "")
        await self._draw_history()
        self._good(policies, f"In force: version {policies.version}.")

    async def _try(self, text: str, days: str) -> None:
        span = float(days) if days in _DAYS else 7.0

        def enqueue() -> str:
            details = {"days": span, "in_force": False}
            self._app.audit.record(Action.GUARDS_TRIED, by=self._by, subject="policies", details=details)
            return self._app.dry_runs.enqueue(by=self._by, text=text, days=span).id

        job = await to_thread.run_sync(enqueue)
        with self._told:
            wait = busy("Going through stored traffic …")
        while True:
            now = await to_thread.run_sync(self._app.store.jobs.get, job)
            if now.state not in {JobState.QUEUED, JobState.RUNNING}:
                break
            await asyncio.sleep(_SECONDS)
        wait.delete()
        with self._told:
            if now.state is JobState.DONE:
                _report(now.result, days)
            else:
                notice("The run ended early.", hint=now.message or None)


def _report(report: Mapping[str, Any], days: str) -> None:
    """What would have been done."""
    with Tag("section", "a-card a-pad a-stack", data_report=""):
        Tag("h2", text="The last day" if days == "1" else f"The last {days} days")
        with Tag("dl", "a-tiles"):
            shown = [("Requests", report["requests"])]
            shown += [(f"Would be {DONE[d.value]}", report["decisions"].get(d.value, 0)) for d in reversed(Decision)]
            for name, value in shown:
                with Tag("div", "a-tile"):
                    Tag("dt", text=name)
                    Tag("dd", text=str(value))
        if report["unrecorded"]:
            text = f"Of {report['unrecorded']} requests no text was recorded: nothing can be said of them."
            Tag("p", "a-small a-muted", text=text)
        if report["failures"]:
            Tag("p", "a-small a-muted", text=f"Guards failed on {report['failures']} texts.")
        if report["findings"]:
            with Tag("div", "a-scrollx"), Tag("table", "a-log is-list"), Tag("tbody"):
                for row in report["findings"]:
                    with Tag("tr"):
                        with Tag("td", "is-tight"):
                            badge(DONE[row["decision"]], KINDS[row["decision"]])
                        Tag("td", "is-tight", text=row["category"])
                        Tag("td", "is-tight a-muted", text=FROM[Origin(row["origin"])])
                        Tag("td", "is-number", text=f"{row['count']} ×")
                        with Tag("td"):
                            for place, trace in enumerate(row["traces"][:5], 1):
                                Tag("a", text=f"{place} ", href=f"/console/traces/{trace}", aria_label=f"Trace {trace}")
