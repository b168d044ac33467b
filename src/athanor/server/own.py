"""`/api`: what OpenAI's API has no words for. Same services, same keys."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from athanor.errors import PermissionDeniedError
from athanor.gateway import App
from athanor.governance import Right, opens, require
from athanor.server.auth import application, principal
from athanor.server.reach import key, reach
from athanor.server.sse import JSON
from athanor.types import ALL_SCOPES, NO_LIMITS, ApiKey, Hit, Job, Principal

router = APIRouter(prefix="/api", tags=["athanor"], dependencies=[Depends(reach)])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SyncBody(_Body):
    """A folder on the server's own machine."""

    folder: str


class FeedbackBody(_Body):
    """A verdict on one answer."""

    trace: str
    rating: Annotated[int, Field(ge=-1, le=1)]
    comment: Annotated[str, Field(max_length=4000)] = ""


@router.get("/models", summary="Models with their state")
async def models(app: App = Depends(application), _: Principal = Depends(principal)) -> dict[str, Any]:
    return {"data": app.router.cards()}


@router.get("/knowledge", summary="Knowledge bases")
async def bases(app: App = Depends(application), _: Principal = Depends(principal), own: ApiKey = Depends(key)) -> JSON:
    return JSON({"data": [base for base in await app.knowledge.bases() if opens(own, "knowledge", base.name)]})


@router.post("/knowledge/{base}/sync", summary="Bring a knowledge base in step with a folder of this machine")
async def sync(
    base: str, body: SyncBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    # Reading any folder of the machine is the owner's right, not a user's.
    require(who, Right.ADMINISTER)
    found = await app.knowledge.ensure(base, by=who)
    return await _job(app, await app.ingestion.enqueue_folder(found, Path(body.folder), by=who))


@router.get("/knowledge/{base}/documents", summary="Documents of a knowledge base")
async def documents(base: str, app: App = Depends(application), _: Principal = Depends(principal)) -> JSON:
    found = await app.knowledge.base(base)
    return JSON({"data": await app.knowledge.documents(found)})


@router.get("/knowledge/{base}/search", summary="Find passages, with the score of each leg")
async def search(
    base: str,
    query: str,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
    app: App = Depends(application),
    _: Principal = Depends(principal),
) -> dict[str, Any]:
    found = await app.knowledge.base(base)
    return {"data": [_hit(hit) for hit in await app.knowledge.search(found, query, limit=limit)]}


@router.get("/knowledge/{base}/suggestions", summary="Questions that the documents are likely to answer")
async def suggestions(base: str, app: App = Depends(application), _: Principal = Depends(principal)) -> dict[str, Any]:
    return {"data": await app.knowledge.suggestions(await app.knowledge.base(base))}


@router.get("/documents/{document}", summary="One document")
async def document(document: str, app: App = Depends(application), _: Principal = Depends(principal)) -> JSON:
    return JSON(await app.knowledge.document(document))


@router.get("/documents/{document}/text", summary="A document's source text, at any version")
async def text(
    document: str,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    app: App = Depends(application),
    _: Principal = Depends(principal),
) -> dict[str, Any]:
    return {"document": document, "version": version, "text": await app.knowledge.text(document, version)}


@router.delete("/documents/{document}", summary="Delete a document, all its versions")
async def remove(document: str, app: App = Depends(application), who: Principal = Depends(principal)) -> dict[str, Any]:
    require(who, Right.BUILD)
    await app.knowledge.remove(document, by=who)
    return {"id": document, "deleted": True}


@router.get("/jobs", summary="Jobs, newest first")
async def jobs(app: App = Depends(application), _: Principal = Depends(principal)) -> JSON:
    return JSON({"data": await to_thread.run_sync(app.store.jobs.list)})


@router.get("/jobs/{job}", summary="One job, with what there is to say about single items")
async def job(job: str, app: App = Depends(application), _: Principal = Depends(principal)) -> dict[str, Any]:
    return await _job(app, await to_thread.run_sync(app.store.jobs.get, job))


@router.post("/jobs/{job}/cancel", summary="Stop a job")
async def cancel(job: str, app: App = Depends(application), who: Principal = Depends(principal)) -> dict[str, Any]:
    require(who, Right.BUILD)
    await app.cancel(job, by=who)
    return await _job(app, await to_thread.run_sync(app.store.jobs.get, job))


@router.post("/feedback", summary="A verdict on an answer: rating +1 or -1")
async def feedback(
    body: FeedbackBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    await app.rate(who, body.trace, body.rating, body.comment)
    return {"trace": body.trace, "rating": body.rating}


@router.get("/cache", summary="What the answer cache does, by model or route")
async def cache(app: App = Depends(application), who: Principal = Depends(principal)) -> dict[str, Any]:
    require(who, Right.OPERATE)
    return {"data": [{"route": name, **asdict(state)} for name, state in app.cache.states().items()]}


@router.post("/links", summary="A one-time link that opens the console")
async def create_link(
    app: App = Depends(application), who: Principal = Depends(principal), by: ApiKey = Depends(key)
) -> dict[str, Any]:
    if by.scopes != ALL_SCOPES or by.limits != NO_LIMITS:
        # A session carries no key: it would open what the key does not, and spend beyond its limits.
        raise PermissionDeniedError(
            "This key is limited, and the console would not be.", hint="Use a key without limits."
        )
    token = await to_thread.run_sync(app.links.create, who)
    return {"path": f"/console/login?token={token.reveal()}"}


async def _job(app: App, job: Job) -> dict[str, Any]:
    items = await to_thread.run_sync(app.store.jobs.items, job.id)
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "message": job.message,
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "attempts": job.attempts,
        "result": dict(job.result),
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "items": [{"key": i.key, "state": i.state, "message": i.message} for i in items if i.message],
    }


def _hit(hit: Hit) -> dict[str, Any]:
    chunk = hit.chunk
    return {
        "document": chunk.document,
        "version": hit.document_version,
        "source": hit.source,
        "title": hit.title,
        "heading": chunk.heading,
        "page": chunk.page,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "score": hit.score,
        "lexical": hit.lexical,
        "dense": hit.dense,
        "reranker": hit.reranker,
    }
