"""Files of `/v1/files` in a request: their bytes take the place of their ids."""

from __future__ import annotations

import base64
from dataclasses import replace

from anyio import to_thread

from athanor.errors import NotFoundError, TooLargeError
from athanor.gateway import App
from athanor.server.wire.parts import STORED, mime_of
from athanor.types import Attachment, Context, Image, Message, Part, Request


async def with_files(request: Request, app: App, ctx: Context) -> Request:
    """The request, with the caller's own uploads in place of their ids.

    Raises:
        NotFoundError: there is no such file, or it belongs to another.
        TooLargeError: it is larger than a request may be.
    """
    if not any(_stored(part) for message in request.messages for part in message.parts):
        return request
    messages = [await to_thread.run_sync(_filled, message, app, ctx) for message in request.messages]
    return replace(request, messages=tuple(messages))


def _filled(message: Message, app: App, ctx: Context) -> Message:
    if not any(map(_stored, message.parts)):
        return message
    return replace(message, parts=tuple(_read(part, app, ctx) if _stored(part) else part for part in message.parts))


def _stored(part: Part) -> bool:
    return isinstance(part, Attachment | Image) and part.url is not None and part.url.startswith(STORED)


def _read(part: Part, app: App, ctx: Context) -> Part:
    assert isinstance(part, Attachment | Image)
    assert part.url is not None
    file = app.store.files.get(part.url.removeprefix(STORED))
    if file.principal != ctx.principal.id:
        # The same answer as for a file that is not there: existence is not revealed.
        raise NotFoundError(f"There is no file {file.id!r}.")
    limit = app.settings.server.max_request_mb
    if file.size > limit << 20:
        raise TooLargeError(f"The file {file.id} is larger than {limit} MiB.", hint="Raise server.max_request_mb.")
    data = base64.b64encode(app.store.blobs.read(file.sha256)).decode()
    mime = mime_of(file.name)
    if mime.startswith("image/"):
        return Image(data=data, mime=mime, detail=part.detail if isinstance(part, Image) else None)
    name = part.name if isinstance(part, Attachment) else None
    return Attachment(data=data, mime=mime, name=name or file.name)
