"""Passages of documents, before a model reads them: what is blocked was never found, what is redacted keeps its place.

A passage is a slice of its document, and citations count its characters. So what is taken out of one leaves as many
characters as there were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from athanor.guards.judge import Judge
from athanor.guards.policy import Direction, Going
from athanor.guards.redact import grouped, label
from athanor.guards.run import Plan, Work
from athanor.types import Context, Decision, Finding, Hit, Origin

_AT_ONCE = 8


async def screened(
    judge: Judge, hits: Sequence[Hit], ctx: Context, *, base: str | None = None, model: str = ""
) -> list[Hit]:
    """The passages that a model may read, as it may read them. Verdicts are remembered by what a passage says.

    Each passage that is changed or withheld leaves an event with its chunk's id; one that is only flagged does so when
    it is first seen.
    """
    going = judge.going(ctx, model=model, base=base)
    plan = judge.plan(going, Direction.DOCUMENT)
    if not plan or not hits:
        return [*hits]
    work = Work()
    kept: list[Hit] = []
    with ctx.span.child("guards", direction="document", policy=going.policy.name) as span:
        for at in range(0, len(hits), _AT_ONCE):
            some = await asyncio.gather(*(_screened(judge, hit, going, plan, work) for hit in hits[at : at + _AT_ONCE]))
            kept += [hit for hit in some if hit is not None]
        span.set(**work.attributes(), withheld=len(hits) - len(kept))
    return kept


async def _screened(judge: Judge, hit: Hit, going: Going, plan: Plan, work: Work) -> Hit | None:
    text = await _cleaned(judge, hit.chunk.text, hit.chunk.id, going, plan, work)
    title = await _cleaned(judge, hit.title, f"{hit.chunk.id}.title", going, plan, work)
    if text is None or title is None:
        return None
    if text is not hit.chunk.text:
        hit = replace(hit, chunk=replace(hit.chunk, text=text))
    return hit if title is hit.title else replace(hit, title=title)


async def _cleaned(judge: Judge, text: str, place: str, going: Going, plan: Plan, work: Work) -> str | None:
    if not text:
        return text
    looked = await judge.look(text, Origin.DOCUMENT, going, plan, work)
    if not looked.findings:
        return text
    only_flags = all(f.decision.severity <= Decision.FLAG.severity for f in looked.findings)
    verdict = judge.settled(
        text,
        looked.findings,
        going,
        origin=Origin.DOCUMENT,
        place=place,
        record=not (looked.remembered and only_flags),
    )
    if verdict.decision is Decision.BLOCK:
        return None
    return in_place(text, verdict.findings) if verdict.decision is Decision.REDACT else text


def in_place(text: str, findings: Sequence[Finding]) -> str:
    """`text` without what is to be redacted, and as long as it was."""
    pieces: list[str] = []
    at = 0
    for group in grouped(findings, len(text)):
        room = group.end - group.start
        mask = f"[{label(group.finding.category)}]"
        pieces += (text[at : group.start], (mask if len(mask) <= room else "·" * room).ljust(room))
        at = group.end
    return "".join((*pieces, text[at:]))
