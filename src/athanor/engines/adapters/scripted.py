"""A deterministic engine without a model: answers by rules, or echoes. For tests, demonstrations and dry runs.

`ScriptedEngine` answers in the server's process; `ScriptedProcessEngine` does the same in a process of its own, where
a rule may also crash or hang it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson

from athanor.engines.backend import Emit, Pulse, RequestError, too_long
from athanor.engines.frames import Frame
from athanor.engines.local import LocalEngine, LocalSettings, check_request, run_header
from athanor.engines.schema import smallest_instance
from athanor.engines.text import StopFilter
from athanor.errors import EngineError, EngineUnavailableError, InputError
from athanor.models import ResolvedModel
from athanor.types import (
    AnswerMode,
    Context,
    EngineState,
    EngineStatus,
    Event,
    Finished,
    FinishReason,
    Profile,
    Request,
    TextDelta,
    Usage,
)

_TOKEN = re.compile(r"\s*\S+|\s+")

SCRIPTED_PROFILE = Profile(
    name="scripted",
    context=4096,
    licence="Apache-2.0",
    grounded=AnswerMode.EXTRACTIVE,
    note="Answers by rules; there is no model behind it.",
    json_schema=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to answer when `pattern` is found in the last user message. The first rule that matches wins."""

    pattern: str
    answer: str = ""
    delay: float = 0.0
    """Seconds before each token."""
    then: Literal["finish", "error", "crash", "hang"] = "finish"
    """After the answer: `crash` and `hang` need a process of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Rules, and what to do where none matches: echo the question."""

    rules: tuple[Rule, ...] = ()
    delay: float = 0.0
    """Seconds before each token, where the rule says nothing."""
    load_delay: float = 0.0
    load_error: str = ""
    """Loading fails with this text."""

    def rule_for(self, question: str) -> Rule:
        found = next((rule for rule in self.rules if re.search(rule.pattern, question)), None)
        return found or Rule(pattern="", answer=question, delay=self.delay)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything a request will produce, before any delay."""

    rule: Rule
    prompt_tokens: int
    pieces: tuple[tuple[str, int], ...]
    """Text, and the tokens it took."""
    reason: str


def _plan(script: Script, header: Mapping[str, Any], context: int) -> _Plan:
    """Raises `RequestError` when the prompt is longer than `context` words."""
    prompt = sum(len(_TOKEN.findall(message["content"])) for message in header["messages"])
    if prompt >= context:
        raise too_long(prompt, context)
    questions = [m["content"] for m in header["messages"] if m["role"] == "user"]
    rule = script.rule_for(questions[-1] if questions else "")
    answer = rule.answer
    if header["json_schema"] is not None:
        answer = orjson.dumps(smallest_instance(header["json_schema"])).decode()
    tokens = _TOKEN.findall(answer)
    room = min(header["max_tokens"], context - prompt)
    stop = StopFilter(header["stop"])
    pieces = []
    for token in tokens[:room]:
        pieces.append((stop.feed(token), 1))
        if stop.stopped:
            break
    pieces.append((stop.flush(), 0))
    reason = "length" if len(tokens) > room and not stop.stopped else "stop"
    return _Plan(rule, prompt, tuple(pieces), reason)


def _usages(plan: _Plan) -> Iterator[tuple[str, dict[str, int]]]:
    """Text pieces with the usage that is new with each."""
    prompt, unsent = plan.prompt_tokens, 0
    for text, tokens in plan.pieces:
        unsent += tokens
        if text:
            yield text, {"prompt_tokens": prompt, "completion_tokens": unsent}
            prompt = unsent = 0
    yield "", {"prompt_tokens": prompt, "completion_tokens": unsent}


class ScriptedEngine:
    """The script in the server's own process. Rules that crash or hang become plain errors here."""

    def __init__(self, script: Script | None = None, *, profile: Profile = SCRIPTED_PROFILE) -> None:
        self._script = script or Script()
        self._profile = profile
        self._loaded: asyncio.Task[None] | None = None
        self._closed = False
        self.active = 0
        """Streams open now."""
        self.requests: list[Request] = []
        """Everything that was asked, for tests."""

    @staticmethod
    def from_script(
        script: Mapping[str, Any], *, profile: Profile = SCRIPTED_PROFILE
    ) -> ScriptedEngine | ScriptedProcessEngine:
        """From JSON with the fields of `Script`; `process` decides where it runs.

        Raises:
            TypeError: an unknown field.
        """
        fields = dict(script)
        process = fields.pop("process", False)
        rules = tuple(Rule(**rule) for rule in fields.pop("rules", ()))
        kind = ScriptedProcessEngine if process else ScriptedEngine
        return kind(Script(rules=rules, **fields), profile=profile)

    @property
    def profile(self) -> Profile:
        return self._profile

    def state(self) -> EngineState:
        status = EngineStatus.STOPPED
        if self._loaded is not None and not self._closed:
            status = EngineStatus.READY if self._loaded.done() else EngineStatus.LOADING
        if status is EngineStatus.READY and self._script.load_error:
            status = EngineStatus.FAILED
        return EngineState(status=status, backend="scripted", detail=self._script.load_error)

    async def start(self) -> None:
        if self._loaded is None:
            self._loaded = asyncio.create_task(asyncio.sleep(self._script.load_delay), name="scripted load")

    async def aclose(self) -> None:
        self._closed = True
        if self._loaded is not None:
            self._loaded.cancel()
            await asyncio.gather(self._loaded, return_exceptions=True)

    async def run(self, request: Request, ctx: Context) -> AsyncGenerator[Event, None]:
        check_request(request, self._profile)
        await self.start()
        assert self._loaded is not None
        if self._closed:
            raise EngineUnavailableError(f"The model {self._profile.name} is shutting down.")
        await asyncio.shield(self._loaded)
        if self._script.load_error:
            raise EngineError(self._script.load_error)
        try:
            plan = _plan(self._script, run_header(request, self._profile), self._profile.context)
        except RequestError as error:
            raise InputError(str(error), hint=error.hint) from error
        self.requests.append(request)
        self.active += 1
        try:
            async for event in self._play(plan):
                yield event
        finally:
            self.active -= 1

    async def _play(self, plan: _Plan) -> AsyncGenerator[Event, None]:
        for text, usage in _usages(plan):
            if plan.rule.delay:
                await asyncio.sleep(plan.rule.delay)
            if text:
                yield TextDelta(text=text, usage=Usage(**usage))
        if plan.rule.then != "finish":
            raise EngineError("The scripted model failed as its rule says.")
        yield Finished(reason=FinishReason(plan.reason), usage=Usage(**usage))


class ScriptedProcessEngine(LocalEngine):
    """The script in a process of its own."""

    backend = "scripted"
    target = "athanor.engines.adapters.scripted:ScriptedBackend"

    def __init__(
        self,
        script: Script | None = None,
        *,
        profile: Profile = SCRIPTED_PROFILE,
        settings: LocalSettings | None = None,
    ) -> None:
        self._script = script or Script()
        super().__init__(profile, ResolvedModel(profile=profile), settings)

    def worker_settings(self, profile: Profile, model: ResolvedModel, settings: LocalSettings) -> Mapping[str, Any]:
        return {**super().worker_settings(profile, model, settings), "script": asdict(self._script)}


class ScriptedBackend:
    """The child's side: one thread per request."""

    def __init__(self) -> None:
        self._pulse = Pulse()
        self._cancelled: set[int] = set()

    def load(self, settings: Mapping[str, Any], emit: Emit) -> Mapping[str, Any]:
        script = dict(settings["script"])
        rules: Sequence[Mapping[str, Any]] = script.pop("rules")
        self._script = Script(rules=tuple(Rule(**rule) for rule in rules), **script)
        self._emit = emit
        self._context = int(settings["context"])
        time.sleep(self._script.load_delay)
        if self._script.load_error:
            raise RuntimeError(self._script.load_error)
        return {"rules": len(rules)}

    def submit(self, request: Frame) -> None:
        self._pulse.begin()
        threading.Thread(target=self._answer, args=(request.header,), daemon=True).start()

    def cancel(self, request_id: int) -> None:
        self._cancelled.add(request_id)

    def stalled(self) -> float:
        return self._pulse.stalled()

    def _answer(self, header: Mapping[str, Any]) -> None:
        number = header["id"]
        try:
            self._play(number, _plan(self._script, header, self._context))
        except RequestError as error:
            self._emit(number, "error", code=error.code, message=str(error), hint=error.hint)
        finally:
            self._cancelled.discard(number)
            self._pulse.end()

    def _play(self, number: int, plan: _Plan) -> None:
        usage: dict[str, int] = {}
        for text, usage in _usages(plan):
            time.sleep(plan.rule.delay)
            if number in self._cancelled:
                return
            if text:
                self._emit(number, "event", text=text, usage=usage)
            self._pulse.beat()
        match plan.rule.then:
            case "error":
                self._emit(number, "error", code="engine_failed", message="The scripted model failed as its rule says.")
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(3600)
            case "finish":
                self._emit(number, "done", reason=plan.reason, usage=usage)
