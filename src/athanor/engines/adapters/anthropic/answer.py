"""What the Messages API answers, as events. A whole message is read as the blocks that its stream would bring.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming and the types of the vendor's own client 2.12.0,
read on 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from athanor.engines.formats.counting import count
from athanor.engines.formats.loose import items, mapping, text
from athanor.engines.formats.proofs import seal
from athanor.engines.formats.running import RunningTally
from athanor.engines.upstream import Upstream
from athanor.errors import (
    AthanorError,
    EngineError,
    EngineRefusedError,
    EngineTimeoutError,
    EngineUnavailableError,
    InputError,
)
from athanor.types import Event, Finished, FinishReason, ReasoningDelta, Request, TextDelta, ToolCallDelta, Usage

VENDOR = "anthropic"

_REASONS = {
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.FILTERED,
}
_BUSY = {"overloaded_error", "rate_limit_error"}
_REFUSED = {"authentication_error", "permission_error", "not_found_error", "billing_error"}
_WRONG = {"invalid_request_error", "request_too_large"}
_LATE = {"timeout_error", "gateway_timeout_error"}


class MessagesAnswer:
    """Reads one answer. Blocks and events of kinds that nobody asked for are skipped: the vendor adds new ones."""

    def __init__(self, request: Request, upstream: Upstream) -> None:
        self._reason: FinishReason | None = None
        self._stop: str | None = None
        self._upstream = upstream
        self._tally = RunningTally(request)
        self._calls: dict[int, _Call] = {}
        """By the index of their block, which counts text and thoughts too."""

    def take(self, payload: Mapping[str, Any]) -> Sequence[Event]:
        """The events of one event of the vendor's.

        Raises:
            AthanorError: it is an error.
        """
        index = count(payload.get("index"))
        match payload.get("type"):
            case "content_block_delta":
                return self._delta(index, mapping(payload.get("delta")))
            case "content_block_start":
                return self._start(index, mapping(payload.get("content_block")))
            case "content_block_stop":
                return self._stopped(index)
            case "message_start":
                self._learn(mapping(mapping(payload.get("message")).get("usage")))
            case "message_delta":
                self._ended(mapping(payload.get("delta")))
                self._learn(mapping(payload.get("usage")), final=self._reason is not None)
            case "error":
                raise self._failure(payload)
        return ()  # a ping, the end of the message, or what later versions bring

    def end(self) -> Sequence[Event]:
        """`Finished`.

        Raises:
            EngineError: the answer was not at its end.
        """
        if self._reason is None:
            raise EngineError(
                "The endpoint's stream ended in the middle of the answer.",
                where=self._upstream.shown,
                hint="Ask again. If it recurs, look at the endpoint's log.",
            )
        return (Finished(reason=self._reason, usage=self._tally.rest(), stop=self._stop),)

    def whole(self, payload: Any) -> Sequence[Event]:
        """All events of an answer in one piece; the first carries its whole usage. Raises as `take`."""
        if not isinstance(payload, Mapping):
            raise EngineError("The endpoint's answer cannot be read: it is no object.", where=self._upstream.shown)
        if payload.get("type") == "error":
            raise self._failure(payload)
        self._learn(mapping(payload.get("usage")), final=True)
        self._ended(payload)
        events: list[Event] = []
        for index, block in enumerate(items(payload.get("content"))):
            events += self._start(index, mapping(block))
            events += self._stopped(index)
        return (*events, *self.end())

    def _start(self, index: int, block: Mapping[str, Any]) -> Sequence[Event]:
        match block.get("type"):
            case "text" if said := text(block.get("text")):
                return (TextDelta(text=said, usage=self._tally.piece()),)
            case "thinking":
                said, proof = text(block.get("thinking")), text(block.get("signature"))
                if said or proof:
                    sealed = seal(VENDOR, proof) if proof else None
                    return (ReasoningDelta(text=said, signature=sealed, usage=self._tally.piece()),)
            case "redacted_thinking" if data := text(block.get("data")):
                return (ReasoningDelta(signature=seal(VENDOR, data), redacted=True, usage=self._tally.piece()),)
            case "tool_use":
                call = self._calls[index] = _Call(len(self._calls), block.get("input"))
                name, identity = text(block.get("name")), text(block.get("id"))
                return (ToolCallDelta(index=call.index, id=identity, name=name, usage=self._tally.piece()),)
        return ()

    def _delta(self, index: int, delta: Mapping[str, Any]) -> Sequence[Event]:
        match delta.get("type"):
            case "text_delta" if said := text(delta.get("text")):
                return (TextDelta(text=said, usage=self._tally.piece()),)
            case "thinking_delta" if said := text(delta.get("thinking")):
                return (ReasoningDelta(text=said, usage=self._tally.piece()),)
            case "signature_delta" if proof := text(delta.get("signature")):
                return (ReasoningDelta(signature=seal(VENDOR, proof), usage=self._tally.piece()),)
            case "input_json_delta" if (call := self._calls.get(index)) and (said := text(delta.get("partial_json"))):
                call.written = True
                return (ToolCallDelta(index=call.index, arguments=said, usage=self._tally.piece()),)
        return ()

    def _stopped(self, index: int) -> Sequence[Event]:
        call = self._calls.get(index)
        if call is None or call.written:
            return ()
        call.written = True
        # A call without arguments streams nothing, and its reader expects JSON.
        return (ToolCallDelta(index=call.index, arguments=call.arguments(), usage=self._tally.piece()),)

    def _ended(self, message: Mapping[str, Any]) -> None:
        if reason := text(message.get("stop_reason")):
            self._reason = _REASONS.get(reason, FinishReason.STOP)
        self._stop = text(message.get("stop_sequence")) or None

    def _learn(self, usage: Mapping[str, Any], *, final: bool = False) -> None:
        """Take the counts of `usage`; those that it leaves out stand. All are of the whole answer until now."""
        if not usage:
            return
        known = self._tally.known
        read, written = known.cached_tokens, known.written_tokens
        plain = known.prompt_tokens - read - written
        if usage.get("cache_read_input_tokens") is not None:
            read = count(usage["cache_read_input_tokens"])
        if usage.get("cache_creation_input_tokens") is not None:
            written = count(usage["cache_creation_input_tokens"])
        if usage.get("input_tokens") is not None:
            plain = count(usage["input_tokens"])  # without those of the cache
        details = mapping(usage.get("output_tokens_details"))
        learnt = Usage(
            prompt_tokens=plain + read + written,
            completion_tokens=count(usage.get("output_tokens")) or known.completion_tokens,
            cached_tokens=read,
            written_tokens=written,
            reasoning_tokens=count(details.get("thinking_tokens")) or known.reasoning_tokens,
        )
        self._tally.learn(learnt, final=final)

    def _failure(self, payload: Mapping[str, Any]) -> AthanorError:
        error = mapping(payload.get("error"))
        kind, where = text(error.get("type")), self._upstream.shown
        said = self._upstream.clean(text(error.get("message")) or kind or "no reason given")
        if kind in _BUSY:
            return EngineUnavailableError(f"The endpoint is busy: {said}", where=where, hint="Ask again in a moment.")
        if kind in _LATE:
            return EngineTimeoutError(f"The endpoint timed out: {said}", where=where)
        if kind in _REFUSED:
            return EngineRefusedError(f"The endpoint refused our key or model: {said}", where=where)
        if kind in _WRONG:
            return InputError(f"The endpoint refused the request: {said}", where=where)
        return EngineError(f"The endpoint failed while answering: {said}", where=where)


class _Call:
    """A call that is being written."""

    def __init__(self, index: int, given: object) -> None:
        self.index = index
        self.written = False
        self._given = given

    def arguments(self) -> str:
        """What came with the beginning of the block, as JSON."""
        return orjson.dumps(mapping(self._given)).decode()
