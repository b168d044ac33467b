"""From the name in a request to the engine that answers it: a model, a route, or a knowledge base."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from anyio import to_thread

from athanor.config import Settings
from athanor.engines import Embedder, Engine, Reranker, build_embedder
from athanor.errors import ConfigError, NotFoundError, PermissionDeniedError
from athanor.gateway.limits import Limiter, Within
from athanor.gateway.models import Models
from athanor.gateway.routes import Routes
from athanor.governance import Readers, opens
from athanor.observe import Metrics
from athanor.rag import AnswerSettings, Knowledge, KnowledgeEngine
from athanor.store import Store
from athanor.types import Context, EngineState, EngineStatus, KnowledgeBase, Reader, View


@dataclass(frozen=True, slots=True)
class Target:
    """What a name stands for, for one caller."""

    engine: Engine
    scope: str | None
    """Who may share a cached answer with this caller; `None` where answers are not cached."""
    base: str | None = None
    """Name of the knowledge base that it is."""


class Router:
    """Resolves names. A model hides a route, and a route a knowledge base, of the same name."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        models: Models,
        knowledge: Knowledge,
        embedder: Embedder,
        reranker: Reranker | None,
        *,
        metrics: Metrics,
        limits: Limiter,
    ) -> None:
        self._settings = settings
        self._store = store
        self._models = models
        self._knowledge = knowledge
        self._embedder = embedder
        self._reranker = reranker
        self._limits = limits
        self._readers = Readers(store)
        self._answers = AnswerSettings(
            mode=settings.knowledge.mode,
            threshold=settings.knowledge.threshold,
            max_sentences=settings.knowledge.max_sentences,
            unsupported=settings.knowledge.unsupported,
            support=settings.knowledge.support,
            entailment=settings.knowledge.entailment,
        )
        for name, route in settings.routes.items():
            for model in (*route.use, *route.fall_back_to, *(task.model for task in route.tasks)):
                if model not in models:
                    raise ConfigError(f"The route {name!r} uses {model!r}, which is no model.", where=f"routes.{name}")
        total = max([600.0, *(entry.timeouts.total_s for entry in settings.models.values())])
        self.routes = Routes(
            settings.routes, self._model, home=settings.home, embedder=embedder, metrics=metrics, total_s=total
        )
        self._embedders = {
            name: build_embedder(name, entry) for name, entry in settings.models.items() if entry.embeddings
        }

    async def resolve(self, name: str, ctx: Context) -> Target:
        """What `name` stands for, if the caller's key opens it.

        Raises:
            NotFoundError: nothing has this name.
            PermissionDeniedError: the key is not for it.
        """
        if name in self._models or name in self.routes:
            if not opens(ctx.key, "models", name):
                raise PermissionDeniedError(f"This key is not for the model {name!r}.", where="model")
            if name in self._models:
                ctx.span.set(target=name)
            return Target(await self.engine(name), self._scope(name, ctx))
        base, reader, view = await to_thread.run_sync(self._look, name, ctx)
        if base is None or not opens(ctx.key, "knowledge", base.name):
            # One answer for both: whether a base exists is not told to those who may not read it.
            raise NotFoundError(
                f"There is no model or knowledge base named {name!r}.",
                where="model",
                hint="'athanor kb list' and 'athanor models list' show what there is.",
            )
        # What is searched is what the scope is made of: no answer is kept for those who do not see all it rests on.
        engine = await self._answering(base, reader, view)
        ctx.span.set(target=self._models.default)
        return Target(engine, self._scope(name, ctx, view=view, version=base.version), base.name)

    async def measured(self, base: KnowledgeBase, ctx: Context) -> Target:
        """`base` by the settings that it is given with, whichever are in use; its answers are not cached.

        Raises:
            NotFoundError: the key is not for it.
        """
        if not opens(ctx.key, "knowledge", base.name):
            raise NotFoundError(f"There is no knowledge base {base.name!r}.", where="model")
        reader = await to_thread.run_sync(self._readers.of, ctx.principal)
        return Target(await self._answering(base, reader, None), None, base.name)

    async def _answering(self, base: KnowledgeBase, reader: Reader, view: View | None) -> KnowledgeEngine:
        writer = Within(await self.engine(self._models.default), self._limits)
        return KnowledgeEngine(
            base, self._knowledge, writer, self._embedder, self._reranker, self._answers, reader=reader, view=view
        )

    def _look(self, name: str, ctx: Context) -> tuple[KnowledgeBase | None, Reader, View | None]:
        """The base called `name`, who the caller is to it, and what they see of it: all of one moment."""
        with self._store.read() as conn:
            reader = self._readers.of(ctx.principal, conn=conn)
            base = self._store.knowledge.find(name, conn=conn)
            view = None if base is None else self._store.knowledge.view(base.id, reader, conn=conn)
        if base is not None and opens(ctx.key, "knowledge", base.name):
            self._knowledge.used(base.id)  # here, so that an answer out of the cache counts as well
        return base, reader, view

    async def engine(self, name: str) -> Engine:
        """The engine of a model or a route.

        Raises:
            NotFoundError: nothing has this name.
        """
        if name in self._models:
            return await self._model(name)
        return await self.routes.get(name)

    async def _model(self, name: str) -> Engine:
        return await self._models.get(name).engine()

    def _scope(self, name: str, ctx: Context, *, view: View | None = None, version: int = 0) -> str | None:
        route = self._settings.routes.get(name)
        cache = self._settings.cache
        if ((route.cache if route else None) or cache.mode) == "off":
            return None
        team = ctx.principal.team
        mine = ctx.key.id if ctx.key else ctx.principal.id
        who = {"key": mine, "team": team.id if team else mine, "all": ""}[cache.share]
        if view is None:
            return who
        # Readers share an answer only where they see the same of the base, and it is as it was: nothing that one sees
        # can reach the other. Other settings of the base find other passages.
        rights = ctx.key.scopes.knowledge if ctx.key else None
        classes = None if view.classes is None else sorted(view.classes)
        digest = hashlib.sha256(orjson.dumps([rights, view.base, view.revision, classes, version])).hexdigest()
        return f"{who}:{digest}"

    def embedder(self, name: str, ctx: Context | None = None) -> Embedder:
        """The embedder called `name`; `default` will do.

        Raises:
            NotFoundError: another one.
            PermissionDeniedError: the key is not for it.
        """
        if ctx is not None and not opens(ctx.key, "models", name):
            raise PermissionDeniedError(f"This key is not for the model {name!r}.", where="model")
        if name in self._embedders:
            return self._embedders[name]
        own = self._embedder.profile.id
        if name not in {"default", own, own.partition("@")[0]}:
            known = ", ".join([repr(own), "'default'", *map(repr, self._embedders)])
            raise NotFoundError(f"There is no embedder named {name!r}.", where="model", hint=f"Known: {known}.")
        return self._embedder

    def reranker(self, name: str, ctx: Context) -> Reranker:
        """The reranker called `name`; `default` will do.

        Raises:
            NotFoundError: another one, or there is none.
            PermissionDeniedError: the key is not for it.
        """
        if not opens(ctx.key, "models", name):
            raise PermissionDeniedError(f"This key is not for the model {name!r}.", where="model")
        if self._reranker is None:
            raise NotFoundError("There is no reranker.", where="model", hint="Set knowledge.reranker.")
        own = self._reranker.profile.id
        if name not in {"default", own, own.partition("@")[0]}:
            raise NotFoundError(f"There is no reranker named {name!r}.", where="model", hint=f"Use {own!r}.")
        return self._reranker

    def names(self) -> list[tuple[str, str]]:
        """(name, owner) of everything that answers, knowledge bases aside."""
        names = [(name, "athanor") for name in self._models.names()]
        names += [(name, "route") for name in self._settings.routes if name not in self._models]
        names += [(name, "athanor") for name in self._embedders]
        if self._embedder.state().status is not EngineStatus.FAILED:
            names.append((self._embedder.profile.id.partition("@")[0], "athanor"))
        return names

    def states(self) -> dict[str, EngineState]:
        """States of what the default set-up needs: the chat model, the embedder, the reranker."""
        states = {"embedder": self._embedder.state()}
        if self._models.default in self._models:
            states = {self._models.default: self._models.get(self._models.default).state(), **states}
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
        cards += [_card(name, "embedder", e.state(), e.profile.licence) for name, e in self._embedders.items()]
        if self._reranker is not None:
            second = self._reranker.profile
            cards.append(_card(second.id, "reranker", self._reranker.state(), second.licence))
        return cards

    async def aclose(self) -> None:
        """Close what was opened here."""
        for embedder in self._embedders.values():
            await embedder.aclose()


def _card(name: str, kind: str, state: EngineState, licence: str) -> dict[str, Any]:
    shown = {
        "status": state.status,
        "backend": state.backend,
        "detail": state.detail,
        "pid": state.pid,
        "restarts": state.restarts,
    }
    return {"name": name, "kind": kind, **shown, "licence": licence, "context": None, "grounded": None, "note": ""}
