"""`/api/guards`: what guards there are, what they found, what would be found in a text, and the policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query

from athanor.errors import ConfigError, ConflictError, InputError
from athanor.gateway import App
from athanor.guards import Explanation, Policies, explain
from athanor.guards.figures import published
from athanor.guards.reading import unheard
from athanor.observe import Action
from athanor.server.auth import application, context, principal
from athanor.server.jobs import job_body
from athanor.server.paging import page
from athanor.server.sse import JSON
from athanor.server.wire.guards import CheckBody, DryRunBody, EventsQuery, PoliciesBody
from athanor.types import Context, GuardEvent, Principal

router = APIRouter(prefix="/api/guards", tags=["guards"])

_Version = Annotated[str, Path(max_length=64, pattern="^[0-9a-f]+$")]


@router.get("", summary="The guards that are there, those that are not and why, and which policies are in force")
async def list_guards(app: App = Depends(application)) -> JSON:
    chain = app.guards
    figures = published()
    guards = [
        {
            "name": guard.name,
            "categories": sorted(guard.categories),
            "reach": guard.reach,
            "figures": figures.get(guard.name),
        }
        for guard in chain.guards
    ]
    return JSON(
        {
            "mode": chain.settings.mode,
            "policy": chain.book.current.version,
            "data": guards,
            "missing": [{"name": name, "why": why} for name, why in sorted(chain.missing.items())],
        }
    )


@router.get("/events", summary="What was found, newest first")
async def list_events(query: Annotated[EventsQuery, Query()], app: App = Depends(application)) -> JSON:
    def read() -> dict[str, Any]:
        wanted = query.model_dump()
        if wanted["principal"] is not None and (who := app.store.principals.find(wanted["principal"])) is not None:
            wanted["principal"] = who.id
        if wanted["key"] is not None:
            named = (key.id for key in app.store.keys.list() if key.name == wanted["key"])
            wanted["key"] = next(named, wanted["key"])
        limit = wanted.pop("limit")
        rows = app.store.guard_events.list(limit=limit + 1, **wanted)
        names = {who.id: who.name for who in app.store.principals.list()}
        return page([_event(row, names) for row in rows[:limit]], len(rows) > limit)

    return JSON(await to_thread.run_sync(read))


@router.get("/events/counts", summary="How often each category was found, and what was done")
async def count_events(
    since: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
    before: Annotated[float | None, Query(ge=0, allow_inf_nan=False)] = None,
    app: App = Depends(application),
) -> JSON:
    rows = await to_thread.run_sync(lambda: app.store.guard_events.counts(since=since, before=before))
    return JSON({"data": [{"category": c, "action": action, "count": count} for c, action, count in rows]})


@router.post("/check", summary="Every step from a text to what would be done about it; nothing is kept")
async def check(body: CheckBody, app: App = Depends(application), ctx: Context = Depends(context)) -> JSON:
    policies = None if body.policies is None else _checked(app, body.policies)
    if body.key is not None:
        key, _ = await to_thread.run_sync(app.keys.get, body.key)
        ctx = replace(ctx, key=key)
    why = await explain(app.guards, body.text, body.origin, ctx, model=body.model, base=body.base, policies=policies)
    return JSON(_explained(why))


@router.get("/policy", summary="The policies in force, and every version that was")
async def get_policy(app: App = Depends(application)) -> JSON:
    return JSON(await to_thread.run_sync(_policies, app, app.guards.book.current))


@router.get("/policy/{version}", summary="The policies as they were")
async def get_policy_version(version: _Version, app: App = Depends(application)) -> JSON:
    text = await to_thread.run_sync(app.guards.book.text, version)
    return JSON({"version": version, "text": text})


@router.put("/policy", summary="Put policies in force")
async def put_policy(body: PoliciesBody, app: App = Depends(application), who: Principal = Depends(principal)) -> JSON:
    book = app.guards.book

    def save() -> dict[str, Any]:
        before = book.current.version
        if body.replaces not in {None, before}:
            raise ConflictError(
                f"The policies are of version {before} by now.", where="replaces", hint="Read them again."
            )
        after = _checked(app, body.text)
        details = {"before": before, "after": after.version}
        # First the note of it: a change that nobody can explain is worse than a note of one that failed.
        app.audit.record(Action.GUARDS_CHANGED, by=who, subject="policies", details=details)
        return _policies(app, book.save(body.text))

    return JSON(await to_thread.run_sync(save))


@router.post("/policy/check", summary="Is a text good as policies; nothing is changed")
async def check_policy(body: PoliciesBody, app: App = Depends(application)) -> JSON:
    return JSON(_named(app, _checked(app, body.text)))


@router.post("/policy/dry-run", summary="What policies would have done with stored traffic: a job")
async def dry_run(
    body: DryRunBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    def enqueue() -> dict[str, Any]:
        if body.text is not None:
            _checked(app, body.text)
        details = {"days": body.days, "in_force": body.text is None}
        app.audit.record(Action.GUARDS_TRIED, by=who, subject="policies", details=details)
        return job_body(app.dry_runs.enqueue(by=who, text=body.text, days=body.days, limit=body.limit))

    return await to_thread.run_sync(enqueue)


def _checked(app: App, text: str) -> Policies:
    """Policies that a caller sent: a mistake in them is theirs.

    Raises:
        InputError: they are wrong; `where` names the line.
    """
    try:
        return app.guards.book.check(text)
    except ConfigError as error:
        raise InputError(error.message, where=error.where, hint=error.hint) from error


def _event(row: GuardEvent, names: Mapping[str, str]) -> dict[str, Any]:
    return {**asdict(row), "principal_name": names.get(row.principal, row.principal)}


def _policies(app: App, policies: Policies) -> dict[str, Any]:
    book = app.guards.book
    return {
        **_named(app, policies),
        "source": book.source,
        "problem": None if book.problem is None else str(book.problem),
        "text": policies.text,
        "versions": [asdict(kept) for kept in book.versions()],
    }


def _named(app: App, policies: Policies) -> dict[str, Any]:
    shown = [
        {
            "name": one.name,
            "about": one.about,
            "keys": [*one.keys],
            "models": [*one.models],
            "bases": [*one.bases],
            "extends": one.extends,
            "rules": [
                {
                    "direction": direction,
                    "pattern": rule.pattern,
                    "action": rule.action,
                    "threshold": rule.threshold,
                    "how": rule.how,
                }
                for direction, rules in one.rules.items()
                for rule in rules.values()
            ],
        }
        for one in policies.policies.values()
    ]
    return {"version": policies.version, "policies": shown, "unheard": unheard(policies, app.guards.categories())}


def _explained(why: Explanation) -> dict[str, Any]:
    subject, verdict = why.subject, why.verdict
    return {
        "decision": verdict.decision,
        "policy": {"name": why.policy, "version": verdict.policy},
        "plain": subject.plain,
        "odd": [*subject.odd],
        "decoded": [asdict(part) for part in subject.decoded],
        "prepared_ms": round(why.prepared_ms, 3),
        "stages": [
            {
                "guard": stage.guard,
                "ms": round(stage.ms, 3),
                "needed": stage.needed,
                "error": stage.error or None,
                "findings": [
                    {
                        **asdict(finding),
                        "proposed": finding.decision,
                        "decision": decision,
                        "rule": {
                            "policy": rule.policy,
                            "direction": rule.direction,
                            "pattern": rule.pattern,
                            "action": rule.action,
                            "threshold": rule.threshold,
                        }
                        if rule.policy
                        else None,
                    }
                    for finding, rule, decision in zip(stage.findings, stage.rules, stage.decided, strict=True)
                ],
            }
            for stage in why.stages
        ],
        "redacted": why.redacted,
        "missing": [{"name": name, "why": reason} for name, reason in sorted(why.missing.items())],
    }
