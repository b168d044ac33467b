"""`/v1/responses`: OpenAI's API of answers that are kept, so that the next request can go on from them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response, StreamingResponse

from athanor.errors import AthanorError, ConflictError, InputError, NotFoundError
from athanor.gateway import App, handle
from athanor.server.answers import STREAM, Blocks, answer_headers
from athanor.server.attachments import with_files
from athanor.server.auth import application, cache_use, context, principal
from athanor.server.door import Door
from athanor.server.items import Items, ResponseBody
from athanor.server.paging import page
from athanor.server.sse import JSON
from athanor.server.wire import ResponseRequest
from athanor.server.wire.responses import ITEMS, to_messages
from athanor.types import (
    NO_USAGE,
    CacheUse,
    Context,
    Event,
    Finished,
    Message,
    Principal,
    Started,
    StoredResponse,
    Usage,
)

router = APIRouter(tags=["responses"], route_class=Door)
stored = APIRouter(prefix="/v1/responses", tags=["responses"])
KEEP_SECONDS = 30 * 86400.0
_LONGEST = 1000
"""Turns of one conversation."""


@router.post(
    "/v1/responses", name="responses", summary="Answer, and keep the answer to go on from", response_class=JSON
)
async def create(
    body: ResponseRequest,
    app: App = Depends(application),
    ctx: Context = Depends(context),
    cache: CacheUse = Depends(cache_use),
) -> Response:
    before: list[Message] = []
    if body.previous_response_id is not None:
        before = await to_thread.run_sync(_history, app, body.previous_response_id, ctx.principal.id)
    request = await with_files(body.to_request(before, cache), app, ctx)
    events = handle(request, ctx, app)
    started = await anext(events)
    assert isinstance(started, Started)
    headers = answer_headers(started, ctx)
    made = ResponseBody(body, ctx, started)
    if not body.stream:
        answer = await whole(events, made)
        await keep(app, body, ctx, answer)
        return JSON(answer, headers=headers)
    stream = _stream(events, made, partial(keep, app, body, ctx))
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers | STREAM)


async def whole(events: AsyncIterator[Event], made: ResponseBody) -> dict[str, Any]:
    """The answer in one piece."""
    blocks, usage, end = Blocks(), NO_USAGE, Finished()
    async for event in events:
        if event.usage is not NO_USAGE:
            usage += event.usage
        if type(event) is Finished:
            end = event
        else:
            for _ in blocks.take(event):
                pass
    for _ in blocks.end():
        pass
    return made.finished(blocks, usage, end)


async def _stream(events: AsyncGenerator[Event, None], made: ResponseBody, kept: Any) -> AsyncIterator[bytes]:
    blocks, usage = Blocks(), NO_USAGE
    items = Items(made)
    try:
        # A client that leaves closes this generator between two events: the request behind it must be closed with it.
        async with aclosing(events):
            yield items.event("response.created", response=made.begun())
            yield items.event("response.in_progress", response=made.begun())
            async for event in events:
                if event.usage is not NO_USAGE:
                    usage += event.usage
                if type(event) is not Finished:
                    for step in blocks.take(event):
                        for raw in items.write(step):
                            yield raw
                    continue
                for step in blocks.end():
                    for raw in items.write(step):
                        yield raw
                answer = made.finished(blocks, usage, event)
                await kept(answer)
                yield items.event(f"response.{answer['status']}", response=answer)
    except AthanorError as error:
        for raw in _failed(error, items, made, blocks, usage):
            yield raw


def _failed(error: AthanorError, items: Items, made: ResponseBody, blocks: Blocks, usage: Usage) -> list[bytes]:
    message = f"{error.message} {error.hint}" if error.hint else error.message
    failure = made.failed(blocks, usage, error.status, message)
    return [
        items.event("error", code=error.code, message=message, param=error.where),
        items.event("response.failed", response=failure),
    ]


async def keep(app: App, body: ResponseRequest, ctx: Context, answer: Mapping[str, Any]) -> None:
    """Keep an answer for 30 days, unless the caller does not want that."""
    if body.store is False:
        return
    now = time.time()
    row = StoredResponse(
        id=answer["id"],
        principal=ctx.principal.id,
        previous=body.previous_response_id,
        created_at=now,
        expires_at=now + KEEP_SECONDS,
        body=answer,
        items=tuple(_input(body, answer["id"])),
    )
    await to_thread.run_sync(app.store.responses.insert, row)


def _input(body: ResponseRequest, response: str) -> list[dict[str, Any]]:
    """The input as items, each with an id."""
    suffix = response.removeprefix("resp_")
    if isinstance(body.input, str):
        content = [{"type": "input_text", "text": body.input}]
        return [{"id": f"msg_{suffix}_in0", "type": "message", "role": "user", "content": content}]
    found = []
    for i, item in enumerate(body.input):
        plain = item.model_dump(mode="json", exclude_none=True)
        found.append({"id": f"item_{suffix}_in{i}", **plain})
    return found


def _history(app: App, response: str, principal_: str) -> list[Message]:
    """What was said until a response, and in it.

    Raises:
        NotFoundError: it, or one before it, is not there, has expired, or belongs to another.
    """
    turns: list[StoredResponse] = []
    at: str | None = response
    while at is not None:
        if len(turns) == _LONGEST:
            raise InputError(f"A conversation has at most {_LONGEST} turns.", where="previous_response_id")
        try:
            turns.append(app.store.responses.get(at, principal=principal_))
        except NotFoundError:
            hint = "Responses are kept for 30 days, unless `store` is false. Send the whole conversation as `input`."
            raise NotFoundError(f"There is no response {at!r}.", where="previous_response_id", hint=hint) from None
        at = turns[-1].previous
    items = [item for turn in reversed(turns) for item in (*turn.items, *turn.body["output"])]
    return to_messages(ITEMS.validate_python(items))


@stored.get("/{response}", summary="Read a response that was kept")
async def retrieve(
    response: str, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    return dict((await _stored(app, response, who)).body)


@stored.delete("/{response}", summary="Forget a response")
async def delete(response: str, app: App = Depends(application), who: Principal = Depends(principal)) -> dict[str, Any]:
    await to_thread.run_sync(partial(app.store.responses.delete, response, principal=who.id))
    return {"id": response, "object": "response", "deleted": True}


@stored.get("/{response}/input_items", summary="What a response answered")
async def input_items(
    response: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
    app: App = Depends(application),
    who: Principal = Depends(principal),
) -> dict[str, Any]:
    items = list((await _stored(app, response, who)).items)
    if order == "desc":
        items.reverse()
    if after is not None:
        places = [i for i, item in enumerate(items) if item["id"] == after]
        if not places:
            raise NotFoundError(f"There is no item {after!r}.", where="after")
        items = items[places[0] + 1 :]
    return page(items[:limit], len(items) > limit)


@stored.post("/{response}/cancel", summary="Only answers made in the background could be cancelled; there are none")
async def cancel(response: str, app: App = Depends(application), who: Principal = Depends(principal)) -> dict[str, Any]:
    await _stored(app, response, who)
    raise ConflictError(
        "Only an answer that is made in the background can be cancelled, and this one is finished.",
        where=response,
        hint="Close the stream to stop an answer.",
    )


async def _stored(app: App, response: str, who: Principal) -> StoredResponse:
    return await to_thread.run_sync(partial(app.store.responses.get, response, principal=who.id))


router.include_router(stored)
