"""What of the knowledge a key reaches outside the doors to models.

A knowledge base that a key is not for does not exist for it: the answer is the same as for one that nobody has made.
"""

from __future__ import annotations

from anyio import to_thread
from fastapi import Request

from athanor.errors import NotFoundError, PermissionDeniedError
from athanor.gateway import App
from athanor.governance import opens
from athanor.server.enforce import identified
from athanor.types import ApiKey, Reader


async def key(request: Request) -> ApiKey:
    """The key of the request."""
    return identified(request.scope)[1]


async def reach(request: Request) -> None:
    """Let a request pass if its key is for the knowledge base or the document that its path names.

    Raises:
        NotFoundError: it is not, and neither is it told whether there is such a thing.
    """
    app: App = request.app.state.athanor
    own = await key(request)
    if own.scopes.knowledge is None:
        return
    path = request.path_params
    base, document = path.get("base") or path.get("store"), path.get("document")
    if base is not None:
        found = await to_thread.run_sync(app.store.knowledge.find, base)
        if not opens(own, "knowledge", base if found is None else found.name):
            raise NotFoundError(f"There is no knowledge base {base!r}.", hint="'athanor kb list' shows them.")
    if document is not None and not opens(own, "knowledge", await to_thread.run_sync(_holder, app, document)):
        raise NotFoundError(f"There is no document {document!r}.")


def _holder(app: App, document: str) -> str:
    """The name of the base that holds a document. Raises `NotFoundError`."""
    with app.store.read() as conn:
        found = app.store.knowledge.document(document, conn=conn)
        return app.store.knowledge.get(found.knowledge_base, conn=conn).name


async def reader(request: Request) -> Reader:
    """What of the documents the owner of the key may read."""
    app: App = request.app.state.athanor
    return await app.reader(identified(request.scope)[0])


def may_name(own: ApiKey, name: str | None) -> None:
    """Let a key give a knowledge base this name.

    Raises:
        PermissionDeniedError: it is not for one of this name, whether or not there is one.
    """
    if own.scopes.knowledge is not None and not opens(own, "knowledge", name or ""):
        raise PermissionDeniedError("This key is not for a knowledge base of this name.", where="name")
