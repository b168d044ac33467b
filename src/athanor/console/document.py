"""`/console/document/{id}`: a document as its parser read it, with the cited passage marked."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from athanor.console.gate import visit
from athanor.console.source import Reader, load, page_of
from athanor.console.widgets import Tag, badge, page, problem
from athanor.console.words import many, size
from athanor.errors import AthanorError
from athanor.types import DocumentStatus

WINDOW = 20_000
"""Characters shown on each side of the passage; a book is not sent whole."""


async def show(
    request: Request, document: str, version: int | None = None, start: int | None = None, end: int | None = None
) -> None:
    """Draw the page."""
    here = visit(request)
    app = here.app
    with page("books", "Document") as inner:
        try:
            source = await load(app, document, version, by=here.principal)
        except AthanorError as error:
            problem(error)
            return
    ui.context.client.title = f"{source.version.title} · Athanor"
    current, about = source.document, source.version
    mark = (start, end) if start is not None and end is not None and start < end <= len(source.text) else None
    inner.classes("is-reading")
    with inner:
        with Tag("div", "a-pagehead"):
            with Tag("div", "a-grow"):
                Tag("h1", text=about.title)
                with Tag("div", "a-facts"):
                    Tag("span", "a-code", text=current.source)
                    Tag("span", text=f"in {source.base}")
                    Tag("span", text=f"version {about.version}")
                    if about.pages:
                        Tag("span", text=many(len(about.pages), "page"))
                    Tag("span", text=f"{size(current.size)}, {many(len(source.text), 'character')}")
                    if mark and (number := page_of(about.pages, mark[0])):
                        Tag("span", text=f"passage on page {number}")
            with Tag("a", "a-button", href=f"/console/knowledge?base={current.knowledge_base}"):
                Tag("span", text="All documents")
        if about.version != current.version:
            with Tag("div", "a-notice is-warn"), Tag("p", "a-grow"):
                Tag(
                    "span",
                    text=f"This is version {about.version}, as it was cited. The current one is {current.version}.",
                )
        elif current.status is DocumentStatus.FAILED:
            with Tag("div", "a-notice is-warn"):
                badge("not current", "is-warn")
                Tag("p", "a-grow", text=f"The file has changed since and could not be read again: {current.error}")
        with Tag("article", "a-card a-sheet"):
            Reader(source, mark, window=WINDOW, step=5 * WINDOW)
