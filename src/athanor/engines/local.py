"""Base of the engines that run a local model in a process of its own: requests to frames, frames to events."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from athanor.engines.process import ModelProcess
from athanor.engines.schema import check_schema
from athanor.engines.spec import WorkerSpec
from athanor.engines.text import neutralise
from athanor.errors import InputError, UnsupportedError
from athanor.models import ResolvedModel
from athanor.types import (
    Context,
    EngineState,
    Event,
    Finished,
    FinishReason,
    Profile,
    Request,
    Role,
    TextDelta,
    Usage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """How a local model may use the machine."""

    threads: int | None = None
    """Processor threads; None takes all that this process may use."""
    memory_mb: int | None = None
    """Limit of private memory, in MiB, reserved pages included (openvino reserves three times what it uses); beyond it
    the model's process fails, not the machine. Linux only."""
    wait: Literal["passive", "active"] = "passive"
    """How OpenMP threads wait. `active` spins: faster for one stream on a quiet machine, far slower on a busy one."""
    parallel: int = 16
    """Requests in the batch at once; more wait."""
    hang_timeout: float = 120.0
    """Seconds without progress after which the process is killed and started again."""
    load_timeout: float = 600.0


def omp_environment(settings: LocalSettings) -> dict[str, str]:
    """Variables for OpenMP runtimes in the child."""
    environment = {"OMP_WAIT_POLICY": settings.wait.upper()}
    if settings.threads:
        environment["OMP_NUM_THREADS"] = str(settings.threads)
    return environment


def check_request(request: Request, profile: Profile) -> None:
    """Refuse what no model can answer.

    Raises:
        InputError: no text, or sampling values out of range.
        UnsupportedError: a JSON schema or a role that this model cannot serve.
    """
    if not any(message.content.strip() for message in request.messages):
        raise InputError("The request holds no text.", where="messages")
    if any(message.role is Role.TOOL for message in request.messages):
        raise UnsupportedError("This model cannot take tool results.", where="messages")
    sampling = request.sampling
    if sampling.max_tokens is not None and sampling.max_tokens < 1:
        raise InputError("At least one token must be allowed.", where="max_tokens")
    if sampling.temperature is not None and not 0 <= sampling.temperature <= 2:
        raise InputError("The temperature lies between 0 and 2.", where="temperature")
    if sampling.top_p is not None and not 0 < sampling.top_p <= 1:
        raise InputError("top_p lies above 0 and not above 1.", where="top_p")
    if len(sampling.stop) > 16 or any(not s or len(s) > 200 for s in sampling.stop):
        raise InputError("At most 16 stop strings of 1 to 200 characters.", where="stop")
    if request.json_schema is not None:
        if not profile.json_schema:
            raise UnsupportedError(f"The model {profile.name} cannot be held to a JSON schema.", where="json_schema")
        check_schema(request.json_schema)


def run_header(request: Request, profile: Profile) -> dict[str, Any]:
    """The frame that asks a chat backend, with every default filled in."""
    sampling = request.sampling
    seed = sampling.seed if sampling.seed is not None else secrets.randbits(32)
    return {
        "messages": [{"role": m.role.value, "content": neutralise(m.content)} for m in request.messages],
        "max_tokens": sampling.max_tokens or profile.max_tokens,
        "temperature": profile.temperature if sampling.temperature is None else sampling.temperature,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "seed": seed & 0xFFFFFFFF,
        "stop": list(sampling.stop),
        "json_schema": None if request.json_schema is None else dict(request.json_schema),
    }


class LocalEngine:
    """An `Engine` over a `ModelProcess`. A subclass names its backend."""

    backend: ClassVar[str]
    target: ClassVar[str]
    """`module:Class` of the child's side."""

    def __init__(self, profile: Profile, model: ResolvedModel, settings: LocalSettings | None = None) -> None:
        settings = settings or LocalSettings()
        self._profile = profile
        self.process = ModelProcess(
            WorkerSpec(
                name=profile.name,
                backend=self.backend,
                target=self.target,
                settings=self.worker_settings(profile, model, settings),
                environment=self.worker_environment(settings),
                memory_mb=settings.memory_mb,
                hang_timeout=settings.hang_timeout,
                load_timeout=settings.load_timeout,
            )
        )

    @property
    def profile(self) -> Profile:
        return self._profile

    def worker_settings(self, profile: Profile, model: ResolvedModel, settings: LocalSettings) -> Mapping[str, Any]:
        """What the backend's `load` is given."""
        return {
            "path": str(model.path),
            "context": profile.context,
            "threads": settings.threads,
            "parallel": settings.parallel,
            "wait": settings.wait,
        }

    def worker_environment(self, settings: LocalSettings) -> Mapping[str, str]:
        return omp_environment(settings)

    def state(self) -> EngineState:
        return self.process.state()

    async def start(self) -> None:
        await self.process.start()

    async def aclose(self) -> None:
        await self.process.aclose()

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        check_request(request, self._profile)
        async with aclosing(self.process.call("run", run_header(request, self._profile))) as frames:
            async for frame in frames:
                header = frame.header
                usage = Usage(**header["usage"])
                if header["op"] == "event":
                    yield TextDelta(text=header["text"], usage=usage)
                else:
                    yield Finished(reason=FinishReason(header["reason"]), usage=usage)
