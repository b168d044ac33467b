"""`/console/models`: what runs, in which state, under which licence, with which limits."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from starlette.requests import Request

from athanor.console.gate import visit
from athanor.console.widgets import Tag, badge, empty, page
from athanor.gateway import App
from athanor.types import AnswerMode, EngineStatus

STATES = {
    EngineStatus.READY: ("ready", "is-good"),
    EngineStatus.LOADING: ("loading", "is-warn"),
    EngineStatus.BACKING_OFF: ("restarting", "is-warn"),
    EngineStatus.FAILED: ("failed", "is-bad"),
    EngineStatus.STOPPED: ("not loaded", ""),
}
KINDS = {"chat": "Chat", "embedder": "Embeddings", "reranker": "Reranking"}
GROUNDED = {
    AnswerMode.EXTRACTIVE: "by quoting them",
    AnswerMode.GENERATIVE: "in its own words, each sentence checked",
}


async def show(request: Request) -> None:
    """Draw the page."""
    app = visit(request).app
    with page("chip", "Models"):
        with Tag("div", "a-pagehead"), Tag("div"):
            Tag("h1", text="Models")
            Tag("p", text="What Athanor runs on this machine or reaches at an address. athanor.toml decides.")
        box = Tag("div", "a-models")
    _Cards(app, box)


class _Cards:
    """The cards, drawn again whenever something about them changes."""

    def __init__(self, app: App, box: Tag) -> None:
        self._app = app
        self._box = box
        self._shown: list[dict[str, Any]] | None = None
        self._look()
        ui.timer(1.0, self._look, immediate=False)

    def _look(self) -> None:
        cards = self._app.router.cards()
        if cards == self._shown:
            return
        self._shown = cards
        self._box.clear()
        with self._box:
            if not cards:
                empty("chip", "No models", "Add one under [models.NAME] in athanor.toml.")
            for card in cards:
                _card(card, is_default=card["name"] == self._app.models.default)


def _card(card: dict[str, Any], *, is_default: bool) -> None:
    label, kind = STATES[EngineStatus(card["status"])]
    with Tag("section", "a-card a-model", data_model=card["name"]):
        with Tag("div", "a-line"):
            name, _, weights = str(card["name"]).partition("@")
            Tag("h2", "a-grow a-break", text=name)
            badge(label, kind)
        with Tag("dl"):
            _fact(
                "Does", KINDS.get(card["kind"], card["kind"]) + (" (answers when none is named)" if is_default else "")
            )
            _fact("Runs on", card["backend"])
            if card["context"]:
                _fact("Context", f"{card['context']:,} tokens".replace(",", " "))
            if card["grounded"]:
                _fact("From documents", GROUNDED[AnswerMode(card["grounded"])])
            _fact("Licence", card["licence"])
            _fact("Weights", weights)
        if card["detail"]:
            bad = card["status"] in {EngineStatus.FAILED, EngineStatus.BACKING_OFF}
            Tag("p", "a-problem" if bad else "a-small a-muted", text=card["detail"])
        if card["note"]:
            Tag("p", "a-small a-muted", text=card["note"])


def _fact(name: str, value: str) -> None:
    if value:
        Tag("dt", text=name)
        Tag("dd", text=value)
