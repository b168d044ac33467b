"""Every step from a text to what would be done about it, for who wants to see why."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from athanor.guards.base import Guard
from athanor.guards.judge import Judge
from athanor.guards.normalise import subject_of
from athanor.guards.policy import Going, Policies, Rule
from athanor.guards.run import Plan, direction_of
from athanor.guards.subject import Subject
from athanor.types import Context, Decision, Finding, Origin, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one guard made of a text, and what the policy made of that."""

    guard: str
    ms: float
    needed: bool
    """Does the policy ask for it in this direction. What it finds otherwise has no consequence."""
    findings: tuple[Finding, ...] = ()
    """As the guard proposed them."""
    rules: tuple[Rule, ...] = ()
    """Of each finding: the one that counts."""
    decided: tuple[Decision, ...] = ()
    """Of each finding."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Every step from a text to what would be done about it."""

    subject: Subject
    prepared_ms: float
    stages: tuple[Stage, ...]
    verdict: Verdict
    policy: str
    """Name of the policy that counts; its version is the verdict's."""
    redacted: str
    """The text as it would go on; empty where it would not."""
    missing: dict[str, str]
    """Guards that are not there, and why."""


async def explain(
    judge: Judge,
    text: str,
    origin: Origin,
    ctx: Context,
    *,
    model: str = "",
    base: str | None = None,
    policies: Policies | None = None,
) -> Explanation:
    """Every step from `text` to what would be done about it. Nothing is kept, and nothing is remembered.

    Args:
        policies: by these, in place of those in force.
    """
    policies = policies or judge.book.current
    going = Going(policies=policies, policy=policies.of(ctx, base=base, model=model), ctx=ctx, model=model, base=base)
    rules = policies.rules(going.policy, direction_of(origin))
    plan = Plan(judge.guards, rules, version=policies.version, policy=going.policy.name, closed=False)
    began = time.perf_counter()
    subject = subject_of(text)
    prepared = (time.perf_counter() - began) * 1000
    stages = [await _stage(judge, guard, subject, origin, plan, ctx) for guard in judge.guards]
    decided = [
        replace(finding, decision=decision)
        for stage in stages
        for finding, decision in zip(stage.findings, stage.decided, strict=True)
        if decision is not Decision.ALLOW
    ]
    verdict = Verdict(findings=tuple(sorted(decided, key=lambda f: (f.start, f.end))), policy=policies.version)
    return Explanation(
        subject=subject,
        prepared_ms=prepared,
        stages=tuple(stages),
        verdict=verdict,
        policy=going.policy.name,
        redacted="" if verdict.decision is Decision.BLOCK else judge.redacted(text, verdict, plan),
        missing=judge.missing,
    )


async def _stage(judge: Judge, guard: Guard, subject: Subject, origin: Origin, plan: Plan, ctx: Context) -> Stage:
    needed = guard in plan.guards
    began = time.perf_counter()
    try:
        found, _ = await judge.runner.raw(guard, subject, origin, ctx)
    except Exception as error:  # shown to whoever asks
        ms = (time.perf_counter() - began) * 1000
        return Stage(guard=guard.name, ms=ms, needed=needed, error=str(error) or type(error).__name__)
    ms = (time.perf_counter() - began) * 1000
    decided = [plan.rules.decided(finding) for finding in found]
    return Stage(
        guard=guard.name,
        ms=ms,
        needed=needed,
        findings=tuple(found),
        rules=tuple(plan.rules.rule(finding.category) for finding in found),
        decided=tuple(Decision.ALLOW if one is None else one.decision for one in decided),
    )
