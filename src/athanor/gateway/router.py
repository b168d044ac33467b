"""From the name in a request to the engine that answers it: a model, or a knowledge base."""

from __future__ import annotations

from typing import Any

from anyio import to_thread

from athanor.engines import Embedder, Engine, Reranker
from athanor.errors import NotFoundError
from athanor.gateway.models import Models
from athanor.rag import AnswerSettings, Knowledge, KnowledgeEngine
from athanor.store import Store
from athanor.types import EngineState, EngineStatus


class Router:
    """Resolves names. A model hides a knowledge base of the same name."""

    def __init__(
        self,
        store: Store,
        models: Models,
        knowledge: Knowledge,
        embedder: Embedder,
        reranker: Reranker | None,
        answers: AnswerSettings,
    ) -> None:
        self._store = store
        self._models = models
        self._knowledge = knowledge
        self._embedder = embedder
        self._reranker = reranker
        self._answers = answers

    async def resolve(self, name: str) -> Engine:
        """The engine behind `name`.

        Raises:
            NotFoundError: neither a model nor a knowledge base has this name.
        """
        if name in self._models:
            return await self._models.get(name).engine()
        base = await to_thread.run_sync(self._store.knowledge.find, name)
        if base is None:
            raise NotFoundError(
                f"There is no model or knowledge base named {name!r}.",
                where="model",
                hint="'athanor kb list' and 'athanor models list' show what there is.",
            )
        writer = await self._models.get(self._models.default).engine()
        return KnowledgeEngine(base, self._knowledge, writer, self._embedder, self._reranker, self._answers)

    def embedder(self, name: str) -> Embedder:
        """The embedder called `name`; `default` will do.

        Raises:
            NotFoundError: another one.
        """
        own = self._embedder.profile.id
        if name not in {"default", own, own.partition("@")[0]}:
            raise NotFoundError(
                f"There is no embedder named {name!r}.", where="model", hint=f"Use {own!r} or 'default'."
            )
        return self._embedder

    def names(self) -> list[tuple[str, str]]:
        """(name, kind) of everything that answers, knowledge bases aside."""
        names = self._models.names()
        if self._embedder.state().status is not EngineStatus.FAILED:
            names.append(self._embedder.profile.id.partition("@")[0])
        return [(name, "athanor") for name in names]

    def states(self) -> dict[str, EngineState]:
        """States of what the default set-up needs: the chat model, the embedder, the reranker."""
        states = {
            self._models.default: self._models.get(self._models.default).state(),
            "embedder": self._embedder.state(),
        }
        return states | ({"reranker": self._reranker.state()} if self._reranker else {})

    def cards(self) -> list[dict[str, Any]]:
        """Every model for people: chat models, the embedder, the reranker."""
        cards = self._models.cards()
        state = self._embedder.state()
        if state.status is EngineStatus.FAILED:
            cards.append(_card("embedder", "embedder", state, ""))
        else:
            profile = self._embedder.profile
            cards.append(_card(profile.id, "embedder", state, profile.licence))
        if self._reranker is not None:
            second = self._reranker.profile
            cards.append(_card(second.id, "reranker", self._reranker.state(), second.licence))
        return cards


def _card(name: str, kind: str, state: EngineState, licence: str) -> dict[str, Any]:
    shown = {
        "status": state.status,
        "backend": state.backend,
        "detail": state.detail,
        "pid": state.pid,
        "restarts": state.restarts,
    }
    return {"name": name, "kind": kind, **shown, "licence": licence, "context": None, "grounded": None, "note": ""}
