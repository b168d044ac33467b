"""`/api/knowledge/{base}/evaluations`, `/versions` and `/rollback`: how well a base does, and which settings it uses.

Figures of a whole base tell of documents that are closed to others: all of this takes the right to administer.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query

from athanor.gateway import App
from athanor.gateway.errand import answer_errand
from athanor.rag.evaluation.asked import Asked
from athanor.rag.evaluation.scores import about
from athanor.server.auth import application, principal
from athanor.server.jobs import job_body
from athanor.server.reach import key, reach
from athanor.server.wire.evaluations import EvaluateBody, RollbackBody
from athanor.types import DEFAULT_RETRIEVAL, ApiKey, Evaluation, Principal, RetrievalSettings

router = APIRouter(prefix="/api/knowledge", tags=["evaluation"], dependencies=[Depends(reach)])


def install(app: App) -> None:
    """Let jobs have questions answered, through the gateway."""
    app.evaluations.speak(partial(answer_errand, app))


@router.post("/{base}/evaluations", summary="Measure how well a knowledge base finds and answers")
async def evaluate(
    base: str,
    body: EvaluateBody,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    own: ApiKey = Depends(key),
) -> dict[str, Any]:
    found = await to_thread.run_sync(app.store.knowledge.get, base)
    questions = None if body.questions is None else [Asked(**one.model_dump()) for one in body.questions]
    job = await app.evaluations.enqueue(
        found, by=who, key=own, questions=questions, name=body.name, answers=body.answers, version=body.version
    )
    return job_body(job)


@router.get("/{base}/evaluations", summary="Evaluations, newest first")
async def list_evaluations(
    base: str,
    version: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
    questions: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    app: App = Depends(application),
) -> dict[str, Any]:
    def read() -> list[Evaluation]:
        found = app.store.knowledge.get(base)
        return app.store.evaluations.list(found.id, version=version, questions=questions, limit=limit)

    return {"data": [_evaluation(one) for one in await to_thread.run_sync(read)]}


@router.get("/{base}/evaluations/{evaluation}", summary="One evaluation, with the values of every question")
async def get_evaluation(base: str, evaluation: str, app: App = Depends(application)) -> dict[str, Any]:
    def read() -> Evaluation:
        return app.evaluations.get(app.store.knowledge.get(base), evaluation)

    found = await to_thread.run_sync(read)
    return _evaluation(found) | {"details": [dict(entry) for entry in found.details]}


@router.get("/{base}/evaluations/{evaluation}/compare", summary="Two evaluations, question by question")
async def compare_evaluations(
    base: str,
    evaluation: str,
    against: Annotated[str | None, Query(max_length=200)] = None,
    app: App = Depends(application),
) -> dict[str, Any]:
    def read() -> dict[str, Any]:
        return app.evaluations.compare(app.store.knowledge.get(base), evaluation, against)

    return await to_thread.run_sync(read)


@router.get("/{base}/versions", summary="Versions of the settings of retrieval, newest first")
async def versions(base: str, app: App = Depends(application)) -> dict[str, Any]:
    def read() -> list[dict[str, Any]]:
        with app.store.read() as conn:
            found = app.store.knowledge.get(base, conn=conn)
            made = app.store.versions.list(found.id, conn=conn)
        rows = [
            {
                "version": one.version,
                "in_use": one.version == found.version,
                "created_at": one.created_at,
                "note": one.note,
                **_settings(one.settings),
                "figures": dict(one.figures),
            }
            for one in made
        ]
        defaults = {"version": 0, "in_use": found.version == 0, "created_at": None, "note": "The defaults"}
        return [*rows, {**defaults, **_settings(DEFAULT_RETRIEVAL), "figures": {}}]

    return {"data": await to_thread.run_sync(read)}


@router.post("/{base}/rollback", summary="Search by another version of the settings from now on")
async def rollback(
    base: str, body: RollbackBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    def use() -> dict[str, Any]:
        before, found = app.evaluations.use(app.store.knowledge.get(base), body.version, by=who)
        settings = DEFAULT_RETRIEVAL if found is None else found.settings
        return {"version": body.version, "before": before, **_settings(settings)}

    return await to_thread.run_sync(use)


def _settings(settings: RetrievalSettings) -> dict[str, Any]:
    values = asdict(settings)
    changed = {name: value for name, value in values.items() if value != getattr(DEFAULT_RETRIEVAL, name)}
    return {"settings": values, "changed": changed}


def _evaluation(one: Evaluation) -> dict[str, Any]:
    return about(one) | {"figures": dict(one.figures), "asked": len(one.details)}
