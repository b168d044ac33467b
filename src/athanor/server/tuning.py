"""`/api/knowledge/{base}/questions` and `/tune`: what a base is measured by, and settings chosen by measuring.

Questions tell of documents that are closed to others: all of this takes the right to administer.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query

from athanor.errors import AthanorError, NotFoundError
from athanor.gateway import App
from athanor.gateway.errand import run_errand
from athanor.rag.evaluation.measure import resolved
from athanor.rag.evaluation.questions import How, Writer
from athanor.server.auth import application, principal
from athanor.server.jobs import job_body
from athanor.server.reach import key, reach
from athanor.server.wire.tuning import GenerateBody, NewQuestion, NewQuestions, Origin, TuneBody
from athanor.types import AnswerMode, ApiKey, KnowledgeBase, Principal, Question

router = APIRouter(prefix="/api/knowledge", tags=["evaluation"], dependencies=[Depends(reach)])


def install(app: App) -> None:
    """Let jobs have questions written by models, through the gateway."""
    app.questions.speak(partial(run_errand, app))


@router.get("/{base}/questions", summary="The questions that a knowledge base is measured by")
async def list_questions(
    base: str,
    origin: Origin | None = None,
    app: App = Depends(application),
) -> dict[str, Any]:
    def read() -> list[Question]:
        return app.store.questions.list(app.store.knowledge.get(base).id, origin=origin)

    return {"data": [_question(one) for one in await to_thread.run_sync(read)]}


@router.post("/{base}/questions", summary="Add questions of your own; those in the same words are replaced")
async def add_questions(
    base: str, body: NewQuestions, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    def add() -> dict[str, Any]:
        found = app.store.knowledge.get(base)
        kept = app.questions.add(found, [_new(one, found) for one in body.questions], by=who)
        unknown = sorted({name for one in resolved(app.store, found, kept) for name in one.unknown})
        return {"added": len(kept), "unknown": unknown, "data": [_question(one) for one in kept]}

    return await to_thread.run_sync(add)


@router.post("/{base}/questions/generate", summary="Make questions from passages, or from answers people accepted")
async def generate(
    base: str,
    body: GenerateBody,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    own: ApiKey = Depends(key),
) -> dict[str, Any]:
    found = await to_thread.run_sync(app.store.knowledge.get, base)
    how, writer = await _writer(app, body, own)
    job = await app.questions.enqueue(found, count=body.count, how=how, writer=writer, seed=body.seed, by=who)
    return job_body(job) | {"how": how, "model": None if writer is None else writer.model}


@router.delete("/{base}/questions/{question}", summary="Delete a question")
async def delete_question(
    base: str, question: str, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    def delete() -> None:
        found = app.store.knowledge.get(base)
        if not app.questions.delete(found, ids=[question], by=who):
            raise NotFoundError(f"{found.name!r} has no question {question!r}.", where="question")

    await to_thread.run_sync(delete)
    return {"id": question, "deleted": True}


@router.delete("/{base}/questions", summary="Delete the questions of one origin")
async def delete_questions(
    base: str,
    origin: Annotated[Origin, Query()],
    app: App = Depends(application),
    who: Principal = Depends(principal),
) -> dict[str, Any]:
    def delete() -> int:
        return app.questions.delete(app.store.knowledge.get(base), origin=origin, by=who)

    return {"deleted": await to_thread.run_sync(delete)}


@router.post("/{base}/tune", summary="Choose the settings of retrieval by the base's own questions")
async def tune(
    base: str, body: TuneBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    found = await to_thread.run_sync(app.store.knowledge.get, base)
    job = await app.tuning.enqueue(found, by=who, budget=body.budget, allow_slow=body.allow_slow, dry_run=body.dry_run)
    return job_body(job)


async def _writer(app: App, body: GenerateBody, own: ApiKey) -> tuple[How, Writer | None]:
    """How questions are made, and the model that writes them.

    Raises:
        AthanorError: a model is asked for by name, or by `model`, and cannot be had.
    """
    if body.how in ("rules", "feedback"):
        return body.how, None
    name = body.model or app.models.default
    try:
        profile = (await app.router.engine(name)).profile
    except AthanorError:
        if body.how == "model" or body.model is not None:
            raise
        return "rules", None
    if body.how == "auto" and body.model is None and profile.grounded is not AnswerMode.GENERATIVE:
        return "rules", None  # not trusted to read a passage
    return "model", Writer(model=name, schema=profile.json_schema, key=own.id)


def _new(one: NewQuestion, base: KnowledgeBase) -> Question:
    relevant = one.relevant if isinstance(one.relevant, dict) else dict.fromkeys(one.relevant, 1.0)
    return Question(id="", base=base.id, text=one.text, relevant=relevant, answer=one.answer)


def _question(one: Question) -> dict[str, Any]:
    return {
        "id": one.id,
        "text": one.text,
        "relevant": dict(one.relevant),
        "answer": one.answer,
        "origin": one.origin,
    }
