"""`/v1/batches`: a file of requests, answered in the background."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, get_args

from anyio import to_thread
from fastapi import APIRouter, Depends, Query

from athanor.errors import NotFoundError
from athanor.gateway import App
from athanor.gateway.batches import Batches, batch_id
from athanor.server.auth import application, context
from athanor.server.paging import page
from athanor.server.wire import BatchRequest
from athanor.types import Context, Job, JobState

router = APIRouter(prefix="/v1/batches", tags=["batches"])
ENDPOINTS: frozenset[str] = frozenset(get_args(BatchRequest.model_fields["endpoint"].annotation))
"""What a line can be sent to."""
_STATES = {
    JobState.QUEUED: "validating",
    JobState.RUNNING: "in_progress",
    JobState.DONE: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


@router.post("", summary="Answer a file of requests in the background")
async def create(
    body: BatchRequest, app: App = Depends(application), ctx: Context = Depends(context)
) -> dict[str, Any]:
    file = await to_thread.run_sync(app.store.files.get, body.input_file_id)
    if file.principal != ctx.principal.id:
        # The same answer as for a file that is not there: existence is not revealed.
        raise NotFoundError(f"There is no file {file.id!r}.")
    return await _wire(await app.batches.create(file, body.endpoint, ctx, body.metadata), app)


@router.get("", summary="List one's batches, newest first")
async def list_batches(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
    app: App = Depends(application),
    ctx: Context = Depends(context),
) -> dict[str, Any]:
    found: list[Job] = []
    before = None if after is None else _job_id(after)
    while len(found) <= limit:
        listing = partial(app.store.jobs.list, kind=Batches.KIND, limit=200, before=before)
        jobs = await to_thread.run_sync(listing)
        found += [job for job in jobs if job.arguments["principal"] == ctx.principal.id]
        if len(jobs) < 200:
            break
        before = jobs[-1].id
    return page([await _wire(job, app) for job in found[:limit]], len(found) > limit)


@router.get("/{batch}", summary="How far a batch is, and its files")
async def retrieve(batch: str, app: App = Depends(application), ctx: Context = Depends(context)) -> dict[str, Any]:
    return await _wire(await _own(batch, app, ctx), app)


@router.post("/{batch}/cancel", summary="Stop a batch; what is answered is kept")
async def cancel(batch: str, app: App = Depends(application), ctx: Context = Depends(context)) -> dict[str, Any]:
    job = await _own(batch, app, ctx)
    await app.cancel(job.id, by=ctx.principal)
    return await _wire(await _own(batch, app, ctx), app)


def _job_id(batch: str) -> str:
    return f"job_{batch.removeprefix('batch_')}"


async def _own(batch: str, app: App, ctx: Context) -> Job:
    missing = NotFoundError(f"There is no batch {batch!r}.", where="batch_id")
    if not batch.startswith("batch_"):
        raise missing
    try:
        job = await to_thread.run_sync(app.store.jobs.get, _job_id(batch))
    except NotFoundError:
        raise missing from None
    if job.kind != Batches.KIND or job.arguments["principal"] != ctx.principal.id:
        raise missing
    await app.batches.settle(job)
    return job


async def _wire(job: Job, app: App) -> dict[str, Any]:
    """A batch in OpenAI's shape."""
    status = _STATES[job.state]
    if job.state is JobState.CANCELLED and app.batches.busy(job):
        status = "cancelling"
    if job.result.get("expired"):
        status = "expired"
    ended = int(job.updated_at)
    problem = {"code": "invalid_request", "message": job.message, "line": None, "param": None}
    return {
        "id": batch_id(job),
        "object": "batch",
        "endpoint": job.arguments["endpoint"],
        "errors": {"object": "list", "data": [problem]} if status == "failed" else None,
        "input_file_id": job.arguments["file"],
        "completion_window": "24h",
        "status": status,
        "output_file_id": await _file(job, "o", app),
        "error_file_id": await _file(job, "e", app),
        "created_at": int(job.created_at),
        "in_progress_at": None if job.state is JobState.QUEUED else int(job.created_at),
        "expires_at": int(job.arguments["expires_at"]),
        "finalizing_at": None,
        "completed_at": ended if status == "completed" else None,
        "failed_at": ended if status == "failed" else None,
        "expired_at": ended if status == "expired" else None,
        "cancelling_at": ended if status in {"cancelling", "cancelled"} else None,
        "cancelled_at": ended if status == "cancelled" else None,
        "request_counts": {"total": job.total, "completed": job.done, "failed": job.failed},
        "metadata": job.arguments["metadata"],
    }


async def _file(job: Job, kind: str, app: App) -> str | None:
    if job.state in {JobState.QUEUED, JobState.RUNNING}:
        return None
    name = app.batches.file_id(job, kind)
    try:
        return (await to_thread.run_sync(app.store.files.get, name)).id
    except NotFoundError:
        return None
