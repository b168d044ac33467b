"""The objects and events of `/v1/responses`: a response, its items, and what a stream tells of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from athanor.server.answers import Block, Blocks, Step, citation, graded_now, link, logprob_rows, own_fields
from athanor.server.sse import named
from athanor.server.wire import ResponseRequest
from athanor.types import (
    Cited,
    Context,
    Event,
    Finished,
    FinishReason,
    Graded,
    ReasoningDelta,
    Started,
    TextDelta,
    Usage,
)

_INCOMPLETE = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.FILTERED: "content_filter",
}
_PREFIXES = {"text": "msg", "reasoning": "rs", "call": "fc"}


class ResponseBody:
    """One response, at its beginning and at its end."""

    def __init__(self, body: ResponseRequest, ctx: Context, started: Started) -> None:
        self._ctx = ctx
        self._suffix = ctx.trace.removeprefix("tr_")
        self._base = self._fields(body)

    def _fields(self, body: ResponseRequest) -> dict[str, Any]:
        choice: Any = body.tool_choice or "auto"
        shape = body.text.format if body.text else None
        reasoning = body.reasoning
        return {
            "id": f"resp_{self._suffix}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": body.model,
            "output": [],
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "reasoning": {
                "effort": reasoning.effort if reasoning else None,
                "summary": (reasoning.summary or reasoning.generate_summary) if reasoning else None,
            },
            "safety_identifier": body.safety_identifier,
            "service_tier": "default",
            "store": body.store is not False,
            "temperature": body.temperature,
            "text": {"format": shape.model_dump(by_alias=True, exclude_none=True) if shape else {"type": "text"}},
            "tool_choice": choice if isinstance(choice, str) else choice.model_dump(),
            "tools": [tool.model_dump(exclude={"model_extra"}) for tool in body.tools or ()],
            "top_logprobs": body.top_logprobs or 0,
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": body.user,
        }

    def begun(self) -> dict[str, Any]:
        """Nothing has been said."""
        return self._base

    def finished(self, blocks: Blocks, usage: Usage, end: Finished) -> dict[str, Any]:
        """All has been said, or all that there was room for."""
        why = _INCOMPLETE.get(end.reason)
        output = [self.item(block) for block in blocks.blocks]
        if why is not None and output and output[-1]["type"] != "reasoning":
            output[-1]["status"] = "incomplete"
        return {
            **self._base,
            "status": "completed" if why is None else "incomplete",
            "completed_at": int(time.time()) if why is None else None,
            "incomplete_details": None if why is None else {"reason": why},
            "output": output,
            "usage": usage_body(usage),
            "athanor": own_fields(end, self._ctx, blocks.grades),
        }

    def failed(self, blocks: Blocks, usage: Usage, status: int, message: str) -> dict[str, Any]:
        """What was said until it failed."""
        output = [self.item(block) for block in blocks.blocks]
        if output and output[-1]["type"] != "reasoning":
            output[-1]["status"] = "incomplete"
        code = "rate_limit_exceeded" if status == 429 else "server_error"
        error = {"code": code, "message": message}
        return {**self._base, "status": "failed", "error": error, "output": output, "usage": usage_body(usage)}

    def id(self, block: Block) -> str:
        return f"{_PREFIXES[block.kind]}_{self._suffix}_{block.index}"

    def item(self, block: Block) -> dict[str, Any]:
        """A block as a finished item."""
        if block.kind == "text":
            content = [text_part(block)]
            return {
                "id": self.id(block),
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": content,
            }
        if block.kind == "reasoning":
            summary = [{"type": "summary_text", "text": block.text}] if block.text else []
            proof = {"encrypted_content": block.signature} if block.signature else {}
            return {"id": self.id(block), "type": "reasoning", "summary": summary, **proof}
        item = {
            "id": self.id(block),
            "type": "function_call",
            "call_id": block.id,
            "name": block.name,
            "arguments": block.text,
            "status": "completed",
        }
        return item | ({"athanor": {"signature": block.signature}} if block.signature else {})


def text_part(block: Block) -> dict[str, Any]:
    """The text of a message, with what it rests on."""
    return {
        "type": "output_text",
        "text": block.text,
        "annotations": [annotation(event, block) for event in block.cited],
        "logprobs": logprob_rows(block.logprobs),
    }


def annotation(event: Cited, block: Block) -> dict[str, Any]:
    """OpenAI's `url_citation`; positions are in the text of its part."""
    return {
        "type": "url_citation",
        "start_index": event.start - block.start,
        "end_index": event.end - block.start,
        "title": event.citation.title,
        "url": link(event),
        "citation": citation(event),
    }


def usage_body(usage: Usage) -> dict[str, Any]:
    """Tokens, in this API's words."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.written_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


class Items:
    """Writes the events of one stream, numbered."""

    def __init__(self, made: ResponseBody) -> None:
        self._made = made
        self._number = -1
        self._summaries: set[int] = set()
        """Blocks of reasoning whose text has begun."""

    def event(self, kind: str, **fields: Any) -> bytes:
        self._number += 1
        return named(kind, {"sequence_number": self._number, **fields})

    def write(self, step: Step) -> Iterator[bytes]:
        """The events of a step."""
        what, block, event = step
        if what == "open":
            yield from self._open(block)
        elif what == "close":
            yield from self._close(block)
        elif event is not None:
            yield from self._piece(block, event)

    def _at(self, block: Block, *, part: str = "content_index") -> dict[str, Any]:
        return {"item_id": self._made.id(block), "output_index": block.index, part: 0}

    def _open(self, block: Block) -> Iterator[bytes]:
        item = self._made.item(block)
        if block.kind == "text":
            item |= {"content": [], "status": "in_progress"}
        elif block.kind == "call":
            item |= {"arguments": "", "status": "in_progress"}
        yield self.event("response.output_item.added", output_index=block.index, item=item)
        if block.kind == "text":
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield self.event("response.content_part.added", **self._at(block), part=part)

    def _piece(self, block: Block, event: Event) -> Iterator[bytes]:
        if isinstance(event, TextDelta):
            rows = logprob_rows(event.logprobs) if event.logprobs else []
            yield self.event("response.output_text.delta", **self._at(block), delta=event.text, logprobs=rows)
        elif isinstance(event, Cited):
            place, note = len(block.cited) - 1, annotation(event, block)
            yield self.event(
                "response.output_text.annotation.added", **self._at(block), annotation_index=place, annotation=note
            )
        elif isinstance(event, Graded):
            if not block.done:
                empty: dict[str, Any] = {"delta": "", "logprobs": [], **graded_now(event)}
                yield self.event("response.output_text.delta", **self._at(block), **empty)
        elif isinstance(event, ReasoningDelta):
            if not event.text:
                return
            at = self._at(block, part="summary_index")
            if block.index not in self._summaries:
                self._summaries.add(block.index)
                part = {"type": "summary_text", "text": ""}
                yield self.event("response.reasoning_summary_part.added", **at, part=part)
            yield self.event("response.reasoning_summary_text.delta", **at, delta=event.text)
        else:
            at = {"item_id": self._made.id(block), "output_index": block.index}
            delta = getattr(event, "arguments", "")
            yield self.event("response.function_call_arguments.delta", **at, delta=delta)

    def _close(self, block: Block) -> Iterator[bytes]:
        item = self._made.item(block)
        if block.kind == "text":
            (part,) = item["content"]
            at = self._at(block)
            yield self.event("response.output_text.done", **at, text=block.text, logprobs=part["logprobs"])
            yield self.event("response.content_part.done", **at, part=part)
        elif block.kind == "reasoning" and block.text:
            at = self._at(block, part="summary_index")
            yield self.event("response.reasoning_summary_text.done", **at, text=block.text)
            yield self.event(
                "response.reasoning_summary_part.done", **at, part={"type": "summary_text", "text": block.text}
            )
        elif block.kind == "call":
            at = {"item_id": self._made.id(block), "output_index": block.index}
            yield self.event("response.function_call_arguments.done", **at, name=block.name, arguments=block.text)
        yield self.event("response.output_item.done", output_index=block.index, item=item)
