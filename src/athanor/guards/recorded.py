"""What is written down of requests and answers: without what the policy's section `recorded` takes out.

Traces are redacted before they are handed to the store, so that neither the database nor its copies, nor the data sets
made of them, ever hold what was taken out. Answers in the cache are given again as they were, so they are not redacted;
instead, an answer to a request with personal data in it is kept for the same conversation alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from athanor.guards.arguments import readable, redact_json
from athanor.guards.judge import Judge
from athanor.guards.policy import Direction, Going
from athanor.guards.pseudonyms import Pseudonyms
from athanor.guards.redact import label, redact
from athanor.guards.run import Plan, Work
from athanor.guards.texts import pieces
from athanor.types import Content, Context, Decision, Origin, Request

_PLAIN = frozenset(
    (
        "model",
        "role",
        "id",
        "call",
        "mime",
        "data",
        "signature",
        "finish_reason",
        "mode",
        "detail",
        "effort",
        "document",
    )
)
"""Keys of recorded JSON whose values nobody wrote: names of ours, bytes, proofs."""
_ORIGINS = {"system": Origin.SYSTEM, "user": Origin.USER, "assistant": Origin.MODEL, "tool": Origin.TOOL}
_FLAGGED = frozenset({Decision.REDACT, Decision.BLOCK})


class Recorded:
    """The policies' word on what is kept."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    async def cleaned(self, content: Content, ctx: Context, model: str) -> Content:
        """`content` as it may be stored. A text that the policy blocks, or that a guard failed on that could have
        changed it, is left out whole.

        Raises:
            AthanorError: no policy can be found.
        """
        going = self._judge.going(ctx, model=model, base=model)
        plan = self._judge.plan(going, Direction.RECORDED)
        if not plan:
            return content
        walk = _Walk(self._judge, going, plan, self._judge.vault.hashes())
        return replace(
            content,
            request=await walk.mapping(content.request, Origin.USER),
            answer=await walk.mapping(content.answer, Origin.MODEL),
        )

    async def scope(self, scope: str, request: Request, ctx: Context) -> str:
        """With whom an answer to `request` may be shared, where `scope` is what the cache's settings say.

        Personal data and secrets narrow it to the same conversation of the same principal, whoever else uses the key.
        What the system prompt holds is everybody's.
        """
        going = self._judge.going(ctx, model=request.model, base=request.model)
        plan = self._judge.plan(going, Direction.RECORDED)
        if not plan:
            return scope
        work = Work()
        for piece in pieces(request):
            if piece.origin is Origin.SYSTEM or not piece.text or piece.place.startswith(("tools.", "json_schema")):
                continue
            looked = await self._judge.look(piece.text, piece.origin, going, plan, work)
            if any(finding.decision in _FLAGGED for finding in looked.findings):
                return f"{scope}:{ctx.principal.id}:{ctx.conversation}"
        return scope


class _Walk:
    """Every text of one record."""

    def __init__(self, judge: Judge, going: Going, plan: Plan, names: Pseudonyms) -> None:
        self._judge = judge
        self._going = going
        self._plan = plan
        self._names = names
        self._work = Work()

    async def mapping(self, value: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
        origin = _ORIGINS.get(str(value.get("role")), origin)
        return {
            key: inner if key in _PLAIN and isinstance(inner, str) else await self._any(inner, origin, key)
            for key, inner in value.items()
        }

    async def _any(self, value: Any, origin: Origin, key: str) -> Any:
        if isinstance(value, str):
            return await self._text(value, origin, json=key == "arguments")
        if isinstance(value, Mapping):
            return await self.mapping(value, origin)
        if isinstance(value, list | tuple):
            return [await self._any(inner, origin, key) for inner in value]
        return value

    async def _text(self, text: str, origin: Origin, *, json: bool) -> str:
        if not text:
            return text
        read = readable(text) if json else text
        looked = await self._judge.look(read, origin, self._going, self._plan, self._work)
        # The event is that of the request or the answer; that a record lacks it too is no further one.
        verdict = self._judge.settled(read, looked.findings, self._going, origin=origin, place="recorded", record=False)
        if verdict.decision is Decision.BLOCK:
            first = next(f for f in verdict.findings if f.decision is Decision.BLOCK)
            return f"[{label(first.category)}]"
        if verdict.decision is not Decision.REDACT:
            return text
        change = redact_json if json else redact
        return change(text, verdict.findings, self._plan.how, self._names).text
