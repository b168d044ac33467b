"""What the Gemini API answers, as events. A whole answer has the shape of one chunk of a stream.

Source: https://ai.google.dev/api/generate-content and the types of the vendor's own client 3.4.0, read on 2026-11-24.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from athanor.engines.formats.counting import count
from athanor.engines.formats.loose import items, mapping, number, text
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
from athanor.types import (
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

VENDOR = "gemini"
OURS = "unnamed_"
"""Begins the ids of calls to which the vendor gave none. It is not sent them back: older versions refuse any."""

_LENGTH = {"MAX_TOKENS", "CONTINUATION"}
_STOP = {"STOP", "FINISH_REASON_UNSPECIFIED"}
_FAILED = {
    "MALFORMED_FUNCTION_CALL": "wrote a tool call that cannot be read",
    "UNEXPECTED_TOOL_CALL": "called a tool that it was not given",
    "TOO_MANY_TOOL_CALLS": "called too many tools",
    "MALFORMED_RESPONSE": "wrote an answer that cannot be read",
}
"""What the model did wrong: another try may succeed. The remaining reasons are filters, and OTHER mostly is one."""


class ContentAnswer:
    """Reads one answer: the first candidate, as only one is asked for. Parts that nobody asked for are skipped."""

    def __init__(self, request: Request, upstream: Upstream) -> None:
        self._reason: FinishReason | None = None
        self._upstream = upstream
        self._tally = RunningTally(request)
        self._calls = 0

    def take(self, payload: Mapping[str, Any]) -> Sequence[Event]:
        """The events of a chunk.

        Raises:
            AthanorError: the chunk is an error, or ends the answer with one.
        """
        if "error" in payload:
            raise self._failure(mapping(payload["error"]))
        candidates = items(payload.get("candidates"))
        candidate = mapping(candidates[0]) if candidates else {}
        reason = text(candidate.get("finishReason"))
        self._learn(mapping(payload.get("usageMetadata")), final=bool(reason))
        logprobs = _logprobs(mapping(candidate.get("logprobsResult")))
        events: list[Event] = []
        for part in items(mapping(candidate.get("content")).get("parts")):
            for event in self._part(mapping(part)):
                if logprobs and isinstance(event, TextDelta):
                    event, logprobs = replace(event, logprobs=logprobs), ()  # noqa: PLW2901
                events.append(event)
        if reason:
            self._ended(reason, candidate)
        elif mapping(payload.get("promptFeedback")).get("blockReason"):
            self._reason = FinishReason.FILTERED
        return events

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
        return (Finished(reason=self._reason, usage=self._tally.rest()),)

    def whole(self, payload: Any) -> Sequence[Event]:
        """All events of an answer in one piece; the first carries its whole usage. Raises as `take`."""
        if not isinstance(payload, Mapping):
            raise EngineError("The endpoint's answer cannot be read: it is no object.", where=self._upstream.shown)
        return (*self.take(payload), *self.end())

    def _part(self, part: Mapping[str, Any]) -> Iterator[Event]:
        signature = seal(VENDOR, proof) if (proof := text(part.get("thoughtSignature"))) else None
        if isinstance(call := part.get("functionCall"), dict):
            yield ToolCallDelta(
                index=self._calls,
                id=text(call.get("id")) or f"{OURS}{secrets.token_hex(12)}",
                name=text(call.get("name")),
                arguments=orjson.dumps(mapping(call.get("args"))).decode(),
                signature=signature,
                usage=self._tally.piece(),
            )
            self._calls += 1
            return
        written = text(part.get("text"))
        if part.get("thought") is True:
            if written or signature:
                yield ReasoningDelta(text=written, signature=signature, usage=self._tally.piece())
            return
        if written:
            yield TextDelta(text=written, usage=self._tally.piece())
        if signature:  # it proves the thoughts behind the text, and often comes with an empty last piece
            yield ReasoningDelta(signature=signature, usage=self._tally.piece())

    def _ended(self, reason: str, candidate: Mapping[str, Any]) -> None:
        if reason in _FAILED or reason == "MISSING_THOUGHT_SIGNATURE":
            said = self._upstream.clean(text(candidate.get("finishMessage")))
            if reason == "MISSING_THOUGHT_SIGNATURE":
                raise InputError(
                    f"The endpoint wants the signature of each tool call back. {said}".rstrip(),
                    where="messages",
                    hint="Send the assistant's messages back as they came, signatures included.",
                )
            raise EngineError(f"The model {_FAILED[reason]}. {said}".rstrip(), where=self._upstream.shown)
        if reason in _LENGTH:
            self._reason = FinishReason.LENGTH
        elif reason in _STOP:
            self._reason = FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP
        else:
            self._reason = FinishReason.FILTERED

    def _learn(self, usage: Mapping[str, Any], *, final: bool) -> None:
        """Take the counts of `usage`: all are of the whole answer until now."""
        if not usage:
            return
        known = self._tally.known
        thoughts = count(usage.get("thoughtsTokenCount")) or known.reasoning_tokens
        written = count(usage.get("candidatesTokenCount")) or known.completion_tokens - known.reasoning_tokens
        prompt = count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount"))
        learnt = Usage(
            prompt_tokens=prompt or known.prompt_tokens,
            completion_tokens=written + thoughts,  # the vendor counts them apart, and bills both
            cached_tokens=count(usage.get("cachedContentTokenCount")) or known.cached_tokens,
            reasoning_tokens=thoughts,
        )
        self._tally.learn(learnt, final=final)

    def _failure(self, error: Mapping[str, Any]) -> AthanorError:
        code, status, where = count(error.get("code")), text(error.get("status")), self._upstream.shown
        said = self._upstream.clean(text(error.get("message")) or status or "no reason given")
        if code in {429, 503} or status in {"UNAVAILABLE", "RESOURCE_EXHAUSTED"}:
            return EngineUnavailableError(f"The endpoint is busy: {said}", where=where, hint="Ask again in a moment.")
        if code in {408, 504} or status == "DEADLINE_EXCEEDED":
            return EngineTimeoutError(f"The endpoint timed out: {said}", where=where)
        if code in {401, 403, 404}:
            return EngineRefusedError(f"The endpoint refused our key or model: {said}", where=where)
        if code == 400:
            return InputError(f"The endpoint refused the request: {said}", where=where)
        return EngineError(f"The endpoint failed while answering: {said}", where=where)


def _logprobs(result: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    tops = [_pairs(mapping(place).get("candidates")) for place in items(result.get("topCandidates"))]
    return tuple(
        TokenLogprob(token=token, logprob=value, top=tops[i] if i < len(tops) else ())
        for i, (token, value) in enumerate(_pairs(result.get("chosenCandidates")))
    )


def _pairs(candidates: object) -> tuple[tuple[str, float], ...]:
    rows = [mapping(row) for row in items(candidates)]
    return tuple((text(row.get("token")), number(row.get("logProbability"))) for row in rows)
