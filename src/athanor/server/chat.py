"""`POST /v1/chat/completions`: OpenAI's format outside, requests and events inside."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response, StreamingResponse

from athanor.errors import AthanorError
from athanor.gateway import App, handle
from athanor.server.auth import application, context
from athanor.server.door import Door
from athanor.server.errors import error_body
from athanor.server.sse import DONE, JSON, sse
from athanor.server.wire import ChatRequest
from athanor.types import NO_USAGE, Cited, Context, Event, Finished, FinishReason, Started, TextDelta, Usage

router = APIRouter(tags=["chat"], route_class=Door)
STREAM = {"cache-control": "no-store", "x-accel-buffering": "no"}


@router.post(
    "/v1/chat/completions",
    name="chat.completions",
    summary="Answer a conversation; a knowledge base is a model name",
    response_class=JSON,
)
async def chat_completions(
    body: ChatRequest, app: App = Depends(application), ctx: Context = Depends(context)
) -> Response:
    request = body.to_request()
    events = handle(request, ctx, app)
    # The first event is awaited before the status line is sent: a refused request is a 4xx and not a broken 200.
    started = await anext(events)
    assert isinstance(started, Started)
    headers = answer_headers(started, ctx)
    if not body.stream:
        return JSON(await _whole(events, body.model, ctx), headers=headers)
    usage = body.stream_options is not None and body.stream_options.include_usage
    stream = _chunks(events, body.model, ctx, with_usage=usage)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers | STREAM)


async def _whole(events: AsyncIterator[Event], model: str, ctx: Context) -> dict[str, Any]:
    text: list[str] = []
    annotations: list[dict[str, Any]] = []
    usage, end = NO_USAGE, Finished()
    async for event in events:
        usage += event.usage
        match event:
            case TextDelta():
                text.append(event.text)
            case Cited():
                annotations.append(annotation(event))
            case Finished():
                end = event
    message = {"role": "assistant", "content": "".join(text), "refusal": None, "annotations": annotations}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(end)}
    return {
        **_head(ctx, model, "chat.completion"),
        "choices": [choice],
        "usage": _usage(usage),
        "athanor": _own(end, ctx),
    }


async def _chunks(
    events: AsyncGenerator[Event, None], model: str, ctx: Context, *, with_usage: bool
) -> AsyncIterator[bytes]:
    head = _head(ctx, model, "chat.completion.chunk")
    usage = NO_USAGE

    def chunk(delta: dict[str, Any], reason: str | None = None, **extra: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return sse({**head, "choices": [choice], **extra})

    try:
        # A client that leaves closes this generator between two events: the request behind it must be closed with it.
        async with aclosing(events):
            yield chunk({"role": "assistant", "content": ""})
            async for event in events:
                usage += event.usage
                match event:
                    case TextDelta():
                        if event.text:
                            yield chunk({"content": event.text})
                    case Cited():
                        yield chunk({"annotations": [annotation(event)]})
                    case Finished():
                        yield chunk({}, _reason(event), athanor=_own(event, ctx))
            if with_usage:
                yield sse({**head, "choices": [], "usage": _usage(usage)})
    except AthanorError as error:
        # The status line is gone: the error travels as an event, as OpenAI's own streams do.
        yield sse(error_body(error))
    yield DONE


def annotation(event: Cited) -> dict[str, Any]:
    """OpenAI's `url_citation`, whose link opens the passage; our own fields beside it under `citation`."""
    cited = event.citation
    link = f"/console/document/{cited.document}?version={cited.version}&start={cited.start}&end={cited.end}"
    return {
        "type": "url_citation",
        "url_citation": {"start_index": event.start, "end_index": event.end, "title": cited.title, "url": link},
        "citation": {
            "document": cited.document,
            "version": cited.version,
            "page": cited.page,
            "start": cited.start,
            "end": cited.end,
            "quote": cited.quote,
            "score": round(cited.score, 4),
            "source": cited.source,
            "title": cited.title,
        },
    }


def answer_headers(started: Started, ctx: Context) -> dict[str, str]:
    """What is told of an answer beside it: its trace, who gave it, what was left out, and the caller's limits."""
    headers = {"x-athanor-trace": ctx.trace, "x-athanor-model": started.target.encode("ascii", "replace").decode()}
    if started.cached:
        headers["x-athanor-cache"] = started.cached
    if started.dropped:
        headers["x-athanor-dropped"] = ", ".join(started.dropped)
    return headers | dict(started.headers)


def _head(ctx: Context, model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{ctx.trace}", "object": kind, "created": int(time.time()), "model": model}


def _reason(end: Finished) -> str:
    return "length" if end.reason is FinishReason.LENGTH else "stop"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _own(end: Finished, ctx: Context) -> dict[str, Any]:
    return {
        "trace": ctx.trace,
        "mode": end.mode,
        "abstained": end.abstained,
        "confidence": end.confidence,
        "dropped": end.dropped,
    }
