"""`/console/knowledge`: knowledge bases, their documents, and adding to them."""

from __future__ import annotations

from anyio import to_thread
from nicegui import ui
from nicegui.events import GenericEventArguments
from starlette.requests import Request

from athanor.console.gate import Visit, visit
from athanor.console.ingestion import Jobs
from athanor.console.rules import allow, sees
from athanor.console.source import link
from athanor.console.sources import Sources
from athanor.console.widgets import (
    Tag,
    badge,
    button,
    confirm,
    dialog,
    empty,
    failed,
    goto,
    icon,
    may_edit,
    page,
    problem,
    square,
)
from athanor.console.words import many, size
from athanor.errors import AthanorError
from athanor.types import OPEN, Document, DocumentStatus, KnowledgeBase

ROWS = 200
"""Documents drawn at once."""
STATES = {
    DocumentStatus.READING: ("reading", ""),
    DocumentStatus.READY: ("ready", "is-good"),
    DocumentStatus.FAILED: ("problem", "is-bad"),
}
"""State of a document → its word and colour."""


async def show(request: Request, base: str | None = None) -> None:
    """Draw the page."""
    here = visit(request)
    with page("books", "Knowledge") as inner:
        drawn = _Page(here, inner)
    await drawn.open(base)


class _Page:
    def __init__(self, here: Visit, inner: Tag) -> None:
        self._app = here.app
        self._principal = here.principal
        self._base: KnowledgeBase | None = None
        self._rows = ROWS
        with inner:
            with Tag("div", "a-pagehead"):
                with Tag("div"):
                    Tag("h1", text="Knowledge")
                    Tag("p", text="Documents that answers are made from. Each base is searched as one.")
                if may_edit(self._principal):
                    button("New knowledge base", self._ask_name, sign="plus")
            self._body = Tag("div")
        self._kept = Sources(self._app, self._principal, changed=self._synced, tell=self._tell)
        ui.on("create", self._create)
        ui.on("uploaded", self._uploaded)

    async def open(self, wanted: str | None) -> None:
        """Show one base: the wanted one, else the first."""
        try:
            bases = await self._app.knowledge.bases(reader=await self._app.reader(self._principal))
        except AthanorError as error:
            self._body.clear()
            with self._body:
                problem(error, retry=lambda: self.open(wanted))
            return
        found = [base for base in bases if wanted in {base.id, base.name}]
        self._base = next(iter(found or bases), None)
        self._body.clear()
        with self._body:
            if self._base is None:
                empty("books", "No knowledge base yet", "Make one, then drop your files on it.")
                return
            with Tag("div", "a-bases"):
                self._nav = Tag("nav", "a-baselist", aria_label="Knowledge bases")
                with Tag("section", "a-stack", aria_label=self._base.name):
                    self._head = Tag("div")
                    if may_edit(self._principal):
                        self._drop()
                    self._jobs = Jobs(self._app, self._base, self._principal, self._changed)
                    self._sources = Tag("div")
                    self._list = Tag("div", "a-card")
        await self._changed()

    async def _changed(self) -> None:
        """Draw what depends on the documents."""
        if self._base is None:
            return
        try:
            reader = await self._app.reader(self._principal)
            self._base = await self._app.knowledge.base(self._base.id, reader=reader)
            bases = await self._app.knowledge.bases(reader=reader)
            documents = await self._app.knowledge.documents(self._base, reader=reader)
        except AthanorError as error:
            self._list.clear()
            with self._list:
                problem(error, retry=self._changed)
            return
        self._draw_nav(bases, self._base)
        self._draw_head(self._base, documents)
        self._draw_documents(documents)
        if may_edit(self._principal):
            self._sources.clear()
            with self._sources:
                await self._kept.draw(self._base)

    async def _synced(self) -> None:
        """A source was added, asked for, or removed."""
        await self._jobs.look()
        await self._changed()

    def _draw_nav(self, bases: list[KnowledgeBase], chosen: KnowledgeBase) -> None:
        self._nav.clear()
        with self._nav:
            for base in bases:
                current = "true" if base.id == chosen.id else None
                with Tag("a", "a-base", href=f"/console/knowledge?base={base.id}", aria_current=current):
                    Tag("b", "a-clip", text=base.name)
                    Tag("span", "a-small a-muted", text=many(base.documents, "document"))

    def _draw_head(self, base: KnowledgeBase, documents: list[Document]) -> None:
        self._head.clear()
        with self._head, Tag("div", "a-line a-wrap"):
            with Tag("div", "a-grow"):
                Tag("h2", text=base.name)
                facts = (
                    many(len(documents), "document"),
                    many(base.chunks, "passage"),
                    size(sum(d.size for d in documents)),
                )
                Tag("p", "a-small a-muted", text=", ".join(facts))
            goto("chat", "Ask", f"/console/?base={base.id}", css="is-small")
            goto("trace", "Lab", f"/console/lab?base={base.id}", css="is-small")
            if sees(self._principal, "/quality"):
                goto("costs", "Quality", f"/console/quality?base={base.id}", css="is-small")
            if may_edit(self._principal):
                square("trash", f"Delete {base.name}", self._ask_delete_base, css="is-small")

    def _drop(self) -> None:
        with Tag("div", "a-drop", data_drop="/console/upload/files", data_list="#uploads"):
            icon("upload")
            with Tag("span"):
                Tag("b", text="Drop files here, or choose them")
            Tag(
                "span",
                "a-small",
                text="PDF, Office, mail, HTML, code, text, archives. A file of the same name replaces the old one.",
            )
            Tag("input", "a-hidden", type="file", multiple=True, aria_label="Choose files to add")
        Tag("ul", "a-files", id_="uploads", aria_live="polite")

    def _draw_documents(self, documents: list[Document]) -> None:
        self._list.clear()
        with self._list:
            if not documents:
                empty("page", "No documents in here yet", "What you add is read, cut into passages and indexed.")
                return
            with Tag("table", "a-table"):
                with Tag("thead"), Tag("tr"):
                    for name, css in (
                        ("Document", ""), ("State", "is-state"), ("Passages", "is-number"), ("Version", "is-number"),
                        ("Size", "is-number"), ("", "is-tool"),
                    ):  # fmt: skip
                        Tag("th", css, text=name, scope="col")
                with Tag("tbody"):
                    names = {document.id: document.title or document.source for document in documents}
                    for document in documents[: self._rows]:
                        self._row(document, names.get(document.near) if document.near else None)
            if len(documents) > self._rows:
                with Tag("div", "a-pad"):
                    button(
                        f"Show more ({many(len(documents) - self._rows, 'document')} left)", self._more, css="is-small"
                    )

    def _row(self, document: Document, near: str | None) -> None:
        state, color = STATES[document.status]
        with Tag("tr", data_document=document.source):
            with Tag("td"):
                if document.version:
                    Tag("a", text=document.title or document.source, href=link(document.id, document.version))
                else:
                    Tag("span", text=document.source)
                if document.version and document.title != document.source:
                    Tag("div", "a-small a-muted", text=document.source)
                if document.access != OPEN:
                    with Tag("div", "a-small a-muted"):
                        icon("key")
                        Tag("span", text=f" {_closed(document)}")
                if near is not None:
                    Tag("div", "a-small a-muted", text=f"Nearly the same as {near}")
                if document.error:
                    Tag("div", "a-problem", text=document.error)
            with Tag("td", "is-state"):
                kept = document.status is DocumentStatus.FAILED and document.version
                badge(state, color).set(title="(old version kept)" if kept else None)
            Tag("td", "is-number", text=f"{document.chunks}")
            Tag("td", "is-number", text=f"{document.version or '–'}")
            Tag("td", "is-number", text=size(document.size))
            with Tag("td", "is-tool"):
                if may_edit(self._principal):
                    act = lambda: self._ask_delete(document)  # noqa: E731
                    square("trash", f"Delete {document.source}", act, css="is-small")

    async def _more(self) -> None:
        self._rows += ROWS
        await self._changed()

    # --- changing

    def _ask_name(self) -> None:
        with dialog("New knowledge base"), Tag("form", "a-stack", data_emit="create"):
            with Tag("label", "a-label", text="Name"):
                Tag("input", "a-field", name="name", required=True, maxlength=100, autocomplete="off", data_focus="")
            with Tag("div", "a-actions"):
                button("Cancel", data_close="")
                button("Create", css="is-main", type="submit")

    async def _create(self, event: GenericEventArguments) -> None:
        name = str(event.args.get("name", "")) if isinstance(event.args, dict) else ""
        try:
            allow(self._principal, "knowledge.change")
            base = await self._app.knowledge.create(name, by=self._principal)
        except AthanorError as error:
            self._tell(error)
            return
        ui.navigate.to(f"/knowledge?base={base.id}")

    async def _uploaded(self, event: GenericEventArguments) -> None:
        ids = event.args.get("ids") if isinstance(event.args, dict) else None
        if self._base is None or not isinstance(ids, list):
            return
        try:
            allow(self._principal, "knowledge.change")
            files = [await to_thread.run_sync(self._app.store.files.get, str(file)) for file in ids]
            own = {file.name: file.id for file in files if file.principal == self._principal.id}
            reader = await self._app.reader(self._principal)
            permissions, base = self._app.knowledge.permissions, self._base
            named = await to_thread.run_sync(lambda: permissions.source_names(base, own, reader=reader))
            await self._app.ingestion.enqueue_files(base, named, by=self._principal)
        except AthanorError as error:
            self._tell(error)
            return
        await self._jobs.look()

    def _ask_delete(self, document: Document) -> None:
        async def act() -> None:
            await self._do(document.id)

        confirm(
            f"Delete {document.source}?", "No answer will use it from now on. This cannot be undone.", "Delete", act
        )

    async def _do(self, document: str) -> None:
        try:
            allow(self._principal, "knowledge.change")
            await self._app.knowledge.remove(
                document, reader=await self._app.reader(self._principal), by=self._principal
            )
        except AthanorError as error:
            self._tell(error)
        await self._changed()

    def _ask_delete_base(self) -> None:
        base = self._base
        if base is None:
            return

        async def act() -> None:
            try:
                allow(self._principal, "knowledge.change")
                reader = await self._app.reader(self._principal)
                await self._app.knowledge.delete(base, reader=reader, by=self._principal)
            except AthanorError as error:
                self._tell(error)
                return
            await self.open(None)

        text = f"All its documents ({base.documents}) are deleted with it. This cannot be undone."
        confirm(f"Delete {base.name}?", text, "Delete everything in it", act)

    def _tell(self, error: AthanorError) -> None:
        failed(error)


def _closed(document: Document) -> str:
    """What a document asks of its readers, in a few words."""
    access = document.access
    named = [] if access.readers is None else [many(len(access.readers), "reader")]
    return ", ".join(["for " + part for part in named] + [f"label {label}" for label in access.labels])
