"""Anthropic's Messages API: `POST /v1/messages` and `POST /v1/messages/count_tokens`."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response, StreamingResponse

from athanor.engines.formats.translation import as_object
from athanor.errors import AthanorError, BlockedError, BudgetError
from athanor.gateway import App, handle
from athanor.gateway.limits import estimate
from athanor.server.answers import STREAM, Block, Blocks, Step, answer_headers, citation, graded_now, own_fields
from athanor.server.attachments import with_files
from athanor.server.auth import application, cache_use, context
from athanor.server.door import Door
from athanor.server.sse import JSON, named
from athanor.server.wire import CountRequest, MessagesRequest
from athanor.types import (
    NO_USAGE,
    CacheUse,
    Cited,
    Context,
    Event,
    Finished,
    FinishReason,
    Graded,
    Started,
    TextDelta,
    Usage,
)

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_REASONS = {
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.FILTERED: "refusal",
}
_LIMIT = re.compile(r"x-ratelimit-(limit|remaining|reset)-(requests|tokens)")


class MessagesDoor(Door):
    """A door whose errors and headers are Anthropic's."""

    def refusal(self, error: AthanorError) -> Mapping[str, Any]:
        return messages_error(error)

    def headers(self, error: AthanorError, trace: str) -> dict[str, str]:
        return with_anthropic_names(super().headers(error, trace), trace)


router = APIRouter(tags=["messages"], route_class=MessagesDoor)


@router.post("/v1/messages", name="messages", summary="Answer a conversation, in Anthropic's format")
async def messages(
    body: MessagesRequest,
    app: App = Depends(application),
    ctx: Context = Depends(context),
    cache: CacheUse = Depends(cache_use),
) -> Response:
    request = await with_files(body.to_message_request(cache), app, ctx)
    events = handle(request, ctx, app)
    started = await anext(events)
    assert isinstance(started, Started)
    headers = with_anthropic_names(answer_headers(started, ctx), ctx.trace)
    if not body.stream:
        return JSON(await _whole(events, body.model, ctx), headers=headers)
    return StreamingResponse(_stream(events, body.model, ctx), media_type="text/event-stream", headers=headers | STREAM)


@router.post("/v1/messages/count_tokens", name="messages", summary="Estimate the tokens of a message")
async def count_tokens(
    body: CountRequest, app: App = Depends(application), ctx: Context = Depends(context)
) -> Response:
    request = await with_files(body.to_request(), app, ctx)
    await app.router.resolve(request.model, ctx)  # whoever may not ask the model is told so here too
    return JSON({"input_tokens": estimate(request)}, headers={"request-id": ctx.trace})


async def _whole(events: AsyncIterator[Event], model: str, ctx: Context) -> dict[str, Any]:
    blocks, usage, end = Blocks(), NO_USAGE, Finished()
    async for event in events:
        if event.usage is not NO_USAGE:
            usage += event.usage
        if type(event) is Finished:
            end = event
        else:
            _run(blocks.take(event))
    _run(blocks.end())
    documents: dict[str, int] = {}
    return {
        **_head(ctx, model),
        "content": [_block(block, documents) for block in blocks.blocks],
        **_ending(end),
        "usage": usage_body(usage),
        "athanor": own_fields(end, ctx, blocks.grades),
    }


def _run(steps: Iterable[Step]) -> None:
    for _ in steps:
        pass


async def _stream(events: AsyncGenerator[Event, None], model: str, ctx: Context) -> AsyncIterator[bytes]:
    blocks, usage, writer = Blocks(), NO_USAGE, _Writer()
    begun = False
    try:
        # A client that leaves closes this generator between two events: the request behind it must be closed with it.
        async with aclosing(events):
            async for event in events:
                if event.usage is not NO_USAGE:
                    usage += event.usage
                if not begun:  # the first event knows of the prompt
                    begun = True
                    yield named("message_start", {"message": _empty(ctx, model, usage)})
                if type(event) is Finished:
                    for step in blocks.end():
                        yield writer.write(step)
                    own = own_fields(event, ctx, blocks.grades)
                    body = {"delta": _ending(event), "usage": usage_body(usage), "athanor": own}
                    yield named("message_delta", body)
                    yield named("message_stop", {})
                else:
                    for step in blocks.take(event):
                        if raw := writer.write(step):
                            yield raw
    except AthanorError as error:
        yield named("error", dict(messages_error(error)) | {"request_id": ctx.trace})


class _Writer:
    """Writes the events of blocks."""

    def __init__(self) -> None:
        self._documents: dict[str, int] = {}

    def write(self, step: Step) -> bytes:
        """The event of a step; empty where there is nothing to tell."""
        what, block, event = step
        if what == "open":
            return named("content_block_start", {"index": block.index, "content_block": _begun(block)})
        if what == "close":
            raw = named("content_block_stop", {"index": block.index})
            if block.kind == "reasoning" and block.signature and not block.redacted:
                return self._delta(block, {"type": "signature_delta", "signature": block.signature}) + raw
            return raw
        return self._piece(block, event)

    def _piece(self, block: Block, event: Event | None) -> bytes:
        if isinstance(event, Cited):
            note = _citation(event, self._documents)
            return b"" if block.done else self._delta(block, {"type": "citations_delta", "citation": note})
        if isinstance(event, Graded):
            return b"" if block.done else self._delta(block, {"type": "text_delta", "text": "", **graded_now(event)})
        if isinstance(event, TextDelta):
            return self._delta(block, {"type": "text_delta", "text": event.text})
        if block.kind == "reasoning":
            text = getattr(event, "text", "")
            return self._delta(block, {"type": "thinking_delta", "thinking": text}) if text else b""
        return self._delta(block, {"type": "input_json_delta", "partial_json": getattr(event, "arguments", "")})

    def _delta(self, block: Block, delta: dict[str, Any]) -> bytes:
        return named("content_block_delta", {"index": block.index, "delta": delta})


def _begun(block: Block) -> dict[str, Any]:
    """A block at its beginning."""
    if block.kind == "text":
        return {"type": "text", "text": "", "citations": None}
    if block.kind == "call":
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}, **_signed(block)}
    if block.redacted:
        return {"type": "redacted_thinking", "data": block.signature or ""}
    return {"type": "thinking", "thinking": "", "signature": ""}


def _block(block: Block, documents: dict[str, int]) -> dict[str, Any]:
    """A block as a whole."""
    if block.kind == "text":
        notes = [_citation(event, documents) for event in block.cited]
        return {"type": "text", "text": block.text, "citations": notes or None}
    if block.kind == "call":
        arguments = as_object(block.text)
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": arguments, **_signed(block)}
    if block.redacted:
        return {"type": "redacted_thinking", "data": block.signature or ""}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature or ""}


def _signed(block: Block) -> dict[str, Any]:
    return {"athanor": {"signature": block.signature}} if block.signature else {}


def _citation(event: Cited, documents: dict[str, int]) -> dict[str, Any]:
    """A `char_location` in the source text; where in the answer it belongs, and our own fields, are under `athanor`."""
    cited = event.citation
    return {
        "type": "char_location",
        "cited_text": cited.quote,
        "document_index": documents.setdefault(cited.document, len(documents)),
        "document_title": cited.title,
        "start_char_index": cited.start,
        "end_char_index": cited.end,
        "file_id": None,
        "athanor": {**citation(event), "answer_start": event.start, "answer_end": event.end},
    }


def _head(ctx: Context, model: str) -> dict[str, Any]:
    return {"id": f"msg_{ctx.trace}", "type": "message", "role": "assistant", "model": model}


def _empty(ctx: Context, model: str, usage: Usage) -> dict[str, Any]:
    rest: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    return {**_head(ctx, model), **rest, "usage": usage_body(usage)}


def _ending(end: Finished) -> dict[str, Any]:
    reason = _REASONS.get(end.reason) or ("end_turn" if end.stop is None else "stop_sequence")
    details = {"type": "refusal", "category": None, "explanation": None} if reason == "refusal" else None
    return {"stop_reason": reason, "stop_sequence": end.stop, "stop_details": details}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Tokens, in this API's words: those of the cache are not among `input_tokens`."""
    return {
        "input_tokens": max(0, usage.prompt_tokens - usage.cached_tokens - usage.written_tokens),
        "cache_creation_input_tokens": usage.written_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def messages_error(error: AthanorError) -> Mapping[str, Any]:
    """`{"type": "error", "error": {"type", "message"}}`, and our code and hint."""
    kind = _KINDS.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    if isinstance(error, BudgetError):
        kind = "billing_error"
    message = f"{error.message} {error.hint}" if error.hint else error.message
    own: dict[str, Any] = {"code": error.code, "param": error.where, "hint": error.hint}
    if isinstance(error, BlockedError):
        own["categories"] = [*error.categories]
    return {"type": "error", "error": {"type": kind, "message": message, **own}}


def with_anthropic_names(headers: Mapping[str, str], trace: str) -> dict[str, str]:
    """The same headers, and those of them that Anthropic's clients know by another name."""
    return {**headers, "request-id": trace, **dict(_limits(headers))}


def _limits(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        if found := _LIMIT.fullmatch(name):
            word, what = found.groups()
            if word == "reset":
                at = datetime.fromtimestamp(time.time() + float(value.removesuffix("s")), UTC)
                yield f"anthropic-ratelimit-{what}-reset", at.strftime("%Y-%m-%dT%H:%M:%SZ")
            else:
                yield f"anthropic-ratelimit-{what}-{word}", value
