"""The citation panel: the source of a sentence, marked in its context. Beside the talk, or a sheet on a phone."""

from __future__ import annotations

from athanor.console.source import Reader, heading, link, load
from athanor.console.widgets import Act, Tag, busy, goto, problem, square
from athanor.errors import AthanorError
from athanor.gateway import App
from athanor.types import Principal

CONTEXT = 1500
"""Characters shown on each side of the passage."""


class Panel:
    """One panel of a page; opening another citation replaces what it shows."""

    def __init__(self, app: App, closed: Act, *, principal: Principal) -> None:
        self._app = app
        self._principal = principal
        self._closed = closed
        self._asked = 0
        self._box = Tag("aside", "a-panel", aria_label="Source of the citation")
        self._box.set_visibility(False)

    async def open(
        self, document: str, version: int, span: tuple[int, int], *, page: int | None, number: int | None
    ) -> None:
        """Show characters `span` of a document."""
        self._asked += 1
        asked = self._asked
        self._box.clear()
        self._box.set_visibility(True)
        with self._box, Tag("div", "a-panelbody"):
            busy("Opening the source")
        try:
            source = await load(self._app, document, version, by=self._principal)
            above = await heading(self._app, document, span[0]) if version == source.document.version else ""
        except AthanorError as error:
            if asked == self._asked:
                self._fail(error)
            return
        if asked != self._asked:
            return
        self._box.clear()
        with self._box:
            with Tag("div", "a-panelhead"):
                if number is not None:
                    Tag("span", "a-chip is-open", text=str(number))
                with Tag("div", "a-grow"):
                    Tag("h2", text=source.version.title)
                    with Tag("div", "a-facts"):
                        Tag("span", "a-code", text=source.document.source)
                        if page:
                            Tag("span", text=f"page {page}")
                        if version != source.document.version:
                            Tag("span", text=f"version {version}; the current one is {source.document.version}")
                    if path := _below(above, source.version.title):
                        Tag("p", "a-small a-muted", text=path)
                square("close", "Close the source", self.close, css="is-small", data_escape="", data_focus="")
            with Tag("div", "a-panelbody", tabindex="0"):
                Reader(source, span, window=CONTEXT, step=4 * CONTEXT, css="is-small")
            with Tag("div", "a-panelfoot"):
                goto("open", "Open the whole document", link(document, version, *span), css="is-small")

    def close(self) -> None:
        """Hide the panel."""
        self._asked += 1
        self._box.set_visibility(False)
        self._box.clear()
        self._closed()

    def _fail(self, error: Exception) -> None:
        self._box.clear()
        with self._box:
            with Tag("div", "a-panelhead"):
                Tag("h2", "a-grow", text="This source cannot be opened")
                square("close", "Close the source", self.close, css="is-small", data_escape="", data_focus="")
            with Tag("div", "a-panelbody"):
                problem(error)


def _below(path: str, title: str) -> str:
    """The path of headings without the document's own title."""
    return " › ".join(part for part in path.split(" > ") if part and part != title)
