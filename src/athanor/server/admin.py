"""`/api/keys`, `/api/teams`, `/api/principals`, `/api/spending`: who may use the system, and how much of it.

Limits and scopes are changed by
merging (RFC 7396): what is not named stays, and `null` takes a limit away.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.errors import AthanorError, InputError
from athanor.gateway import App
from athanor.governance import Grant, Secret, Teams
from athanor.server.auth import application, principal
from athanor.server.rules import RULES
from athanor.server.wire.admin import KeyChange, Move, NewKey, NewTeam, Rotation, ScopesBody, TeamChange
from athanor.types import ALL_SCOPES, NO_LIMITS, ApiKey, Limits, Principal, Team

router = APIRouter(prefix="/api", tags=["administration"])


async def teams(app: App = Depends(application)) -> Teams:
    """The teams of the application."""
    return Teams(app.store, app.keys.forget)


@router.post("/keys", summary="Make a key; its secret is in this answer and nowhere else")
async def create_key(
    body: NewKey, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    _check_doors(body.scopes)
    grant = Grant(
        expires_at=body.expires_at(),
        scopes=body.scopes.over(ALL_SCOPES),
        limits=body.limits.over(NO_LIMITS),
        record_content=body.record_content,
    )
    key, secret = await to_thread.run_sync(
        lambda: app.keys.create(body.name, body.role, grant=grant, key_name=body.key_name, team=body.team, by=who)
    )
    return await _one(key, app) | {"secret": secret.reveal()}


@router.get("/keys", summary="Keys, without their secrets, and what they spent")
async def list_keys(app: App = Depends(application)) -> dict[str, Any]:
    pairs = await to_thread.run_sync(app.keys.list)
    return {"data": [_key(key, owner, app) for key, owner in pairs]}


@router.get("/keys/{key}", summary="One key")
async def get_key(key: str, app: App = Depends(application)) -> dict[str, Any]:
    return _key(*await to_thread.run_sync(app.keys.get, key), app)


@router.patch("/keys/{key}", summary="Change a key's name, end, scopes, limits or recording")
async def change_key(
    key: str, body: KeyChange, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    _check_doors(body.scopes)
    return await _one(await to_thread.run_sync(lambda: app.keys.change(key, body.over, by=who)), app)


@router.post("/keys/{key}/rotate", summary="Make a new secret for a key; the old one works on for a while")
async def rotate_key(
    key: str, body: Rotation, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    def rotate() -> tuple[ApiKey, Secret]:
        local = _is_local(app, key)
        made = app.keys.rotate(key, grace=3600 * body.grace_hours, by=who)
        if local:
            _write_local(app, made[1])
        return made

    new, secret = await to_thread.run_sync(rotate)
    app.limits.follow(key, new.id)
    old, _ = await to_thread.run_sync(app.keys.get, key)
    return await _one(new, app) | {"secret": secret.reveal(), "replaces": key, "old_ends_at": old.expires_at}


@router.delete("/keys/{key}", summary="Refuse a key from now on")
async def revoke_key(key: str, app: App = Depends(application), who: Principal = Depends(principal)) -> dict[str, Any]:
    await to_thread.run_sync(lambda: app.keys.revoke(key, by=who))
    return {"id": key, "revoked": True}


@router.get("/teams", summary="Teams, their members and what they spent")
async def list_teams(app: App = Depends(application), teams: Teams = Depends(teams)) -> dict[str, Any]:
    return {"data": [_team(team, app, members) for team, members in await to_thread.run_sync(teams.list)]}


@router.post("/teams", summary="Make a team")
async def create_team(
    body: NewTeam, app: App = Depends(application), teams: Teams = Depends(teams), who: Principal = Depends(principal)
) -> dict[str, Any]:
    limits = body.limits.over(NO_LIMITS)
    return _team(await to_thread.run_sync(lambda: teams.create(body.name, limits, by=who)), app)


@router.patch("/teams/{team}", summary="Change a team's limits")
async def change_team(
    team: str,
    body: TeamChange,
    app: App = Depends(application),
    teams: Teams = Depends(teams),
    who: Principal = Depends(principal),
) -> dict[str, Any]:
    return _team(await to_thread.run_sync(lambda: teams.limit(team, body.limits.over, by=who)), app)


@router.delete("/teams/{team}", summary="Delete a team without members")
async def delete_team(team: str, teams: Teams = Depends(teams), who: Principal = Depends(principal)) -> dict[str, Any]:
    gone = await to_thread.run_sync(lambda: teams.delete(team, by=who))
    return {"id": gone.id, "deleted": True}


@router.get("/principals", summary="People and programs, with their role and team")
async def list_principals(app: App = Depends(application)) -> dict[str, Any]:
    return {"data": [_principal(found) for found in await to_thread.run_sync(app.store.principals.list)]}


@router.patch("/principals/{name}", summary="Put a principal into a team, or into none")
async def move_principal(
    name: str, body: Move, teams: Teams = Depends(teams), who: Principal = Depends(principal)
) -> dict[str, Any]:
    return _principal(await to_thread.run_sync(lambda: teams.move(name, body.team, by=who)))


@router.get("/spending", summary="What the system, its teams and its keys spent today and this month, and may spend")
async def spending(app: App = Depends(application), teams: Teams = Depends(teams)) -> dict[str, Any]:
    found = await to_thread.run_sync(teams.list)
    keys = await to_thread.run_sync(app.keys.list)
    system = Limits(**app.settings.limits.model_dump())
    rows = [{"kind": "system", "id": "", "name": "system", "limits": asdict(system), **app.limits.spent("system", "")}]
    for team, _members in found:
        rows.append({"kind": "team", **_limited(team, app.limits.spent("team", team.id))})
    for key, _owner in keys:
        rows.append({"kind": "key", **_limited(key, app.limits.spent("key", key.id))})
    return {"data": rows}


def _is_local(app: App, key: str) -> bool:
    """Is it the key of whoever owns the home folder, which the command line reads there."""
    try:
        return app.keys.identify((app.settings.home / "local.key").read_text().strip())[1].id == key
    except (OSError, AthanorError):
        return False


def _write_local(app: App, secret: Secret) -> None:
    path = app.settings.home / "local.key"
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(secret.reveal())
    fresh.replace(path)


def _limited(noun: Team | ApiKey, spent: dict[str, float]) -> dict[str, Any]:
    return {"id": noun.id, "name": noun.name, "limits": asdict(noun.limits), **spent}


async def _one(key: ApiKey, app: App) -> dict[str, Any]:
    return _key(*await to_thread.run_sync(app.keys.get, key.id), app)


def _key(key: ApiKey, owner: Principal, app: App) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "principal": owner.name,
        "role": owner.role,
        "team": owner.team.name if owner.team else None,
        "state": _state(key),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "replaced_by": key.replaced_by,
        "record_content": key.record_content,
        "scopes": asdict(key.scopes),
        "limits": asdict(key.limits),
        "spent": app.limits.spent("key", key.id),
    }


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= time.time():
        return "expired"
    return "active" if key.replaced_by is None else "replaced"


def _team(team: Team, app: App, members: list[Principal] | None = None) -> dict[str, Any]:
    facts = {"id": team.id, "name": team.name, "created_at": team.created_at, "limits": asdict(team.limits)}
    facts["spent"] = app.limits.spent("team", team.id)
    return facts if members is None else facts | {"members": [_principal(member) for member in members]}


def _principal(found: Principal) -> dict[str, Any]:
    return {"id": found.id, "name": found.name, "role": found.role, "team": found.team.name if found.team else None}


def _check_doors(scopes: ScopesBody) -> None:
    """Refuse a name that no interface has: the key would silently open less than was meant.

    Raises:
        InputError: there is no interface with such a name.
    """
    known = sorted({rule.door for rule in RULES.values() if rule.door is not None})
    for door in scopes.doors or ():
        if "*" not in door and door not in known:
            raise InputError(
                f"There is no interface {door!r}.", where="scopes.doors", hint=f"There are: {', '.join(known)}."
            )
