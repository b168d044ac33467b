"""Base of the engines that run a local model in a process of its own: requests to frames, frames to events."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from athanor.engines.needs import check_needs
from athanor.engines.process import ModelProcess
from athanor.engines.schema import check_schema
from athanor.engines.spec import WorkerSpec
from athanor.engines.text import neutralise
from athanor.errors import InputError
from athanor.models import LOCAL_LACKS, ResolvedModel
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
    encoder: Literal["auto", "openvino", "onnxruntime"] = "auto"
    """What runs an embedder; `auto` takes OpenVINO where it is installed and its vectors agree."""
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
    """Refuse what this model, or any model, cannot answer.

    Raises:
        InputError: no content, or sampling values out of range.
        UnsupportedError: the model lacks what the request needs, or a local model cannot enforce its JSON schema.
    """
    if not any(m.content.strip() or m.parts or m.calls or m.role is Role.TOOL for m in request.messages):
        raise InputError("The request holds no text.", where="messages")
    sampling = request.sampling
    if sampling.max_tokens is not None and sampling.max_tokens < 1:
        raise InputError("At least one token must be allowed.", where="max_tokens")
    if sampling.temperature is not None and not 0 <= sampling.temperature <= 2:
        raise InputError("The temperature lies between 0 and 2.", where="temperature")
    if sampling.top_p is not None and not 0 < sampling.top_p <= 1:
        raise InputError("top_p lies above 0 and not above 1.", where="top_p")
    if sampling.stop and (len(sampling.stop) > 16 or any(not s or len(s) > 200 for s in sampling.stop)):
        raise InputError("At most 16 stop strings of 1 to 200 characters.", where="stop")
    if request.tool_choice.mode in {"required", "tool"} and not request.tools:
        raise InputError("A tool must be called, but none is given.", where="tool_choice")
    check_needs(request, profile)
    # A vendor compiles more than our backends do, and says itself what it cannot.
    if request.json_schema is not None and not profile.remote:
        check_schema(request.json_schema)


def run_header(request: Request, profile: Profile) -> dict[str, Any]:
    """The frame that asks a chat backend, with every default filled in."""
    sampling = request.sampling
    seed = sampling.seed if sampling.seed is not None else secrets.randbits(32)
    temperature = profile.temperature if sampling.temperature is None else sampling.temperature
    return {
        "messages": [{"role": m.role.value, "content": neutralise(m.content)} for m in request.messages],
        "max_tokens": sampling.max_tokens or profile.max_tokens,
        "temperature": temperature or 0.0,
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
        # Whoever made the profile: these backends take text and give text.
        self._profile = replace(profile, lacks=profile.lacks | LOCAL_LACKS)
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
