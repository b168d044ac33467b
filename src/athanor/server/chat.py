"""`POST /v1/chat/completions`: OpenAI's format outside, requests and events inside."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import APIRouter, Depends
from starlette.responses import Response, StreamingResponse

from athanor.errors import AthanorError
from athanor.gateway import App, handle
from athanor.server.answers import STREAM, answer_headers, citation, graded_now, link, logprob_rows, own_fields
from athanor.server.attachments import with_files
from athanor.server.auth import application, cache_use, context
from athanor.server.door import Door
from athanor.server.errors import error_body
from athanor.server.sse import DONE, JSON, sse
from athanor.server.wire import ChatRequest
from athanor.types import (
    NO_USAGE,
    CacheUse,
    Cited,
    Context,
    Event,
    Finished,
    FinishReason,
    Graded,
    ReasoningDelta,
    Started,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)

router = APIRouter(tags=["chat"], route_class=Door)
REASONS = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.FILTERED: "content_filter",
    FinishReason.CANCELLED: "stop",
}


@router.post(
    "/v1/chat/completions",
    name="chat.completions",
    summary="Answer a conversation; a knowledge base is a model name",
    response_class=JSON,
)
async def chat_completions(
    body: ChatRequest,
    app: App = Depends(application),
    ctx: Context = Depends(context),
    cache: CacheUse = Depends(cache_use),
) -> Response:
    request = await with_files(body.to_request(cache), app, ctx)
    events = handle(request, ctx, app)
    # The first event is awaited before the status line is sent: a refused request is a 4xx and not a broken 200.
    started = await anext(events)
    assert isinstance(started, Started)
    headers = answer_headers(started, ctx)
    if not body.stream:
        return JSON(await whole(events, body.model, ctx), headers=headers)
    usage = body.stream_options is not None and body.stream_options.include_usage
    stream = _chunks(events, body.model, ctx, with_usage=usage)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers | STREAM)


class Said:
    """An answer in one piece, as a message of this API."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.details: list[dict[str, Any]] = []
        self.signed = False
        self.calls: dict[int, dict[str, Any]] = {}
        self.annotations: list[dict[str, Any]] = []
        self.grades: list[Graded] = []
        self.logprobs: list[TokenLogprob] = []

    def add(self, event: Event) -> None:
        kind = type(event)
        if kind is TextDelta:
            assert isinstance(event, TextDelta)
            self.text.append(event.text)
            if event.logprobs:
                self.logprobs += event.logprobs
        elif kind is ToolCallDelta:
            assert isinstance(event, ToolCallDelta)
            self._call(event)
        elif kind is ReasoningDelta:
            assert isinstance(event, ReasoningDelta)
            self._think(event)
        elif kind is Cited:
            assert isinstance(event, Cited)
            self.annotations.append(annotation(event))
        elif kind is Graded:
            assert isinstance(event, Graded)
            self.grades.append(event)

    def message(self) -> dict[str, Any]:
        text = "".join(self.text)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text if text or not self.calls else None,
            "refusal": None,
            "annotations": self.annotations,
        }
        if self.calls:
            message["tool_calls"] = list(self.calls.values())
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.signed:
            message["reasoning_details"] = self.details
        return message

    def _call(self, event: ToolCallDelta) -> None:
        call = self.calls.get(event.index)
        if call is None:
            function = {"name": event.name or "", "arguments": ""}
            call = self.calls[event.index] = {"id": event.id or "", "type": "function", "function": function}
        call["function"]["arguments"] += event.arguments
        if event.signature:
            call["extra_content"] = {"athanor": {"signature": event.signature}}

    def _think(self, event: ReasoningDelta) -> None:
        if event.text:
            self.reasoning.append(event.text)
        if event.signature:
            self.signed = True
        last = self.details[-1] if self.details else None
        if event.redacted or last is None or last.get("signature") or "data" in last:
            self.details.append(detail(event))
        else:
            last["text"] += event.text
            last["signature"] = event.signature


async def whole(events: AsyncIterator[Event], model: str, ctx: Context) -> dict[str, Any]:
    """The answer in one piece."""
    said, usage, end = Said(), NO_USAGE, Finished()
    async for event in events:
        if event.usage is not NO_USAGE:
            usage += event.usage
        if type(event) is Finished:
            end = event
        else:
            said.add(event)
    choice = {
        "index": 0,
        "message": said.message(),
        "logprobs": {"content": logprob_rows(said.logprobs), "refusal": None} if said.logprobs else None,
        "finish_reason": REASONS[end.reason],
    }
    return {
        **_head(ctx, model, "chat.completion"),
        "choices": [choice],
        "usage": usage_body(usage),
        "athanor": own_fields(end, ctx, said.grades),
    }


class _Writer:
    """Writes the chunks of one stream. Chunks of plain text, which are nearly all, are put together from bytes."""

    def __init__(self, head: dict[str, Any], *, with_usage: bool) -> None:
        self._extra = {"usage": None} if with_usage else {}
        self.grades: list[Graded] = []
        self._head = head | self._extra
        empty = self.chunk({"content": "\0"})
        self._before, _, self._after = empty.partition(b'"\\u0000"')

    def text(self, text: str) -> bytes:
        return self._before + orjson.dumps(text) + self._after

    def chunk(self, delta: dict[str, Any], reason: str | None = None, **extra: Any) -> bytes:
        logprobs = extra.pop("logprobs", None)
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return sse({**self._head, "choices": [choice], **extra})

    def event(self, event: Event) -> bytes | None:
        """The chunk of an event; None where there is nothing to tell."""
        kind = type(event)
        if kind is TextDelta:
            assert isinstance(event, TextDelta)
            if event.logprobs:
                rows = {"content": logprob_rows(event.logprobs), "refusal": None}
                return self.chunk({"content": event.text}, logprobs=rows)
            return self.text(event.text) if event.text else None
        if kind is ToolCallDelta:
            assert isinstance(event, ToolCallDelta)
            return self.chunk({"tool_calls": [_call_delta(event)]})
        if kind is ReasoningDelta:
            assert isinstance(event, ReasoningDelta)
            delta: dict[str, Any] = {"reasoning_content": event.text} if event.text else {}
            if event.signature:
                delta["reasoning_details"] = [detail(event)]
            return self.chunk(delta) if delta else None
        return self._beside(event)

    def _beside(self, event: Event) -> bytes | None:
        """The chunk of what is said about the text."""
        if isinstance(event, Cited):
            return self.chunk({"annotations": [annotation(event)]})
        if isinstance(event, Graded):
            self.grades.append(event)
            return self.chunk(graded_now(event))
        return None


async def _chunks(
    events: AsyncGenerator[Event, None], model: str, ctx: Context, *, with_usage: bool
) -> AsyncIterator[bytes]:
    head = _head(ctx, model, "chat.completion.chunk")
    writer = _Writer(head, with_usage=with_usage)
    usage = NO_USAGE
    try:
        # A client that leaves closes this generator between two events: the request behind it must be closed with it.
        async with aclosing(events):
            yield writer.chunk({"role": "assistant", "content": ""})
            async for event in events:
                if event.usage is not NO_USAGE:
                    usage += event.usage
                if type(event) is Finished:
                    yield writer.chunk({}, REASONS[event.reason], athanor=own_fields(event, ctx, writer.grades))
                elif (chunk := writer.event(event)) is not None:
                    yield chunk
            if with_usage:
                yield sse({**head, "choices": [], "usage": usage_body(usage)})
    except AthanorError as error:
        # The status line is gone: the error travels as an event, as OpenAI's own streams do.
        yield sse(error_body(error))
    yield DONE


def _call_delta(event: ToolCallDelta) -> dict[str, Any]:
    delta: dict[str, Any] = {"index": event.index}
    function: dict[str, Any] = {"arguments": event.arguments}
    if event.id is not None or event.name is not None:
        delta |= {"id": event.id or "", "type": "function"}
        function["name"] = event.name or ""
    if event.signature:
        delta["extra_content"] = {"athanor": {"signature": event.signature}}
    return delta | {"function": function}


def detail(event: ReasoningDelta) -> dict[str, Any]:
    """A thought with its vendor's proof, so that it can be sent back."""
    if event.redacted:
        return {"type": "reasoning.encrypted", "data": event.signature}
    return {"type": "reasoning.text", "text": event.text, "signature": event.signature}


def annotation(event: Cited) -> dict[str, Any]:
    """OpenAI's `url_citation`, whose link opens the passage; our own fields beside it under `citation`."""
    spot = {"start_index": event.start, "end_index": event.end, "title": event.citation.title, "url": link(event)}
    return {"type": "url_citation", "url_citation": spot, "citation": citation(event)}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Tokens, in this API's words."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.written_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _head(ctx: Context, model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{ctx.trace}", "object": kind, "created": int(time.time()), "model": model}
