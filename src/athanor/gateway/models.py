"""The chat models of the settings: found, proven and started when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from athanor.config import ModelSettings, Settings
from athanor.engines import Engine, build_engine
from athanor.engines.wrappers.metered import MeteredEngine
from athanor.errors import AthanorError, NotFoundError
from athanor.guards.private import Privacy, PrivateEngine
from athanor.models import resolve_chat
from athanor.types import EngineState, EngineStatus, Profile


class Model:
    """One name and the engine behind it.

    Finding a model may take long (a hub's file is loaded, a hash computed), so it happens at the first use, in a
    thread. What went wrong shows in its state, and the next use tries again.
    """

    def __init__(
        self,
        name: str,
        settings: ModelSettings | None,
        home: Path,
        wait: Literal["passive", "active"],
        *,
        strict: bool = False,
    ) -> None:
        self.name = name
        self._resolve = partial(resolve_chat, name, settings, home, strict=strict)
        self._settings = settings
        self._home = home
        self._wait = wait
        self._engine: Engine | None = None
        self._error: AthanorError | None = None
        self._lock = anyio.Lock()
        self.privacy: Privacy | None = None

    async def engine(self) -> Engine:
        """The engine, made if this is the first call.

        Raises:
            AthanorError: the model cannot be found, or its weights are not the pinned ones.
        """
        if self._engine is not None:
            return self._engine
        async with self._lock:
            if self._engine is None:
                try:
                    resolved = await to_thread.run_sync(self._resolve)
                    engine = build_engine(resolved, self._settings, home=self._home, wait=self._wait)
                    self._engine = metered = MeteredEngine(engine)
                    if self.privacy is not None and self._settings is not None and leaves(self._settings):
                        self._engine = PrivateEngine(metered, self.privacy)
                except AthanorError as error:
                    self._error = error
                    raise
                self._error = None
            return self._engine

    def card(self) -> dict[str, Any]:
        """What people see of it."""
        state = self.state()
        profile = self._engine.profile if self._engine is not None else None
        return {
            "name": self.name,
            "kind": "chat",
            "status": state.status,
            "backend": state.backend,
            "detail": state.detail,
            "pid": state.pid,
            "restarts": state.restarts,
            "licence": profile.licence if profile else "",
            "context": profile.context if profile else None,
            "grounded": profile.grounded if profile else None,
            "note": profile.note if profile else "",
            "price": _price(profile) if profile else None,
            "remote": profile.remote if profile else False,
            "quality": profile.quality if profile else None,
        }

    def state(self) -> EngineState:
        if self._engine is not None:
            return self._engine.state()
        backend = self._settings.backend if self._settings else "auto"
        if self._error is not None:
            return EngineState(status=EngineStatus.FAILED, backend=backend, detail=str(self._error))
        return EngineState(status=EngineStatus.STOPPED, backend=backend)

    async def aclose(self) -> None:
        if self._engine is not None:
            await self._engine.aclose()


def leaves(settings: ModelSettings) -> bool:
    """Does a model's requests leave this machine, for somebody who need not see everything."""
    if settings.trusted is not None:
        return settings.source.startswith(("http://", "https://")) and not settings.trusted
    host = urlsplit(settings.source).hostname if settings.source.startswith(("http://", "https://")) else None
    if host is None or host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def _price(profile: Profile) -> dict[str, float | None]:
    return asdict(profile.price)


class Models:
    """All chat models by name: those of the settings, and the default from the catalogue."""

    def __init__(self, settings: Settings) -> None:
        chat = {name: entry for name, entry in settings.models.items() if not entry.embeddings}
        default: Mapping[str, ModelSettings | None] = {} if settings.chat in settings.routes else {settings.chat: None}
        named: Mapping[str, ModelSettings | None] = {**default, **chat}
        self.default = settings.chat
        self._models = {
            name: Model(name, entry, settings.home, settings.processor_wait, strict=settings.weights.strict)
            for name, entry in sorted(named.items())
        }

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def names(self) -> list[str]:
        return list(self._models)

    def get(self, name: str) -> Model:
        """The model called `name`.

        Raises:
            NotFoundError: there is none.
        """
        if name not in self._models:
            raise NotFoundError(f"There is no model named {name!r}.", where="model", hint="GET /v1/models lists them.")
        return self._models[name]

    def cards(self) -> list[dict[str, Any]]:
        return [model.card() for model in self._models.values()]

    def keep(self, privacy: Privacy) -> None:
        """Let remote models see no more than `privacy` allows. For engines that are made from now on."""
        for model in self._models.values():
            model.privacy = privacy

    async def start_default(self) -> None:
        """Begin loading the default model. What goes wrong is in its state."""
        with suppress(AthanorError):
            if self.default in self:
                await (await self.get(self.default).engine()).start()

    async def aclose(self) -> None:
        for model in self._models.values():
            await model.aclose()
