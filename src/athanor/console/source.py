"""A document's text on the screen, with a marked passage: in the citation panel and on the document's page."""

from __future__ import annotations

from dataclasses import dataclass

from anyio import to_thread

from athanor.console.excerpt import Excerpt, excerpt
from athanor.console.widgets import Tag, button
from athanor.console.words import many
from athanor.gateway import App
from athanor.rag.listing import listing_for
from athanor.types import Document, DocumentVersion, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One version of a document, with its text."""

    document: Document
    version: DocumentVersion
    text: str
    base: str
    """Name of its knowledge base."""


async def load(app: App, document: str, version: int | None, *, by: Principal) -> Source:
    """The text of a document at a version; the current one where none is named.

    Raises:
        NotFoundError: no such document or version, it never could be read, or `by` may not read it.
    """
    reader = await app.reader(by)
    await app.knowledge.document(document, reader=reader)

    def read() -> Source:
        found = app.store.knowledge.document(document)
        state = app.store.knowledge.document_version(document, found.version if version is None else version)
        base = app.store.knowledge.get(found.knowledge_base)
        text = listing_for(base, found, app.store.blobs.read(state.text_sha256).decode("utf-8"), reader)
        return Source(document=found, version=state, text=text, base=base.name)

    return await to_thread.run_sync(read)


async def heading(app: App, document: str, start: int) -> str:
    """The path of headings above a place in the current version."""
    chunks = await to_thread.run_sync(app.store.chunks.of_document, document)
    return next((chunk.heading for chunk in chunks if chunk.start <= start < chunk.end), "")


def page_of(pages: tuple[int, ...], start: int) -> int | None:
    """The page that a place is on, from 1."""
    return sum(offset <= start for offset in pages) or None


class Reader:
    """Shows a window of the text, and more of it where asked."""

    def __init__(self, source: Source, mark: tuple[int, int] | None, *, window: int, step: int, css: str = "") -> None:
        self._source = source
        self._mark = mark
        self._before = window
        self._after = window if mark else 2 * window
        self._step = step
        self._css = css
        self._box = Tag("div")
        self._draw()

    def _draw(self) -> None:
        source = self._source
        cut = excerpt(
            source.text,
            source.version.pages,
            mark=self._mark,
            before=self._before,
            after=self._after,
            markdown=source.document.mime == "text/markdown",
        )
        self._box.clear()
        with self._box:
            if cut.before:
                self._more(f"Show what comes before ({many(cut.before, 'character')})", self._earlier)
            with Tag("div", f"a-text {self._css}", data_source=""):
                pieces(cut)
            if cut.after:
                self._more(f"Show what comes after ({many(cut.after, 'character')})", self._later)

    def _more(self, label: str, act: object) -> None:
        assert callable(act)
        with Tag("div", "a-more"):
            button(label, act, css="is-small")

    def _earlier(self) -> None:
        self._before += self._step
        self._draw()

    def _later(self) -> None:
        self._after += self._step
        self._draw()


def pieces(cut: Excerpt) -> None:
    """The text nodes of an excerpt."""
    for piece in cut.pieces:
        if piece.page is not None:
            # Its words are drawn by the style sheet, so that what is selected and copied is the document's text.
            Tag("span", "a-pagemark", data_label=f"Page {piece.page}", role="separator")
        else:
            Tag("mark" if piece.marked else "span", f"a-set-{piece.setting}", text=piece.text)


def link(document: str, version: int, start: int | None = None, end: int | None = None) -> str:
    """The address of a document's page, with a passage marked."""
    span = "" if start is None else f"&start={start}&end={end}"
    return f"/console/document/{document}?version={version}{span}"
