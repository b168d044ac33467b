"""Answers in the format of OpenAI's chat completions, and in the dialects of those who copied it, as events.

Seen in the wild and taken as meant: tool calls without `index` (Ollama, Gemini), with an `index` that is always 0
(Ollama), without an id or with it in every piece, arguments as an object; `finish_reason` `stop` after tool calls;
usage with every piece; reasoning as `reasoning_content` (DeepSeek, vLLM), as `reasoning` (OpenRouter, Ollama), or as a
part of the content (Mistral); streams without `[DONE]`, or without a reason for their end.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from athanor.engines.formats.counting import Tally, read_usage
from athanor.engines.formats.reading import cut_short, failure, read_logprobs
from athanor.engines.upstream import DONE, Upstream
from athanor.errors import EngineError
from athanor.types import (
    NO_USAGE,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Request,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

_REASONS = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.FILTERED,
}


class ChatAnswer:
    """Reads one answer: `take` its pieces and then `end`, or the `whole`."""

    def __init__(self, request: Request, upstream: Upstream) -> None:
        self._upstream = upstream
        self._tally = Tally(request)
        self._calls = CallPieces(self._tally.piece)
        self._reason: FinishReason | None = None
        self._stop: str | None = None
        self._refused = False

    def take(self, payload: Mapping[str, Any]) -> Sequence[Event]:
        """The events of a chunk.

        Raises:
            EngineError: the chunk is an error, or ends the answer with one.
        """
        if payload is DONE:
            self._reason = self._reason or FinishReason.STOP
            return ()
        if payload.get("error"):
            raise failure(payload, self._upstream)
        usage = payload.get("usage")
        if type(usage) is dict:
            self._tally.learn(read_usage(usage))
        choice = _first(payload.get("choices"))
        if choice is None:
            return ()
        if reason := choice.get("finish_reason"):
            self._ended(reason, choice)
        delta = choice.get("delta")
        return self._pieces(delta, choice) if type(delta) is dict else ()

    def end(self) -> Sequence[Event]:
        """`Finished`.

        Raises:
            EngineError: the answer was not at its end.
        """
        if self._reason is None:
            raise cut_short(self._upstream)
        return (Finished(reason=self._final(), usage=self._tally.rest(), stop=self._stop),)

    def whole(self, payload: Any) -> Sequence[Event]:
        """All events of an answer in one piece; the first carries its whole usage.

        Raises:
            EngineError: it is an error, or no answer.
        """
        if isinstance(payload, Mapping) and payload.get("error"):
            raise failure(payload, self._upstream)
        choice = _first(payload.get("choices")) if isinstance(payload, Mapping) else None
        message = choice.get("message") if choice is not None else None
        if choice is None or not isinstance(message, Mapping):
            raise EngineError("The endpoint's answer cannot be read: it holds no message.", where=self._upstream.shown)
        usage = payload.get("usage")
        if type(usage) is dict:
            self._tally.learn(read_usage(usage))
        text, thought = _texts(message)
        self._ended(choice.get("finish_reason") or "stop", choice)
        # Counted as one, not as pieces.
        events: list[Event] = []
        used = self._tally.whole(text + thought)
        if thought:
            events.append(ReasoningDelta(text=thought, usage=used))
            used = NO_USAGE
        text += self._refusal(message)
        if text:
            events.append(TextDelta(text=text, usage=used, logprobs=_logprobs(choice.get("logprobs"))))
            used = NO_USAGE
        if isinstance(calls := message.get("tool_calls"), list):
            self._calls = CallPieces(lambda: NO_USAGE)
            numbered = [{**call, "index": i} for i, call in enumerate(calls) if isinstance(call, Mapping)]
            for call in self._calls.take(numbered):
                events.append(replace(call, usage=used) if used is not NO_USAGE else call)
                used = NO_USAGE
        events.append(Finished(reason=self._final(), usage=used, stop=self._stop))
        return events

    def _pieces(self, delta: Mapping[str, Any], choice: Mapping[str, Any]) -> Sequence[Event]:
        text = delta.get("content")
        # Most pieces of most streams hold a text and nothing else.
        alone = len(delta) == 1 or (len(delta) == 2 and "role" in delta)
        if alone and type(text) is str and text and not choice.get("logprobs"):
            return (TextDelta(text=text, usage=self._tally.piece()),)
        events: list[Event] = []
        text, thought = _texts(delta)
        if thought:
            events.append(ReasoningDelta(text=thought, usage=self._tally.thought()))
        text += self._refusal(delta)
        if text:
            logprobs = _logprobs(choice.get("logprobs"))
            events.append(TextDelta(text=text, usage=self._tally.piece(), logprobs=logprobs))
        if isinstance(calls := delta.get("tool_calls"), list):
            events += self._calls.take(calls)
        return events

    def _refusal(self, message: Mapping[str, Any]) -> str:
        refusal = message.get("refusal")
        if not isinstance(refusal, str) or not refusal:
            return ""
        self._refused = True
        return refusal

    def _ended(self, reason: object, choice: Mapping[str, Any]) -> None:
        if reason == "error":
            error = choice.get("error") or "no reason given"
            raise failure({"error": error}, self._upstream)
        self._reason = _REASONS.get(str(reason), FinishReason.STOP)
        usage = choice.get("usage")
        if type(usage) is dict:  # Moonshot's place for it
            self._tally.learn(read_usage(usage))
        # vLLM and SGLang say which stop string it was.
        stop = choice.get("stop_reason", choice.get("matched_stop"))
        self._stop = stop if isinstance(stop, str) and self._reason is FinishReason.STOP else None

    def _final(self) -> FinishReason:
        assert self._reason is not None
        self._calls.check(self._upstream)
        if self._refused:
            return FinishReason.FILTERED
        if self._calls.any and self._reason is FinishReason.STOP:
            return FinishReason.TOOL_CALLS
        return self._reason


class CallPieces:
    """Puts the pieces of tool calls into their places, whatever an endpoint makes of `index` and `id`.

    Args:
        usage: what a piece adds.
    """

    def __init__(self, usage: Callable[[], Usage]) -> None:
        self._usage = usage
        self._ids: list[str] = []
        self._open: dict[int, str] = {}
        """Arguments that came before the name of their call."""
        self._given: dict[int, int] = {}
        """Their `index` to our place: their latest call of it."""

    @property
    def any(self) -> bool:
        return bool(self._ids)

    def take(self, pieces: Sequence[Any]) -> list[ToolCallDelta]:
        return [event for piece in pieces if isinstance(piece, Mapping) and (event := self._piece(piece)) is not None]

    def check(self, upstream: Upstream) -> None:
        """Raises:
        EngineError: a call never got a name.
        """
        if self._open:
            raise EngineError("The endpoint asked for a tool without naming it.", where=upstream.shown)

    def _piece(self, piece: Mapping[str, Any]) -> ToolCallDelta | None:
        function = piece.get("function")
        function = function if isinstance(function, Mapping) else {}
        name, identity = _text(function.get("name")), _text(piece.get("id"))
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping):
            arguments = orjson.dumps(arguments).decode()
        arguments = _text(arguments)
        place, new = self._place(piece.get("index"), identity, name)
        if new or place in self._open:
            arguments = self._open.pop(place, "") + arguments
            if not name:
                self._open[place] = arguments
                return None
            usage = self._usage()
            return ToolCallDelta(index=place, id=self._ids[place], name=name, arguments=arguments, usage=usage)
        return ToolCallDelta(index=place, arguments=arguments, usage=self._usage()) if arguments else None

    def _place(self, index: object, identity: str, name: str) -> tuple[int, bool]:
        if type(index) is int:
            place = self._given.get(index)
            same = place is not None and (not identity or not name or identity == self._ids[place])
        else:
            place = self._ids.index(identity) if identity in self._ids else None
            if place is None and not identity and not name and self._ids:
                place = len(self._ids) - 1
            same = place is not None
        if same and place is not None:
            return place, False
        place = len(self._ids)
        self._ids.append(identity or f"call_{secrets.token_hex(12)}")
        if type(index) is int:
            self._given[index] = place
        return place, True


def _first(choices: object) -> Mapping[str, Any] | None:
    choice = choices[0] if type(choices) is list and choices else None
    return choice if type(choice) is dict else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(message: Mapping[str, Any]) -> tuple[str, str]:
    """The text and the reasoning of a message or a delta."""
    text, content = "", message.get("content")
    thought = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    if isinstance(content, str):
        return content, thought
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, Mapping):
            continue
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            thought += _texts({"content": inner})[0]
        else:
            text += _text(part.get("text"))
    return text, thought


def _logprobs(logprobs: object) -> tuple[TokenLogprob, ...]:
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    return read_logprobs(content)
