"""`/api`: what OpenAI's API has no words for. Same services, same keys."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from athanor.errors import NotFoundError, PermissionDeniedError
from athanor.gateway import App
from athanor.gateway.search import admitted
from athanor.governance import Right, may, opens
from athanor.server.auth import application, context, principal
from athanor.server.jobs import job_body
from athanor.server.reach import key, reach, reader
from athanor.server.sse import JSON
from athanor.types import ALL_SCOPES, NO_LIMITS, ApiKey, Context, Hit, Job, JobItem, Principal, Reader

router = APIRouter(prefix="/api", tags=["athanor"], dependencies=[Depends(reach)])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SyncBody(_Body):
    """A folder on the server's own machine."""

    folder: str
    full: bool = False
    """Read every file, whatever its size and times say."""


class FeedbackBody(_Body):
    """A verdict on one answer."""

    trace: str
    rating: Annotated[int, Field(ge=-1, le=1)]
    comment: Annotated[str, Field(max_length=4000)] = ""


@router.get("/models", summary="Models with their state")
async def models(app: App = Depends(application)) -> dict[str, Any]:
    return {"data": app.router.cards()}


@router.get("/knowledge", summary="Knowledge bases")
async def bases(
    app: App = Depends(application),
    own: ApiKey = Depends(key),
    sees: Reader = Depends(reader),
) -> JSON:
    return JSON(
        {"data": [base for base in await app.knowledge.bases(reader=sees) if opens(own, "knowledge", base.name)]}
    )


@router.post("/knowledge/{base}/sync", summary="Bring a knowledge base in step with a folder of this machine")
async def sync(
    base: str,
    body: SyncBody,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    found = await app.knowledge.ensure(base, by=who)
    once = partial(app.sources.once, found, body.folder, full=body.full, reader=sees, by=who)
    job = await to_thread.run_sync(once)
    return await _job(app, job, who, sees)


@router.get("/knowledge/{base}/documents", summary="Documents of a knowledge base")
async def documents(base: str, app: App = Depends(application), sees: Reader = Depends(reader)) -> JSON:
    found = await app.knowledge.base(base, reader=sees)
    return JSON({"data": await app.knowledge.documents(found, reader=sees)})


@router.get("/knowledge/{base}/search", summary="Find passages, with the score of each leg")
async def search(
    base: str,
    query: str,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
    app: App = Depends(application),
    ctx: Context = Depends(context),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    found = await app.knowledge.base(base, reader=sees)
    query = await admitted(query, ctx, app, base=found.name)
    return {"data": [_hit(hit) for hit in await app.knowledge.search(found, query, limit=limit, reader=sees)]}


@router.get("/knowledge/{base}/suggestions", summary="Questions that the documents are likely to answer")
async def suggestions(base: str, app: App = Depends(application), sees: Reader = Depends(reader)) -> dict[str, Any]:
    return {"data": await app.knowledge.suggestions(await app.knowledge.base(base, reader=sees), reader=sees)}


@router.get("/documents/{document}", summary="One document")
async def document(document: str, app: App = Depends(application), sees: Reader = Depends(reader)) -> JSON:
    return JSON(await app.knowledge.document(document, reader=sees))


@router.get("/documents/{document}/text", summary="A document's source text, at any version")
async def text(
    document: str,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    app: App = Depends(application),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    return {"document": document, "version": version, "text": await app.knowledge.text(document, version, reader=sees)}


@router.delete("/documents/{document}", summary="Delete a document, all its versions")
async def remove(
    document: str, app: App = Depends(application), who: Principal = Depends(principal), sees: Reader = Depends(reader)
) -> dict[str, Any]:
    await app.knowledge.remove(document, reader=sees, by=who)
    return {"id": document, "deleted": True}


@router.get("/jobs", summary="Jobs, newest first")
async def jobs(
    app: App = Depends(application), who: Principal = Depends(principal), sees: Reader = Depends(reader)
) -> JSON:
    def seen() -> list[Job]:
        return [found for job in app.store.jobs.list() if (found := shown(app, job, who, sees)) is not None]

    return JSON({"data": await to_thread.run_sync(seen)})


@router.get("/jobs/{job}", summary="One job, with what there is to say about single items")
async def job(
    job: str, app: App = Depends(application), who: Principal = Depends(principal), sees: Reader = Depends(reader)
) -> dict[str, Any]:
    return await _job(app, await _find(app, job, who, sees), who, sees)


@router.post("/jobs/{job}/cancel", summary="Stop a job")
async def cancel(
    job: str, app: App = Depends(application), who: Principal = Depends(principal), sees: Reader = Depends(reader)
) -> dict[str, Any]:
    await _find(app, job, who, sees)
    await app.cancel(job, by=who)
    return await _job(app, await _find(app, job, who, sees), who, sees)


@router.post("/feedback", summary="A verdict on an answer: rating +1 or -1")
async def feedback(
    body: FeedbackBody, app: App = Depends(application), who: Principal = Depends(principal)
) -> dict[str, Any]:
    await app.rate(who, body.trace, body.rating, body.comment)
    return {"trace": body.trace, "rating": body.rating}


@router.get("/cache", summary="What the answer cache does, by model or route")
async def cache(app: App = Depends(application)) -> dict[str, Any]:
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


def shown(app: App, job: Job, who: Principal, sees: Reader) -> Job | None:
    """`job` as it may be shown; `None` where it does not exist for who asks.

    An operator is told of every job that there is one, and of those that work on hidden documents nothing else.
    """
    if app.knowledge.permissions.sees_job(job, principal=who, reader=sees):
        return job
    if not may(who, Right.OPERATE):
        return None
    base = job.arguments.get("knowledge_base")
    named = {} if base is None else {"knowledge_base": base}
    return replace(job, arguments=named, total=0, done=0, failed=0, message="", result={})


async def _find(app: App, job: str, who: Principal, sees: Reader) -> Job:
    """The job with this id as it may be shown. Raises `NotFoundError`."""

    def find() -> Job:
        found = shown(app, app.store.jobs.get(job), who, sees)
        if found is None:
            raise NotFoundError(f"There is no job {job!r}.")
        return found

    return await to_thread.run_sync(find)


async def _job(app: App, job: Job, who: Principal, sees: Reader) -> dict[str, Any]:
    def read() -> list[JobItem]:
        whole = app.store.jobs.get(job.id)
        return app.knowledge.permissions.seen_items(whole, app.store.jobs.items(job.id), principal=who, reader=sees)

    return job_body(job, await to_thread.run_sync(read))


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
