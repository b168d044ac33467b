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
from dataclasses import asdict, dataclass, field
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
    ReasoningDelta,
    Request,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
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
class Call:
    """A tool call of a rule."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to answer when `pattern` is found in the last message. The first rule that matches wins.

    `reasoning`, `calls` and `finish` are for the engine in the server's own process: what runs in a process
    of its own gives text, as local models do.
    """

    pattern: str
    answer: str = ""
    after: Literal["user", "tool"] = "user"
    """Whose message has to come last, and is searched."""
    reasoning: str = ""
    """What it thinks before it answers."""
    calls: tuple[Call, ...] = ()
    """Tools that it calls after its answer, where they are in the request."""
    finish: Literal["stop", "length", "filtered"] = "stop"
    """Why the answer ends, where nothing else ends it."""
    delay: float = 0.0
    """Seconds before each token."""
    then: Literal["finish", "error", "crash", "hang"] = "finish"
    """After the answer: `crash` and `hang` need a process of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Rules, and what to do where none matches: echo the last message."""

    rules: tuple[Rule, ...] = ()
    delay: float = 0.0
    """Seconds before each token, where the rule says nothing."""
    load_delay: float = 0.0
    load_error: str = ""
    """Loading fails with this text."""

    def rule_for(self, question: str, after: str = "user") -> Rule:
        fits = (rule for rule in self.rules if rule.after == after and re.search(rule.pattern, question))
        found = next(fits, None)
        return found or Rule(pattern="", answer=question, delay=self.delay)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything a request will produce, before any delay."""

    rule: Rule
    prompt_tokens: int
    pieces: tuple[tuple[str, int], ...]
    """Text, and the tokens it took."""
    reason: str
    stopped: bool
    """A stop string ended it."""


def _plan(script: Script, header: Mapping[str, Any], context: int) -> _Plan:
    """Raises `RequestError` when the prompt is longer than `context` words."""
    prompt = sum(len(_TOKEN.findall(message["content"])) for message in header["messages"])
    if prompt >= context:
        raise too_long(prompt, context)
    last = header["messages"][-1] if header["messages"] else {"role": "user", "content": ""}
    if last["role"] == "tool":
        rule = script.rule_for(last["content"], "tool")
    else:
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
    reason = "length" if len(tokens) > room and not stop.stopped else rule.finish
    return _Plan(rule, prompt, tuple(pieces), reason, stop.stopped)


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
        rules = tuple(map(_rule, fields.pop("rules", ())))
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
            async for event in self._play(plan, request):
                yield event
        finally:
            self.active -= 1

    async def _play(self, plan: _Plan, request: Request) -> AsyncGenerator[Event, None]:
        rule = plan.rule
        if rule.reasoning:
            for token in _TOKEN.findall(rule.reasoning):
                await asyncio.sleep(rule.delay)
                yield ReasoningDelta(text=token, usage=Usage(completion_tokens=1, reasoning_tokens=1))
        for text, usage in _usages(plan):
            if rule.delay:
                await asyncio.sleep(rule.delay)
            if text:
                yield TextDelta(text=text, usage=Usage(**usage), logprobs=_logprobs(text, request))
        if rule.then != "finish":
            raise EngineError("The scripted model failed as its rule says.")
        called = False
        if not plan.stopped and plan.reason == "stop":
            for event in _calls(rule, request):
                called = True
                yield event
        reason = FinishReason.TOOL_CALLS if called else FinishReason(plan.reason)
        yield Finished(reason=reason, usage=Usage(**usage))


def _rule(fields: Mapping[str, Any]) -> Rule:
    calls = tuple(Call(**call) for call in fields.get("calls", ()))
    return Rule(**{**fields, "calls": calls})


def _logprobs(text: str, request: Request) -> tuple[TokenLogprob, ...]:
    """Made-up ones, where they are asked for."""
    if request.logprobs is None:
        return ()
    top = ((text, -0.25), *((f"{text}{i}", -2.0 - i) for i in range(1, request.logprobs)))
    return (TokenLogprob(token=text, logprob=-0.25, top=top[: request.logprobs]),)


def _calls(rule: Rule, request: Request) -> Iterator[ToolCallDelta]:
    """Calls in pieces, as vendors send them: the name first, then the arguments in three."""
    names = {tool.name for tool in request.tools}
    if request.tool_choice.mode == "none":
        return
    wanted = [call for call in rule.calls if call.name in names]
    for index, call in enumerate(wanted[:1] if request.tool_choice.parallel is False else wanted):
        yield ToolCallDelta(index=index, id=f"call_{index + 1}", name=call.name, usage=Usage(completion_tokens=1))
        raw = orjson.dumps(call.arguments).decode()
        for piece in (raw[:3], raw[3:9], raw[9:]):
            if piece:
                yield ToolCallDelta(index=index, arguments=piece, usage=Usage(completion_tokens=1))


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
        for rule in self._script.rules:
            if rule.reasoning or rule.calls:
                raise TypeError("a process of its own gives text: reasoning and calls are not for it")
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
        self._script = Script(rules=tuple(map(_rule, rules)), **script)
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
