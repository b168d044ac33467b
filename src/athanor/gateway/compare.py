"""Asking recorded requests again, of another model, and comparing what it says with what was said then."""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cache
from operator import mul
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from athanor.engines import Embedder
from athanor.errors import InputError
from athanor.gateway.app import App
from athanor.gateway.cache.agree import signature
from athanor.gateway.pipeline import handle
from athanor.observe.content import Recording
from athanor.rag.facts import numbers
from athanor.types import NO_USAGE, Attachment, CacheUse, Content, Context, Image, Request, Text

SIMILAR = 0.85
"""Cosine of the embeddings of two answers from which on they say the same, if nothing else speaks against it."""
_VERDICT = re.compile(r"\W*(yes|no|true|false)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two answers to one request."""

    similarity: float | None
    """Cosine of their embeddings; `None` where one has no text."""
    numbers_agree: bool
    """Each number in one is in the other."""
    denials_agree: bool
    """Both deny something or neither does, and neither begins with a Yes where the other has a No."""
    calls_agree: bool
    """They call the same tools with the same arguments."""

    @property
    def same(self) -> bool:
        """Would the answer have stayed the same, as far as this can tell. It errs towards no: see design/routing.md."""
        alike = self.similarity is None or self.similarity >= SIMILAR
        return alike and self.numbers_agree and self.denials_agree and self.calls_agree


def request_of(content: Content) -> Request:
    """The request that was recorded.

    Raises:
        InputError: a redaction has left nothing that could be asked.
    """
    body = dict(content.request)
    try:
        body["messages"] = [_message(message) for message in body["messages"]]
        return _requests().validate_python(body)
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise InputError("The recorded request cannot be asked again.", where=content.trace) from error


@cache
def _requests() -> TypeAdapter[Request]:
    return TypeAdapter(Request)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    # What is empty was not recorded.
    return {"content": "", **message, "parts": [_part(part) for part in message.get("parts", ())]}


def _part(part: Mapping[str, Any]) -> Text | Image | Attachment:
    if "text" in part:
        return Text(**part)
    return Image(**part) if str(part.get("mime", "")).startswith("image/") else Attachment(**part)


async def compare(old: Mapping[str, Any], new: Mapping[str, Any], embedder: Embedder) -> Comparison:
    """Compare two recorded answers."""
    before, after = str(old.get("content", "")), str(new.get("content", ""))
    similarity: float | None = None
    if before.strip() and after.strip():
        vectors = (await embedder.embed([before, after], kind="document")).rows()
        left, right = (array("f", vector) for vector in vectors)
        similarity = sum(map(mul, left, right))
    elif before.strip() or after.strip():
        similarity = 0.0
    return Comparison(
        similarity=similarity,
        numbers_agree=numbers(before) == numbers(after),
        denials_agree=_denial(before) == _denial(after),
        calls_agree=_calls(old) == _calls(new),
    )


async def ask_again(content: Content, target: str, ctx: Context, app: App) -> dict[str, Any]:
    """Ask `target` what was asked in `content`, through the whole of the gateway, and compare the answers.

    It is billed to whoever asks, and leaves a row in the ledger as any other request. No answer is taken from the
    cache, and none is put there.

    Raises:
        AthanorError: it cannot be asked, or the model failed.
    """
    request = replace(request_of(content), model=target, stream=False, cache=CacheUse(read=False, write=False))
    recording, usage = Recording(request), NO_USAGE
    async with aclosing(handle(request, ctx, app)) as events:
        async for event in events:
            recording.add(event)
            usage += event.usage
    answer = recording.content(ctx.trace, 0.0).answer
    found = await compare(content.answer, answer, app.embedder)
    return {
        "trace": content.trace,
        "target": target,
        "same": found.same,
        "similarity": found.similarity,
        "numbers_agree": found.numbers_agree,
        "denials_agree": found.denials_agree,
        "calls_agree": found.calls_agree,
        "cost": usage.cost,
        "asked_as": ctx.trace,
    }


def _denial(text: str) -> tuple[str, bool]:
    """The word that begins it, if that is a verdict, and whether it says not, no or never anywhere."""
    verdict = _VERDICT.match(text)
    return verdict[1].lower() if verdict else "", signature(text).denials > 0


def _calls(answer: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found = []
    for call in answer.get("tool_calls", ()):
        try:
            arguments: Any = orjson.loads(call.get("arguments", "") or "{}")
        except orjson.JSONDecodeError:
            arguments = call.get("arguments", "")
        found.append((str(call.get("name", "")), arguments))
    return found
