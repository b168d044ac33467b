"""`POST /v1/completions`: one prompt, one text, for clients from before conversations."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response, StreamingResponse

from athanor.errors import AthanorError
from athanor.gateway import App, handle
from athanor.server.answers import STREAM, answer_headers, graded_now, own_fields
from athanor.server.auth import application, cache_use, context
from athanor.server.chat import REASONS, usage_body
from athanor.server.door import Door
from athanor.server.errors import error_body
from athanor.server.sse import DONE, JSON, sse
from athanor.server.wire import CompletionRequest
from athanor.types import NO_USAGE, CacheUse, Context, Event, Finished, Graded, Started, TextDelta, TokenLogprob

router = APIRouter(tags=["chat"], route_class=Door)


@router.post("/v1/completions", name="completions", summary="Answer a prompt; for older clients", response_class=JSON)
async def completions(
    body: CompletionRequest,
    app: App = Depends(application),
    ctx: Context = Depends(context),
    cache: CacheUse = Depends(cache_use),
) -> Response:
    events = handle(body.to_request(cache), ctx, app)
    started = await anext(events)
    assert isinstance(started, Started)
    headers = answer_headers(started, ctx)
    if not body.stream:
        return JSON(await whole(events, body.model, ctx), headers=headers)
    usage = body.stream_options is not None and body.stream_options.include_usage
    stream = _chunks(events, body.model, ctx, with_usage=usage)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers | STREAM)


async def whole(events: AsyncIterator[Event], model: str, ctx: Context) -> dict[str, Any]:
    """The answer in one piece. Reasoning has no place in this API."""
    text: list[str] = []
    rows: list[TokenLogprob] = []
    grades: list[Graded] = []
    usage, end = NO_USAGE, Finished()
    async for event in events:
        if event.usage is not NO_USAGE:
            usage += event.usage
        if isinstance(event, TextDelta):
            text.append(event.text)
            rows += event.logprobs
        elif isinstance(event, Graded):
            grades.append(event)
        elif isinstance(event, Finished):
            end = event
    choice = {
        "index": 0,
        "text": "".join(text),
        "logprobs": _logprobs(rows, 0) if rows else None,
        "finish_reason": REASONS[end.reason],
    }
    return {
        **_head(ctx, model),
        "choices": [choice],
        "usage": usage_body(usage),
        "athanor": own_fields(end, ctx, grades),
    }


async def _chunks(
    events: AsyncGenerator[Event, None], model: str, ctx: Context, *, with_usage: bool
) -> AsyncIterator[bytes]:
    head = _head(ctx, model)
    usage, offset = NO_USAGE, 0
    grades: list[Graded] = []
    try:
        async with aclosing(events):
            async for event in events:
                if event.usage is not NO_USAGE:
                    usage += event.usage
                choice: dict[str, Any] = {"index": 0, "text": "", "logprobs": None, "finish_reason": None}
                if isinstance(event, TextDelta) and event.text:
                    choice["text"] = event.text
                    if event.logprobs:
                        choice["logprobs"] = _logprobs(event.logprobs, offset)
                    offset += len(event.text)
                    yield sse({**head, "choices": [choice]})
                elif isinstance(event, Graded):
                    grades.append(event)
                    yield sse({**head, "choices": [choice | graded_now(event)]})
                elif isinstance(event, Finished):
                    choice["finish_reason"] = REASONS[event.reason]
                    yield sse({**head, "choices": [choice], "athanor": own_fields(event, ctx, grades)})
            if with_usage:
                yield sse({**head, "choices": [], "usage": usage_body(usage)})
    except AthanorError as error:
        yield sse(error_body(error))
    yield DONE


def _logprobs(rows: Sequence[TokenLogprob], offset: int) -> dict[str, Any]:
    """In the columns that this API has; offsets are in the answer."""
    offsets = []
    for row in rows:
        offsets.append(offset)
        offset += len(row.token)
    return {
        "tokens": [row.token for row in rows],
        "token_logprobs": [row.logprob for row in rows],
        "top_logprobs": [dict(row.top) for row in rows],
        "text_offset": offsets,
    }


def _head(ctx: Context, model: str) -> dict[str, Any]:
    return {"id": f"cmpl-{ctx.trace}", "object": "text_completion", "created": int(time.time()), "model": model}
