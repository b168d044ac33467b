"""`/api/users` and `/api/sessions`: who signs in to the console, and where they are signed in."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.gateway import App
from athanor.governance import Secret
from athanor.server.auth import application, principal
from athanor.server.wire.users import NewUser, UserChange
from athanor.types import Principal, Session, User

router = APIRouter(prefix="/api", tags=["administration"])


@router.get("/users", summary="Who signs in to the console")
async def list_users(app: App = Depends(application)) -> dict[str, Any]:
    return {"data": [_user(user) for user in await to_thread.run_sync(app.users.list)]}


@router.post("/users", summary="Let somebody sign in")
async def create_user(
    body: NewUser, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    password = None if body.password is None else Secret(body.password.get_secret_value())
    return _user(await to_thread.run_sync(lambda: app.users.create(body.name, body.role, password, by=who)))


@router.get("/users/{user}", summary="One user")
async def get_user(user: str, app: App = Depends(application)) -> dict[str, Any]:
    return _user(await to_thread.run_sync(app.store.users.get, user))


@router.patch("/users/{user}", summary="Change a user's role or password, disable or enable them; their sessions end")
async def change_user(
    user: str, body: UserChange, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    def change() -> User:
        found = app.store.users.get(user)
        if body.password is not None:
            found = app.users.set_password(user, Secret(body.password.get_secret_value()), by=who)
        if body.role is not None and body.role is not found.principal.role:
            found = app.users.set_role(user, body.role, by=who)
        if body.disabled is not None and body.disabled is not (found.disabled_at is not None):
            found = app.users.disable(user, disabled=body.disabled, by=who)
        return found

    return _user(await to_thread.run_sync(change))


@router.get("/sessions", summary="Sessions of the console that hold: one's own, or everybody's")
async def list_sessions(app: App = Depends(application), who: Principal = Depends(principal)) -> dict[str, Any]:
    return {"data": [_session(one) for one in await to_thread.run_sync(lambda: app.sessions.list(by=who))]}


@router.delete("/sessions/{session}", summary="End a session")
async def end_session(
    session: str, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    await to_thread.run_sync(lambda: app.sessions.end_one(session, by=who))
    return {"id": session, "ended": True}


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.principal.id,
        "name": user.principal.name,
        "role": user.principal.role,
        "password": user.has_password,
        "issuer": user.issuer,
        "created_at": user.created_at,
        "password_changed_at": user.changed_at,
        "disabled_at": user.disabled_at,
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "user": session.principal.name,
        "way": session.way,
        "agent": session.agent,
        "address": session.address,
        "created_at": session.created_at,
        "seen_at": session.seen_at,
        "expires_at": session.expires_at,
    }
