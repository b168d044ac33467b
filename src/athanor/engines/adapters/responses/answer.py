"""Answers in the format of OpenAI's responses, as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from athanor.engines.adapters.responses.body import VENDOR
from athanor.engines.formats.counting import Tally, read_usage
from athanor.engines.formats.proofs import seal
from athanor.engines.formats.reading import cut_short, failure, read_logprobs
from athanor.engines.upstream import Upstream
from athanor.errors import EngineError
from athanor.types import (
    NO_USAGE,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Request,
    TextDelta,
    ToolCallDelta,
)


class ResponsesAnswer:
    """Reads one answer: `take` its events and then `end`, or the `whole`.

    An item may come in deltas, or only when it is done, or both: what was told by deltas is not told again.
    """

    def __init__(self, request: Request, upstream: Upstream) -> None:
        self._upstream = upstream
        self._tally = Tally(request)
        self._told: set[object] = set()
        """Items whose text or arguments came in deltas."""
        self._calls: dict[object, int] = {}
        """A call's item to its place among the calls."""
        self._reason: FinishReason | None = None
        self._refused = False

    def take(self, payload: Mapping[str, Any]) -> Sequence[Event]:
        """The events of one of theirs.

        Raises:
            EngineError: it says that the answer failed.
        """
        events: Sequence[Event] = ()
        match payload.get("type"):
            case "response.output_text.delta" | "response.refusal.delta" as kind:
                events = self._text(payload, refused=kind == "response.refusal.delta")
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                events = self._thought(payload)
            case "response.reasoning_summary_part.added" if payload.get("summary_index"):
                events = self._thought({**payload, "delta": "\n\n"})
            case "response.function_call_arguments.delta":
                events = self._arguments(payload)
            case "response.output_item.added":
                events = self._added(payload)
            case "response.output_item.done":
                events = list(self._item(payload.get("item"), _key(payload)))
            case "response.completed" | "response.incomplete" | "response.failed":
                self._finish(payload.get("response"))
            case "error" | None if payload.get("error") or payload.get("message"):
                raise failure(payload, self._upstream)
        return events

    def end(self) -> Sequence[Event]:
        """`Finished`.

        Raises:
            EngineError: the answer was not at its end.
        """
        if self._reason is None:
            raise cut_short(self._upstream)
        return (Finished(reason=self._final(), usage=self._tally.rest()),)

    def whole(self, payload: Any) -> Sequence[Event]:
        """All events of an answer in one piece; the first carries its whole usage.

        Raises:
            EngineError: it failed, or is no answer.
        """
        self._finish(payload)
        output = payload.get("output")
        if not isinstance(output, list):
            raise EngineError("The endpoint's answer cannot be read: it holds no output.", where=self._upstream.shown)
        events = [event for i, item in enumerate(output) for event in self._item(item, i)]
        written = "".join(getattr(event, "text", "") or getattr(event, "arguments", "") for event in events)
        events.append(Finished(reason=self._final()))
        first, *others = events
        return [replace(first, usage=self._tally.whole(written)), *(replace(e, usage=NO_USAGE) for e in others)]

    def _text(self, payload: Mapping[str, Any], *, refused: bool) -> Sequence[Event]:
        text = payload.get("delta")
        if not isinstance(text, str) or not text:
            return ()
        self._told.add(_key(payload))
        self._refused = self._refused or refused
        logprobs = payload.get("logprobs")
        found = read_logprobs(logprobs) if logprobs else ()
        return (TextDelta(text=text, usage=self._tally.piece(), logprobs=found),)

    def _thought(self, payload: Mapping[str, Any]) -> Sequence[Event]:
        text = payload.get("delta")
        if not isinstance(text, str) or not text:
            return ()
        self._told.add(_key(payload))
        return (ReasoningDelta(text=text, usage=self._tally.thought()),)

    def _added(self, payload: Mapping[str, Any]) -> Sequence[Event]:
        item = payload.get("item")
        if not isinstance(item, Mapping) or item.get("type") != "function_call":
            return ()
        return (self._call(item, _key(payload), arguments=""),)

    def _arguments(self, payload: Mapping[str, Any]) -> Sequence[Event]:
        key, text = _key(payload), payload.get("delta")
        if key not in self._calls or not isinstance(text, str) or not text:
            return ()  # of a call that was not announced: it is told whole when it is done
        self._told.add(key)
        return (ToolCallDelta(index=self._calls[key], arguments=text, usage=self._tally.piece()),)

    def _call(self, item: Mapping[str, Any], key: object, *, arguments: str) -> ToolCallDelta:
        name, call = item.get("name"), item.get("call_id") or item.get("id")
        if not isinstance(name, str) or not isinstance(call, str) or not name:
            raise EngineError("The endpoint asked for a tool without naming it.", where=self._upstream.shown)
        index = self._calls[key] = len(self._calls)
        return ToolCallDelta(index=index, id=call, name=name, arguments=arguments, usage=self._tally.piece())

    def _item(self, item: object, key: object) -> Iterator[Event]:
        """What a finished item has that was not told."""
        if not isinstance(item, Mapping):
            return
        match item.get("type"):
            case "message" if key not in self._told:
                for part in _parts(item, "content"):
                    field = "refusal" if part.get("type") == "refusal" else "text"
                    payload = {"delta": part.get(field), "logprobs": part.get("logprobs"), "output_index": key}
                    yield from self._text(payload, refused=field == "refusal")
            case "function_call" if key not in self._told:
                arguments = item.get("arguments")
                arguments = arguments if isinstance(arguments, str) else ""
                if key not in self._calls:
                    yield self._call(item, key, arguments=arguments)
                elif arguments:
                    yield ToolCallDelta(index=self._calls[key], arguments=arguments, usage=self._tally.piece())
            case "reasoning":
                yield from self._reasoning(item, key)

    def _reasoning(self, item: Mapping[str, Any], key: object) -> Iterator[Event]:
        proof = item.get("encrypted_content")
        signature = seal(VENDOR, proof) if isinstance(proof, str) and proof else None
        text = ""
        if key not in self._told:
            pieces = [*_parts(item, "summary"), *_parts(item, "content")]
            text = "\n\n".join(piece["text"] for piece in pieces if isinstance(piece.get("text"), str))
        if text or signature is not None:
            hidden = not text and key not in self._told
            usage = self._tally.thought() if text else NO_USAGE
            yield ReasoningDelta(text=text, signature=signature, redacted=hidden, usage=usage)

    def _finish(self, response: object) -> None:
        if not isinstance(response, Mapping):
            raise EngineError("The endpoint's answer cannot be read.", where=self._upstream.shown)
        if response.get("error") or response.get("status") == "failed":
            raise failure(response, self._upstream)
        if isinstance(usage := response.get("usage"), Mapping):
            self._tally.learn(read_usage(usage))
        match response.get("status"):
            case "incomplete":
                details = response.get("incomplete_details")
                why = details.get("reason") if isinstance(details, Mapping) else None
                self._reason = FinishReason.FILTERED if why == "content_filter" else FinishReason.LENGTH
            case "completed" | None:
                self._reason = FinishReason.STOP
            case other:
                raise EngineError(f"The endpoint's answer is {other}, not completed.", where=self._upstream.shown)

    def _final(self) -> FinishReason:
        assert self._reason is not None
        if self._refused:
            return FinishReason.FILTERED
        return FinishReason.TOOL_CALLS if self._calls and self._reason is FinishReason.STOP else self._reason


def _key(payload: Mapping[str, Any]) -> object:
    """Names the item that an event is about."""
    index = payload.get("output_index")
    return index if type(index) is int else str(payload.get("item_id"))


def _parts(item: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    parts = item.get(name)
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []
