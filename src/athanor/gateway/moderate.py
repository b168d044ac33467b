"""What happens to texts that are to be judged: the stages of `pipeline.handle`, with guards in place of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from athanor.errors import MissingExtraError
from athanor.gateway.app import App
from athanor.gateway.limits import estimate
from athanor.guards import Direction
from athanor.types import (
    Context,
    Decision,
    Finding,
    Message,
    Origin,
    Request,
    Role,
    Started,
    Usage,
)

HARMFUL = ("toxicity", "harm")
"""Families of categories without which a moderation would be empty words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What guards find in one text, and what the caller's policy would do about it in a request."""

    findings: tuple[Finding, ...]
    """As the guards propose them."""
    flagged: frozenset[str]
    """Categories that count: over the policy's threshold where it names one, else as the guard itself says."""
    decision: Decision

    def score(self, category: str) -> float:
        """The highest score of a category."""
        return max((f.score for f in self.findings if f.category == category), default=0.0)


async def moderate(model: str, texts: Sequence[str], ctx: Context, app: App) -> tuple[Started, list[Judged]]:
    """Every text as the guards judge it. Leaves one row in the ledger and one trace behind.

    Raises:
        MissingExtraError: no guard here judges what is harmful.
        RateLimitError: a limit has no room for it.
        AthanorError: a guard failed.
    """
    families = {category.partition(".")[0] for category in app.guards.categories()}
    if families.isdisjoint(HARMFUL):
        raise MissingExtraError("What judges harmful texts", extra="guards")
    async with app.ledger.open(model, ctx) as entry:
        entry.ctx.span.set(target=model)
        request = Request(model=model, messages=tuple(Message(role=Role.USER, content=text) for text in texts))
        most = estimate(request)
        with app.limits.reserve(ctx, tokens=most) as hold:
            entry.record(request)
            with entry.ctx.span.child("guards", texts=len(texts)):
                judged = [await _judged(text, entry.ctx, app) for text in texts]
            entry.usage = hold.usage = Usage(prompt_tokens=most)
            started = entry.started((), hold.headers())
    return started, judged


async def _judged(text: str, ctx: Context, app: App) -> Judged:
    found = await app.guards.scores(text, Origin.USER, ctx)
    going = app.guards.going(ctx)
    rules = going.policies.rules(going.policy, Direction.USER)
    decided = [rules.decided(finding) for finding in found]
    strongest = max((f.decision for f in decided if f is not None), key=lambda d: d.severity, default=Decision.ALLOW)
    return Judged(
        findings=tuple(found),
        flagged=frozenset(finding.category for finding in found if rules.rule(finding.category).counts(finding)),
        decision=strongest,
    )
