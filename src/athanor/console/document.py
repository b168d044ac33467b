"""`/console/document/{id}`: a document as its parser read it, with the cited passage marked."""

from __future__ import annotations

from anyio import to_thread
from nicegui import ui
from starlette.requests import Request

from athanor.console.gate import visit
from athanor.console.source import Reader, load, page_of
from athanor.console.widgets import Tag, badge, page, problem
from athanor.console.words import many, size
from athanor.errors import AthanorError
from athanor.rag import estimate
from athanor.types import Chunk, DocumentStatus

PASSAGES = 500
"""Passages drawn at once."""
WINDOW = 20_000
"""Characters shown on each side of the passage; a book is not sent whole."""


async def show(
    request: Request,
    document: str,
    version: int | None = None,
    start: int | None = None,
    end: int | None = None,
    passages: bool = False,
) -> None:
    """Draw the page: the text, or with `passages` how it was cut."""
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
            address = f"/console/document/{document}"
            if about.version == current.version:
                with Tag("a", "a-button", href=address if passages else f"{address}?passages=true"):
                    Tag("span", text="As text" if passages else "As passages")
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
        if passages and about.version == current.version:
            chunks = await to_thread.run_sync(app.store.chunks.of_document, document)
            with Tag("article", "a-card"):
                _passages(chunks)
            return
        with Tag("article", "a-card a-sheet"):
            Reader(source, mark, window=WINDOW, step=5 * WINDOW)


def _passages(chunks: list[Chunk]) -> None:
    """Each passage with its bounds; what it repeats of the one before is set faint."""
    told = 0
    for chunk in chunks[:PASSAGES]:
        again = max(0, min(told, chunk.end) - chunk.start)
        told = max(told, chunk.end)
        with Tag("section", "a-passage", data_passage=chunk.id):
            with Tag("div", "a-facts"):
                Tag("b", text=f"{chunk.ordinal + 1}")
                if chunk.place:
                    Tag("span", text=chunk.place)
                Tag("span", text=f"characters {chunk.start:,}–{chunk.end:,}")
                Tag("span", text=f"about {estimate(chunk.text)} tokens")
            for about in (chunk.heading, chunk.context):
                if about:
                    Tag("p", "a-small a-muted", text=about)
            with Tag("p", "a-text is-short"):
                if again:
                    Tag("span", "is-again", text=chunk.text[:again])
                Tag("span", text=chunk.text[again:])
    if len(chunks) > PASSAGES:
        Tag("p", "a-pad a-muted", text=f"{many(len(chunks) - PASSAGES, 'more passage')} not shown.")
