"""`/api/knowledge/{base}/sources`: folders and repositories that a knowledge base is kept in step with."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query

from athanor.gateway import App
from athanor.rag.sync_state import SourceStatus
from athanor.server.auth import application, principal
from athanor.server.jobs import job_body
from athanor.server.reach import reach, reader
from athanor.server.wire.sources import NewSource, SyncSources
from athanor.types import Job, Principal, Reader

router = APIRouter(prefix="/api/knowledge", tags=["sources"], dependencies=[Depends(reach)])


@router.get("/{base}/sources", summary="What a knowledge base is kept in step with, and how each source does")
async def list_sources(
    base: str, app: App = Depends(application), who: Principal = Depends(principal), sees: Reader = Depends(reader)
) -> dict[str, Any]:
    found = await app.knowledge.base(base, reader=sees)
    return {"data": [_source(one) for one in await to_thread.run_sync(partial(app.sources.list, found, reader=sees))]}


@router.post("/{base}/sources", summary="Keep a knowledge base in step with a folder or a git repository; synchronise")
async def add_source(
    base: str,
    body: NewSource,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    await to_thread.run_sync(app.sources.allow, body.place, who)  # before a base is made for it
    found = await app.knowledge.ensure(base, by=who)

    def add() -> tuple[str, Job]:
        if body.once:
            job = app.sources.once(found, body.place, full=body.full, reader=sees, by=who)
            return app.sources.allow(body.place, who), job
        made = app.sources.add(found, body.place, every=body.every, prefix=body.prefix, reader=sees, by=who)
        return made.origin, app.sources.sync(found, made.origin, full=body.full, reader=sees, by=who)

    origin, job = await to_thread.run_sync(add)
    return {"origin": origin, "registered": not body.once, "job": job_body(job)}


@router.post("/{base}/sources/sync", summary="Synchronise registered sources now")
async def sync_sources(
    base: str,
    body: SyncSources,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    found = await app.knowledge.base(base, reader=sees)

    def sync() -> list[Job]:
        named = [body.origin] if body.origin else [one.source.origin for one in app.sources.list(found, reader=sees)]
        return [app.sources.sync(found, origin, full=body.full, reader=sees, by=who) for origin in named]

    return {"data": [job_body(job) for job in await to_thread.run_sync(sync)]}


@router.delete("/{base}/sources", summary="Keep a knowledge base in step with a source no longer")
async def remove_source(
    base: str,
    origin: Annotated[str, Query(min_length=1, max_length=4096)],
    keep_documents: bool = False,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    found = await app.knowledge.base(base, reader=sees)
    remove = partial(app.sources.remove, found, origin, keep_documents=keep_documents, reader=sees, by=who)
    return {"origin": origin, "deleted": True, "documents_deleted": await to_thread.run_sync(remove)}


def _source(status: SourceStatus) -> dict[str, Any]:
    source, job = status.source, status.job
    return {
        "origin": source.origin,
        "every": source.every,
        "prefix": source.prefix,
        "created_at": source.created_at,
        "registered_by": status.registered_by,
        "synced_at": source.synced_at,
        "state": source.state,
        "due_at": status.due_at,
        "rests": status.rests,
        "failures": source.failures,
        "error": source.error,
        "documents": status.documents,
        "failed": status.failed,
        "job": None if job is None else job_body(job),
    }
