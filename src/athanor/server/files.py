"""`/v1/files`: uploads, kept as blobs by their hash."""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Form, Query, UploadFile
from starlette.responses import FileResponse, Response

from athanor.errors import InputError, NotFoundError
from athanor.gateway import App
from athanor.governance import Right, may
from athanor.server.auth import application, principal
from athanor.server.paging import page
from athanor.types import File, Principal

router = APIRouter(prefix="/v1/files", tags=["files"])


@router.post("", summary="Upload a file")
async def upload(
    file: UploadFile,
    purpose: str = Form("user_data"),
    anchor: Annotated[Literal["created_at"] | None, Form(alias="expires_after[anchor]")] = None,
    seconds: Annotated[int | None, Form(alias="expires_after[seconds]", ge=3600, le=2_592_000)] = None,
    app: App = Depends(application),
    who: Principal = Depends(principal),
) -> dict[str, Any]:
    if (anchor is None) is not (seconds is None):
        hint = "Send expires_after[anchor]=created_at and expires_after[seconds]=SECONDS."
        raise InputError("An end has an anchor and seconds.", where="expires_after", hint=hint)
    name = PurePosixPath((file.filename or "upload").replace("\\", "/")).name or "upload"
    return wire(await app.add_file(name, file.file, purpose=purpose, by=who, seconds=seconds))


@router.get("", summary="List files, newest first")
async def list_files(
    purpose: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    after: str | None = None,
    app: App = Depends(application),
    who: Principal = Depends(principal),
) -> dict[str, Any]:
    owner = None if _sees_all(who) else who.id
    listing = partial(app.store.files.list, principal=owner, purpose=purpose, limit=limit + 1, before=after)
    files = await to_thread.run_sync(listing)
    return page([wire(file) for file in files[:limit]], len(files) > limit)


@router.get("/{file}", summary="One file's facts")
async def get(file: str, app: App = Depends(application), who: Principal = Depends(principal)) -> dict[str, Any]:
    return wire(await _own(app, file, who))


@router.get("/{file}/content", summary="A file's bytes")
async def content(file: str, app: App = Depends(application), who: Principal = Depends(principal)) -> Response:
    found = await _own(app, file, who)
    # Never rendered in the browser: an uploaded page must not run with this server's origin.
    return FileResponse(
        app.store.blobs.path(found.sha256),
        media_type="application/octet-stream",
        filename=found.name,
        headers={"x-content-type-options": "nosniff"},
    )


@router.delete("/{file}", summary="Delete a file; documents made of it stay")
async def delete(file: str, app: App = Depends(application), who: Principal = Depends(principal)) -> dict[str, Any]:
    found = await _own(app, file, who)
    await app.delete_file(found, by=who)
    return {"id": found.id, "object": "file", "deleted": True}


async def _own(app: App, file: str, who: Principal) -> File:
    try:
        found = await to_thread.run_sync(app.store.files.get, file)
    except NotFoundError:
        raise NotFoundError("There is no such file.", where=file) from None
    if found.principal != who.id and not _sees_all(who):
        # The same answer as for a file that is not there: existence is not revealed.
        raise NotFoundError("There is no such file.", where=file)
    return found


def _sees_all(who: Principal) -> bool:
    # Not who may review requests: the file may be a document that is closed to them.
    return may(who, Right.ADMINISTER)


def wire(file: File) -> dict[str, Any]:
    """A file in OpenAI's shape."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": int(file.created_at),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "expires_at": None if file.expires_at is None else int(file.expires_at),
        "status_details": None,
    }
