"""What the chat shows before the first question."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from athanor.console.choice import Choice
from athanor.console.widgets import Tag, empty, goto, icon


def nothing_yet(*, editor: bool) -> None:
    """There is no document anywhere; whoever may add some is shown where."""
    empty("books", "No documents yet", "Athanor answers from your own documents, with citations.")
    if editor:
        with Tag("div", "a-actions is-middle"):
            goto("upload", "Add documents", "/console/knowledge", css="is-main")


def greet(choice: Choice | None, asks: Sequence[str], ask: Callable[[str], object]) -> None:
    """What can be done here, and a few questions to begin with."""
    based = choice is not None and choice.is_base
    Tag("h1", text="Ask your documents" if based else "Ask the model")
    Tag("p", text=_welcome(based=based))
    if asks:
        with Tag("div", "a-asks"):
            for question in asks:
                made = Tag("button", "a-ask", type="button").on_click(lambda question=question: ask(question))
                with made:
                    Tag("span", text=question)
                    icon("send")


def _welcome(*, based: bool) -> str:
    if based:
        return "Every sentence of an answer points to the place it comes from. Click its number to read it there."
    return "Without documents there are no citations, and nothing is checked."
