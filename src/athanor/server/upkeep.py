"""`/api/knowledge/{base}/contexts`, `/check` and `/settings`: contexts that a model writes for passages; is a base
sound; how it is searched.

The first two read documents that are closed to others: all of this takes the right to administer.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.errors import InputError
from athanor.gateway import App
from athanor.gateway.errand import run_errand
from athanor.observe import Action
from athanor.rag.check import check
from athanor.rag.generate import room
from athanor.rag.situate import LONGEST_PASSAGE, MAX_TOKENS
from athanor.server.auth import application, principal
from athanor.server.jobs import job_body
from athanor.server.reach import key, reach
from athanor.server.wire.upkeep import ContextsBody, SettingsBody
from athanor.types import AnswerMode, ApiKey, Principal

router = APIRouter(prefix="/api/knowledge", tags=["knowledge"], dependencies=[Depends(reach)])


def install(app: App) -> None:
    """Let jobs have contexts written by models, through the gateway."""
    app.contexts.speak(partial(run_errand, app))


@router.post("/{base}/contexts", summary="Have a model write what each passage is about; searches then use it")
async def write_contexts(
    base: str,
    body: ContextsBody,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    own: ApiKey = Depends(key),
) -> dict[str, Any]:
    found = await to_thread.run_sync(app.store.knowledge.get, base)
    name = body.model or app.models.default
    profile = (await app.router.engine(name)).profile
    if body.model is None and profile.grounded is not AnswerMode.GENERATIVE:
        raise InputError(
            f"{name!r} is not trusted to read passages; what it writes about them is of little use.",
            where="model",
            hint="Name an able model: 'athanor kb context NAME --model MODEL'.",
        )
    space = room(profile.context, MAX_TOKENS + LONGEST_PASSAGE)
    return job_body(await app.contexts.enqueue(found, model=name, room=space, key=own.id, limit=body.limit, by=who)) | {
        "model": name
    }


@router.delete("/{base}/contexts", summary="Take all contexts away, and search without them")
async def remove_contexts(
    base: str, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    found = await to_thread.run_sync(app.store.knowledge.get, base)
    return job_body(await app.contexts.enqueue(found, model=None, by=who))


@router.get("/{base}/check", summary="Is the base sound: rows, words, files, vector index")
async def check_base(base: str, app: App = Depends(application)) -> dict[str, Any]:
    found = await to_thread.run_sync(app.store.knowledge.get, base)
    made = await to_thread.run_sync(check, app.store, app.eraser.indexes, found)
    return asdict(made) | {"sound": made.sound}


@router.patch("/{base}/settings", summary="Change settings of retrieval: a new version of them, in use at once")
async def change_settings(
    base: str, body: SettingsBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    wanted = body.model_dump(exclude_unset=True, exclude={"note"})
    values = {name: value for name, value in wanted.items() if value is not None or name == "per_document"}

    def change() -> dict[str, Any]:
        with app.store.write() as conn:
            found = app.store.knowledge.get(base, conn=conn)
            settings = replace(found.settings, **values)
            if settings == found.settings:
                return {"version": found.version, "before": found.version, "settings": asdict(settings)}
            made = app.store.versions.add(found.id, settings, note=body.note or "Set by hand", conn=conn)
            app.store.versions.use(found.id, made.version, conn=conn)
            details = {"version": made.version, "before": found.version, **values}
            app.audit.record(Action.KNOWLEDGE_TUNED, by=who, subject=found.id, details=details, conn=conn)
        return {"version": made.version, "before": found.version, "settings": asdict(settings)}

    return await to_thread.run_sync(change)
