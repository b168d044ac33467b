"""A native model in a supervised process of its own.

A crash, an out-of-memory kill or a hang ends that process alone: requests in flight get `EngineCrashedError`, the
process is started again after a pause that doubles, and requests that come meanwhile are told when.

    STOPPED ─start→ LOADING ─ready→ READY ─crash→ BACKING_OFF ─pause→ LOADING
                       └─the file cannot be loaded→ FAILED (stays; `start` tries once more)
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from athanor.engines.child import Child
from athanor.engines.frames import Frame, FrameError
from athanor.engines.spec import WorkerSpec
from athanor.errors import (
    AthanorError,
    EngineCrashedError,
    EngineError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
    MissingExtraError,
    ModelError,
    UnsupportedError,
)
from athanor.types import EngineState, EngineStatus

_ERRORS: dict[str, type[AthanorError]] = {
    kind.code: kind
    for kind in (EngineError, EngineTimeoutError, EngineUnavailableError, InputError, ModelError, UnsupportedError)
}

# A file that kills its reader this often in a row, without ever having been served, is not tried again.
_LOAD_CRASHES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a life ended."""

    epitaph: str
    """For people: goes after "its process"."""
    served: float | None = None
    """Seconds it was READY; None if never."""
    failure: AthanorError | None = None
    """The backend's own word that it cannot load the model."""


class _Channel:
    """Frames of one request, in order, then perhaps an error."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Frame | AthanorError] = asyncio.Queue()

    def put(self, item: Frame | AthanorError) -> None:
        self._queue.put_nowait(item)

    async def get(self) -> Frame:
        item = await self._queue.get()
        if isinstance(item, AthanorError):
            raise item
        return item


class ModelProcess:
    """Keeps one worker process alive and multiplexes requests over it. Belongs to one event loop."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec
        self.facts: Mapping[str, Any] = {}
        """What the backend said about the loaded model."""
        self._state = EngineState(status=EngineStatus.STOPPED, backend=spec.backend)
        self._failure: AthanorError | None = None
        self._settled = asyncio.Event()  # set whenever the state is not LOADING
        self._closing = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._child: Child | None = None
        self._channels: dict[int, _Channel] = {}
        self._ids = itertools.count(1)
        self._ready_at: float | None = None
        self._heard_at = 0.0
        self._retry_at = 0.0

    def state(self) -> EngineState:
        return self._state

    def resident_bytes(self) -> int | None:
        """Resident memory of the process now; None when there is none, or where /proc is missing."""
        try:
            status = Path(f"/proc/{self._state.pid}/status").read_text()
        except OSError:
            return None
        return next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS:")), None)

    async def start(self) -> None:
        """Begin loading and return. On a FAILED process: try once more. Otherwise without effect."""
        if self._closing.is_set():
            raise EngineUnavailableError(f"The model {self.spec.name} is shutting down.")
        if self._supervisor is None or self._supervisor.done():
            self._set(EngineStatus.LOADING)
            self._supervisor = asyncio.create_task(self._supervise(), name=f"model {self.spec.name}")

    async def ready(self) -> None:
        """Wait for READY, starting the process if it was stopped.

        Raises:
            ModelError, MissingExtraError: the model cannot be loaded.
            EngineUnavailableError: it backs off after a crash, or shuts down.
        """
        if self._state.status is EngineStatus.STOPPED:
            await self.start()
        await self._settled.wait()
        match self._state.status:
            case EngineStatus.READY:
                return
            case EngineStatus.FAILED if self._failure is not None:
                raise self._failure.with_traceback(None)
            case EngineStatus.BACKING_OFF:
                wait = max(0.0, self._retry_at - time.monotonic())
                raise EngineUnavailableError(
                    f"The model {self.spec.name} crashed and starts again in {wait:.1f} s.",
                    hint="Ask again then. `athanor doctor` shows why it crashed.",
                )
            case _:
                raise EngineUnavailableError(f"The model {self.spec.name} is shutting down.")

    async def call(self, op: str, header: Mapping[str, Any], blob: bytes = b"") -> AsyncGenerator[Frame, None]:
        """Send a request; give its `event` frames and, last, its `done` frame. Closing it early cancels the work.

        Raises:
            EngineCrashedError: the process died under the request.
            AthanorError: the backend's own refusal, or as `ready`.
        """
        await self.ready()
        child = self._child
        assert child is not None
        request_id = next(self._ids)
        channel = self._channels[request_id] = _Channel()
        over = False
        try:
            await child.send({**header, "op": op, "id": request_id}, blob)
            while not over:
                frame = await channel.get()
                over = frame.header["op"] == "done"
                yield frame
        except AthanorError:
            over = True
            raise
        finally:
            self._channels.pop(request_id, None)
            if not over:
                child.post({"op": "cancel", "id": request_id})

    async def aclose(self) -> None:
        """End the process; requests in flight get `EngineUnavailableError`. May be called twice."""
        self._closing.set()
        self._fail_all(EngineUnavailableError, f"The model {self.spec.name} is shutting down.")
        if self._supervisor is not None:
            if self._child is not None:
                await self._child.stop(self.spec.stop_grace)
            await asyncio.gather(self._supervisor, return_exceptions=True)
        self._set(EngineStatus.STOPPED)

    # --- supervision

    def _set(self, status: EngineStatus, detail: str = "", restarts: int | None = None) -> None:
        restarts = self._state.restarts if restarts is None else restarts
        pid = self._child.pid if self._child else None
        self._state = EngineState(status=status, backend=self.spec.backend, detail=detail, restarts=restarts, pid=pid)
        if status is EngineStatus.LOADING:
            self._settled.clear()
        else:
            self._settled.set()

    async def _supervise(self) -> None:
        crashes = 0
        ever_served = False
        while not self._closing.is_set():
            self._failure = None
            self._set(EngineStatus.LOADING)
            end = await self._live()
            if self._closing.is_set():
                break
            ever_served = ever_served or end.served is not None
            crashes = 1 if (end.served or 0.0) >= self.spec.healthy_after else crashes + 1
            failure = end.failure
            if failure is None and not ever_served and crashes >= _LOAD_CRASHES:
                failure = ModelError(
                    f"The model {self.spec.name} cannot be loaded: its process {end.epitaph}, {crashes} times.",
                    hint="The file may be damaged, or too large for this machine's memory.",
                )
            if failure is not None:
                self._failure = failure
                self._set(EngineStatus.FAILED, str(failure))
                return
            await self._back_off(crashes, end.epitaph)
        self._set(EngineStatus.STOPPED)

    async def _back_off(self, crashes: int, epitaph: str) -> None:
        # Jitter: several models that one event killed should not all load at the same moment.
        pause = min(self.spec.backoff * 2 ** (crashes - 1), self.spec.backoff_limit) * random.uniform(0.75, 1.25)  # noqa: S311
        self._retry_at = time.monotonic() + pause
        when = time.strftime("%H:%M:%S", time.localtime(time.time() + pause))
        detail = f"The model's process {epitaph}. It starts again at {when}."
        self._set(EngineStatus.BACKING_OFF, detail, self._state.restarts + 1)
        self._fail_all(
            EngineCrashedError,
            f"The model {self.spec.name} stopped in the middle of this answer: its process {epitaph}.",
            f"It starts again in {pause:.1f} s; ask again then. If this recurs, the machine may be short of memory: "
            "choose a smaller model.",
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._closing.wait()

    async def _live(self) -> _End:
        """One life, from spawn to reaped."""
        self._ready_at = None
        try:
            child = self._child = await Child.spawn(self.spec.environment)
        except OSError as error:
            return _End(epitaph=f"could not be started: {error.strerror}")
        self._set(EngineStatus.LOADING)
        if self._closing.is_set():  # closed while it was being spawned: nobody else knows of this child
            await child.stop(self.spec.stop_grace)
            return _End(epitaph="was not needed any more")
        self._heard_at = time.monotonic()
        watch = asyncio.create_task(self._watch(child), name=f"watch of {child.pid}")
        try:
            load = {"op": "load", "target": self.spec.target, "settings": self.spec.settings}
            await child.send({**load, "memory_mb": self.spec.memory_mb})
            async for frame in child.frames():
                if not self._receive(frame, child):
                    break
        except (FrameError, KeyError, TypeError, ValueError) as error:
            child.kill(f"broke the protocol ({type(error).__name__}: {error})")
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await child.stop(self.spec.stop_grace)
            self._child = None
        served = None if self._ready_at is None else time.monotonic() - self._ready_at
        failure = self._failure
        if isinstance(failure, ModelError) and (said := child.complaint()) and said not in failure.message:
            failure = ModelError(f"{failure.message} ({said})", hint=failure.hint)
        return _End(epitaph=child.epitaph(), served=served, failure=failure)

    def _receive(self, frame: Frame, child: Child) -> bool:
        """Handle a frame; False ends this life."""
        header = frame.header
        self._heard_at = time.monotonic()
        match header.get("op"):
            case "event" | "done":
                if channel := self._channels.get(header["id"]):
                    channel.put(frame)
            case "error":
                if channel := self._channels.get(header["id"]):
                    kind = _ERRORS.get(header.get("code", ""), EngineError)
                    channel.put(kind(header["message"], hint=header.get("hint")))
            case "pong":
                if header["stalled"] > self.spec.hang_timeout:
                    child.kill(f"made no progress for {header['stalled']:.0f} s and was killed")
            case "ready":
                self.facts = header["facts"]
                self._ready_at = time.monotonic()
                self._set(EngineStatus.READY)
            case "failed":
                self._failure = self._load_failure(header)
                return False
            case "fatal":
                child.killed_for = f"ended with an error: {header['message']}"
            case op:
                raise FrameError(f"unknown frame {op!r}")
        return True

    def _load_failure(self, header: Mapping[str, Any]) -> AthanorError:
        message = header["message"]
        if extra := header.get("extra"):
            return MissingExtraError(message.removesuffix(" is not installed."), extra=extra)
        return ModelError(
            f"The model {self.spec.name} cannot be loaded by {self.spec.backend}: {message}",
            hint=header.get("hint") or "Check the file, or choose another `backend` for it.",
        )

    def _fail_all(self, kind: type[AthanorError], message: str, hint: str | None = None) -> None:
        for channel in self._channels.values():
            channel.put(kind(message, hint=hint))

    async def _watch(self, child: Child) -> None:
        """Kill a child that does not load in time, or does not answer while it has work."""
        spec = self.spec
        born = time.monotonic()
        while True:
            await asyncio.sleep(spec.ping_interval)
            now = time.monotonic()
            if self._ready_at is None:
                if now - born > spec.load_timeout:
                    child.kill(f"had not loaded the model after {spec.load_timeout:.0f} s and was killed")
            elif self._channels:
                if now - self._heard_at > spec.hang_timeout:
                    child.kill(f"did not answer for {spec.hang_timeout:.0f} s and was killed")
                child.post({"op": "ping"})
            else:
                self._heard_at = now
