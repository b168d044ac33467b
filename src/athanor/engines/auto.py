"""`backend = "auto"`: the fastest backend that loads the file.

Backends are tried in the order of their measured speed (design/engines.md). One that cannot load a file is remembered
under the file's hash and the backend's version, so that the next start goes straight to the one that can.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from athanor.engines.local import LocalEngine, LocalSettings
from athanor.errors import AthanorError, EngineUnavailableError, MissingExtraError, ModelError
from athanor.models import ResolvedModel, read_memory, write_memory
from athanor.plugins import load
from athanor.types import Context, EngineState, EngineStatus, Event, Profile, Request

ORDER = ("openvino", "llamacpp")
_DISTRIBUTIONS = {"openvino": "openvino-genai", "llamacpp": "xllamacpp"}


class AutoEngine:
    """An `Engine` that finds its backend after `start`, in the background.

    Args:
        order: backends to try, best first.
        memory: JSON file in the state folder for what was learnt; None learns nothing.
    """

    def __init__(
        self,
        model: ResolvedModel,
        settings: LocalSettings | None = None,
        *,
        order: Sequence[str] = ORDER,
        memory: Path | None = None,
    ) -> None:
        self._model = model
        self._settings = settings or LocalSettings()
        self._order = tuple(order)
        self._memory = _Memory(memory)
        self._engine: LocalEngine | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: AthanorError | None = None
        self._reasons: dict[str, str] = {}
        self._closed = False

    @property
    def profile(self) -> Profile:
        return self._model.profile

    def state(self) -> EngineState:
        """The chosen backend's state; `detail` also keeps why faster ones were passed over."""
        reasons = " ".join(f"{name}: {reason}" for name, reason in self._reasons.items())
        if self._closed or self._task is None:
            return EngineState(status=EngineStatus.STOPPED, backend="auto")
        if self._failure is not None:
            return EngineState(status=EngineStatus.FAILED, backend="auto", detail=str(self._failure))
        if self._engine is None:
            return EngineState(status=EngineStatus.LOADING, backend="auto", detail=reasons)
        state = self._engine.state()
        if state.status in {EngineStatus.BACKING_OFF, EngineStatus.FAILED} or not reasons:
            return state
        return replace(state, detail=f"{state.detail} Not used: {reasons}".strip())

    def resident_bytes(self) -> int | None:
        """Resident memory of the model's process; None when there is none."""
        return self._engine.process.resident_bytes() if self._engine else None

    async def start(self) -> None:
        """Begin loading and return. After a failure: try once more."""
        if self._closed:
            raise EngineUnavailableError(f"The model {self.profile.name} is shutting down.")
        if self._task is None or (self._task.done() and self._failure is not None):
            self._failure = None
            self._task = asyncio.create_task(self._choose(), name=f"choice of a backend for {self.profile.name}")

    async def ready(self) -> None:
        """Wait until a backend serves. Raises as `ModelProcess.ready`."""
        if self._task is None:
            await self.start()
        assert self._task is not None
        # Not awaited itself: neither may a caller that gives up end the load, nor its end cancel the callers.
        await asyncio.wait([self._task])
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._engine is None:
            raise EngineUnavailableError(f"The model {self.profile.name} is shutting down.")

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        await self.ready()
        assert self._engine is not None
        async with aclosing(self._engine.run(request, ctx)) as events:
            async for event in events:
                yield event

    async def aclose(self) -> None:
        self._closed = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._engine is not None:
            await self._engine.aclose()

    async def _choose(self) -> None:
        """Every failure ends in `_failure`, not in the task."""
        try:
            self._engine = await self._first_that_loads(self._model)
        except AthanorError as error:
            self._failure = error

    async def _first_that_loads(self, model: ResolvedModel) -> LocalEngine:
        known = self._memory.failures(model.sha256)
        self._reasons = {name: known[name] for name in self._order if name in known}
        # Should all of them be remembered as failing, they deserve another chance.
        candidates = [name for name in self._order if name not in known] or list(self._order)
        errors: list[AthanorError] = []
        for name in candidates:
            engine: LocalEngine | None = None
            try:
                engine = load("engines", name)(model.profile, model, self._settings)
                await engine.process.ready()
            except AthanorError as error:
                errors.append(error)
                self._reasons[name] = error.message
                # A missing package is no property of the file, and may be there tomorrow.
                if not isinstance(error, MissingExtraError):
                    self._memory.add(model.sha256, name, error.message)
                if engine is not None:
                    await engine.aclose()
            except asyncio.CancelledError:
                if engine is not None:
                    await engine.aclose()
                raise
            else:
                self._reasons.pop(name, None)
                return engine
        if len(errors) == 1:
            raise errors[0]
        reasons = " ".join(f"{name}: {reason}" for name, reason in self._reasons.items())
        hint = next((error.hint for error in errors if isinstance(error, MissingExtraError)), errors[-1].hint)
        raise ModelError(f"No backend can run the model {self.profile.name}. {reasons}", hint=hint)


class _Memory:
    """Which backend failed on which file: hash → backend → its version and the reason."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def failures(self, sha256: str | None) -> dict[str, str]:
        """Backends that failed on this file in the version that is installed now."""
        entries = self._read().get(sha256 or "", {})
        return {
            name: str(entry["reason"])
            for name, entry in entries.items()
            if isinstance(entry, Mapping) and "reason" in entry and entry.get("version") == _version(name)
        }

    def add(self, sha256: str | None, backend: str, reason: str) -> None:
        if self._path is None or sha256 is None:
            return
        known = self._read()
        known.setdefault(sha256, {})[backend] = {"version": _version(backend), "reason": reason}
        write_memory(self._path, known)

    def _read(self) -> dict[str, Any]:
        return {k: v for k, v in read_memory(self._path).items() if isinstance(v, dict)}


def _version(backend: str) -> str:
    try:
        return version(_DISTRIBUTIONS.get(backend, backend))
    except PackageNotFoundError:
        return ""
