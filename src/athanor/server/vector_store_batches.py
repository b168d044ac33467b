"""`/v1/vector_stores/{id}/file_batches`: several uploads at once. A batch is its ingestion job."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.errors import NotFoundError
from athanor.gateway import App
from athanor.rag import Ingestion
from athanor.server.auth import application, principal
from athanor.server.paging import PAGING, Paging
from athanor.server.reach import reach, reader
from athanor.server.vector_store_files import (
    WAITING,
    State,
    attach,
    document_row,
    file_row,
    listed,
    own_files,
    passage_sizes,
)
from athanor.server.wire import FileBatchRequest
from athanor.types import Job, JobState, KnowledgeBase, Principal, Reader

router = APIRouter(prefix="/v1/vector_stores/{store}", tags=["knowledge"], dependencies=[Depends(reach)])


@router.post("/file_batches", summary="Add several uploaded files")
async def create_batch(
    store: str,
    body: FileBatchRequest,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    if body.files is not None:
        wanted = {file.file_id: file.attributes or {} for file in body.files}
        strategy = body.files[0].chunking_strategy
    else:
        wanted = {file: body.attributes or {} for file in body.file_ids or ()}
        strategy = body.chunking_strategy
    tokens = strategy.tokens() if strategy else None
    found = await own_files(app, list(wanted), who)
    job = await attach(app, base, found, who, attributes=wanted, chunk_tokens=tokens)
    return await _batch(app, base, job, sees)


@router.get("/file_batches/{batch}", summary="One batch, and how far it is")
async def get_batch(
    store: str,
    batch: str,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    return await _batch(app, base, await _job(app, base, batch, who, sees), sees)


@router.post("/file_batches/{batch}/cancel", summary="Stop a batch; what is indexed already stays")
async def cancel_batch(
    store: str,
    batch: str,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    job = await _job(app, base, batch, who, sees)
    if job.state in WAITING:
        await app.cancel(job.id, by=who)
    return await _batch(app, base, await _job(app, base, batch, who, sees), sees)


@router.get("/file_batches/{batch}/files", summary="The files of a batch")
async def batch_files(
    store: str,
    batch: str,
    filter: State | None = None,  # noqa: A002  OpenAI's name
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
    paging: Paging = PAGING,
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    rows = await _rows(app, base, await _job(app, base, batch, who, sees), sees)
    return listed(rows, filter, paging)


async def _job(app: App, base: KnowledgeBase, batch: str, who: Principal, sees: Reader) -> Job:
    missing = NotFoundError("There is no such batch in this knowledge base.", where=batch)
    try:
        job = await to_thread.run_sync(app.store.jobs.get, batch)
    except NotFoundError:
        raise missing from None
    if job.kind != Ingestion.KIND or job.arguments.get("knowledge_base") != base.id or "files" not in job.arguments:
        raise missing
    if not sees.everything and job.arguments.get("principal") != who.id:
        # Its files are another's uploads: a batch is its maker's.
        raise missing
    return job


async def _rows(app: App, base: KnowledgeBase, job: Job, sees: Reader) -> list[dict[str, Any]]:
    """The files of a batch. Deleted ones, and those whose documents were closed to the reader, are not among them."""
    documents = {d.file: d for d in await app.knowledge.documents(base, reader=sees) if d.file}
    lost = "cancelled" if job.state is JobState.CANCELLED else "failed"
    sizes = await passage_sizes(app, base)
    rows = []
    for file_id in job.arguments["files"].values():
        if file_id in documents:
            rows.append(document_row(base, documents[file_id], sizes))
        elif job.state is not JobState.DONE:
            status = "in_progress" if job.state in WAITING else lost
            rows.append(file_row(base, file_id, job.created_at, status, error=job.message, sizes=sizes))
    return rows


async def _batch(app: App, base: KnowledgeBase, job: Job, sees: Reader) -> dict[str, Any]:
    rows = await _rows(app, base, job, sees)
    states = ("in_progress", "completed", "failed", "cancelled")
    counts = {state: sum(row["status"] == state for row in rows) for state in states}
    # Clients poll until nothing is in progress, and read the status then: the job itself may end a moment later.
    waiting = "in_progress" if counts["in_progress"] or not rows else "completed"
    ended = {JobState.DONE: "completed", JobState.CANCELLED: "cancelled", JobState.FAILED: "failed"}
    return {
        "id": job.id,
        "object": "vector_store.files_batch",
        "created_at": int(job.created_at),
        "vector_store_id": base.id,
        "status": ended.get(job.state, waiting),
        "file_counts": {**counts, "total": len(rows)},
    }
