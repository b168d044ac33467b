"""What can be asked: knowledge bases and models, how each answers, and whether it is ready to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from athanor.console.words import many
from athanor.gateway import App
from athanor.types import AnswerMode, EngineState, EngineStatus, KnowledgeBase, Reader

LOADING = {EngineStatus.STOPPED, EngineStatus.LOADING}
BROKEN = {EngineStatus.FAILED, EngineStatus.BACKING_OFF}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Something that answers."""

    kind: Literal["base", "model"]
    name: str
    base: KnowledgeBase | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def is_base(self) -> bool:
        return self.kind == "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Can the choice answer now; if not, what a person should know."""

    ready: bool
    loading: str = ""
    problem: str = ""


@dataclass(slots=True)
class Choices:
    """All choices, the one that is made, and the mode that was picked for it."""

    app: App
    all: list[Choice]
    chosen: Choice | None
    mode: AnswerMode | None = None
    """`None` leaves it to the settings and the model's profile."""

    @classmethod
    async def load(cls, app: App, *, reader: Reader, wanted: str | None = None) -> Choices:
        """The choices of this moment; `wanted` is the name or id of a knowledge base."""
        bases = [Choice(kind="base", name=base.name, base=base) for base in await app.knowledge.bases(reader=reader)]
        chats = [card["name"] for card in app.router.cards() if card["kind"] == "chat"]
        every = [*bases, *(Choice(kind="model", name=name) for name in chats)]
        named = [c for c in bases if c.base is not None and wanted in {c.base.name, c.base.id}]
        filled = [c for c in bases if c.base is not None and c.base.documents]
        return cls(app=app, all=every, chosen=next(iter([*named, *filled, *every]), None))

    @property
    def no_documents(self) -> bool:
        """Is there not one document in any base."""
        return not any(choice.base is not None and choice.base.documents for choice in self.all)

    def pick(self, key: str) -> None:
        """Choose by key; an unknown one changes nothing."""
        found = next((choice for choice in self.all if choice.key == key), None)
        if found is not None:
            self.chosen, self.mode = found, None

    def card(self, choice: Choice) -> dict[str, Any]:
        """Facts about the model that answers, or writes, for this choice."""
        name = self.app.models.default if choice.is_base else choice.name
        return next((card for card in self.app.router.cards() if card["name"] == name), {})

    def mode_of(self, choice: Choice) -> AnswerMode | None:
        """How the choice will answer; `None` for a model, and while its model's profile is not known yet."""
        if not choice.is_base:
            return None
        default = self.app.settings.knowledge.mode or self.card(choice).get("grounded")
        return self.mode or (AnswerMode(default) if default else None)

    def readiness(self, choice: Choice) -> Readiness:
        """Look at the models that this choice needs."""
        states = self._needed(choice)
        broken = {name: state for name, state in states.items() if state.status in BROKEN}
        if broken:
            lines = [f"{name}: {state.detail or state.status.value}" for name, state in broken.items()]
            return Readiness(ready=True, problem=" ".join(lines))  # asking tells more, and may start it again
        loading = [name for name, state in states.items() if state.status in LOADING]
        if loading:
            return Readiness(
                ready=False, loading=f"Loading {' and '.join(loading)}. You can ask as soon as this is done."
            )
        return Readiness(ready=True)

    def _needed(self, choice: Choice) -> dict[str, EngineState]:
        default = self.app.models.default
        states = self.app.router.states()
        if not choice.is_base:
            # Another model than the default is loaded when it is first asked.
            return {default: states[default]} if choice.name == default else {}
        others = {name: state for name, state in states.items() if name != default}
        return others if self.mode_of(choice) is AnswerMode.EXTRACTIVE else states


def about(choice: Choice | None) -> str:
    """How much there is to draw on."""
    if choice is None or choice.base is None:
        return ""
    return f"{many(choice.base.documents, 'document')}, {many(choice.base.chunks, 'passage')}"


def promise(choice: Choice, mode: AnswerMode | None, card: dict[str, object]) -> str:
    """What can be expected of an answer."""
    if not choice.is_base:
        return f"{choice.name} answers from memory: nothing is checked."
    if mode is AnswerMode.EXTRACTIVE:
        return "Answers are quotations from your documents."
    if mode is AnswerMode.GENERATIVE:
        return f"{card.get('name', 'The model')} writes; what its sources do not support is left out."
    return ""
