"""`POST /console/upload/files`: one file from the browser, kept for a knowledge base."""

from __future__ import annotations

from pathlib import PurePosixPath

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from athanor.errors import AthanorError, InputError
from athanor.gateway import App
from athanor.types import Principal


async def answer(request: Request, app: App, principal: Principal) -> Response:
    """Keep the file; answer its id, or one line that says why not."""
    try:
        return JSONResponse({"id": await _keep(request, app, principal)})
    except AthanorError as error:
        return JSONResponse({"error": {"message": error.message, "code": error.code}}, status_code=error.status)


async def _keep(request: Request, app: App, principal: Principal) -> str:
    async with request.form(max_files=1, max_fields=0) as form:
        file = form.get("file")
        if request.method != "POST" or not isinstance(file, UploadFile):
            raise InputError("This request carries no file.")
        name = PurePosixPath((file.filename or "").replace("\\", "/")).name or "upload"
        kept = await app.add_file(name, file.file, purpose="user_data", by=principal)
    return kept.id
