"""`/v1/vector_stores/{id}/files`: the uploads of a knowledge base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.errors import NotFoundError
from athanor.gateway import App
from athanor.governance import Right, may
from athanor.observe import Action
from athanor.rag import Ingestion
from athanor.server.auth import application, principal
from athanor.server.paging import PAGING, Paging, page
from athanor.server.reach import reach, reader
from athanor.server.wire import VectorStoreFileRequest, VectorStoreFileUpdate
from athanor.types import (
    Attributes,
    Document,
    DocumentStatus,
    File,
    Job,
    JobState,
    KnowledgeBase,
    Principal,
    Reader,
)

router = APIRouter(prefix="/v1/vector_stores/{store}", tags=["knowledge"], dependencies=[Depends(reach)])
State = Literal["in_progress", "completed", "failed", "cancelled"]
WAITING = frozenset({JobState.QUEUED, JobState.RUNNING})
STATES: Mapping[DocumentStatus, State] = {
    DocumentStatus.READING: "in_progress",
    DocumentStatus.READY: "completed",
    DocumentStatus.FAILED: "failed",
}


@router.post("/files", summary="Add an uploaded file")
async def add(
    store: str,
    body: VectorStoreFileRequest,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    tokens = body.chunking_strategy.tokens() if body.chunking_strategy else None
    found = await own_files(app, [body.file_id], who)
    await attach(app, base, found, who, attributes={body.file_id: body.attributes or {}}, chunk_tokens=tokens)
    return await _file(app, base, body.file_id, sees)


@router.post("/files/{file}", summary="Replace the attributes of a file")
async def update(
    store: str,
    file: str,
    body: VectorStoreFileUpdate,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    document = await _present(app, base, file, sees)

    def write() -> Document:
        with app.store.write() as conn:
            changed = app.store.knowledge.set_attributes(document.id, body.attributes or {}, conn=conn)
            # Their names and no more: values may tell of the document.
            names = {"before": sorted(document.attributes), "after": sorted(changed.attributes)}
            app.audit.record(Action.ATTRIBUTES_CHANGED, by=who, subject=document.id, details=names, conn=conn)
            return changed

    return document_row(base, await to_thread.run_sync(write), await passage_sizes(app, base))


@router.get("/files/{file}/content", summary="The text that was read from a file")
async def content(
    store: str,
    file: str,
    app: App = Depends(application),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    document = await _present(app, base, file, sees)
    text = await app.knowledge.text(document.id, reader=sees)
    data = [{"type": "text", "text": text}]
    return {"object": "vector_store.file_content.page", "data": data, "has_more": False, "next_page": None}


@router.get("/files", summary="List the files of a knowledge base")
async def list_files(
    store: str,
    filter: State | None = None,  # noqa: A002  OpenAI's name
    app: App = Depends(application),
    sees: Reader = Depends(reader),
    paging: Paging = PAGING,
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    sizes = await passage_sizes(app, base)
    rows = [document_row(base, d, sizes) for d in await app.knowledge.documents(base, reader=sees) if d.file]
    return listed(rows, filter, paging)


@router.get("/files/{file}", summary="One file of a knowledge base, and whether it is ready")
async def get_file(
    store: str,
    file: str,
    app: App = Depends(application),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    return await _file(app, base, file, sees)


@router.delete("/files/{file}", summary="Take a file out of a knowledge base")
async def detach(
    store: str,
    file: str,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    document = await _present(app, base, file, sees)
    await app.knowledge.remove(document.id, reader=sees, by=who)
    return {"id": file, "object": "vector_store.file.deleted", "deleted": True}


async def own_files(app: App, ids: Sequence[str], who: Principal) -> list[File]:
    """The uploads with these ids.

    Raises:
        NotFoundError: there is none, or it is another's: in the same words.
    """
    files = []
    for file in ids:
        found = await to_thread.run_sync(app.store.files.get, file)
        if found.principal != who.id and not may(who, Right.ADMINISTER):
            # Another's file is not there, in the store's own words.
            raise NotFoundError(f"There is no file {file!r}.")
        files.append(found)
    return files


async def attach(
    app: App,
    base: KnowledgeBase,
    files: Sequence[File],
    who: Principal,
    *,
    attributes: Mapping[str, Attributes] | None = None,
    chunk_tokens: int | None = None,
) -> Job:
    """Queue the ingestion of uploads; `chunk_tokens` is the most tokens of a passage."""
    # The id keeps two uploads of one name apart, as this API promises.
    named = {f"{file.id}/{file.name}": file.id for file in files}
    # The chunker aims at a size and goes up to 1.6 times it. Written down in every case: it is told of the files.
    target = app.settings.knowledge.chunk_tokens if chunk_tokens is None else chunk_tokens * 5 // 8
    return await app.ingestion.enqueue_files(base, named, attributes=attributes, chunk_tokens=target, by=who)


def uploads_of(app: App, documents: Sequence[Document]) -> dict[str, str]:
    """Document id → id of the upload that it was made of; a member's is its container's. Reads the store."""
    found = {}
    for document in documents:
        outer: Document | None = document
        while outer is not None and outer.file is None and outer.container is not None:
            outer = app.store.knowledge.document_by_source(outer.knowledge_base, outer.container)
        if outer is not None and outer.file is not None:
            found[document.id] = outer.file
    return found


async def passage_sizes(app: App, base: KnowledgeBase) -> dict[str, int]:
    """Upload → the size of passages, in tokens, that its latest ingestion into `base` aims at, where that is known."""

    def read() -> dict[str, int]:
        found: dict[str, int] = {}
        for job in app.store.jobs.list(kind=Ingestion.KIND, limit=1000):
            size = job.arguments.get("chunk_tokens")
            if size is None or job.arguments.get("knowledge_base") != base.id:
                continue
            for file in dict(job.arguments.get("files", {})).values():
                found.setdefault(file, int(size))
        return found

    return await to_thread.run_sync(read)


def listed(rows: list[dict[str, Any]], state: State | None, window: Paging) -> dict[str, Any]:
    kept = [row for row in rows if state is None or row["status"] == state]
    return page(*window.cut(kept, lambda row: (row["created_at"], row["id"])))


async def _of_file(app: App, base: KnowledgeBase, file: str, sees: Reader) -> Document | None:
    documents = await app.knowledge.documents(base, reader=sees)
    return next((document for document in documents if document.file == file), None)


async def _present(app: App, base: KnowledgeBase, file: str, sees: Reader) -> Document:
    """The document of an upload. Raises NotFoundError."""
    document = await _of_file(app, base, file, sees)
    if document is None:
        raise _not_in(file)
    return document


async def _file(app: App, base: KnowledgeBase, file_id: str, sees: Reader) -> dict[str, Any]:
    document = await _of_file(app, base, file_id, sees)
    sizes = await passage_sizes(app, base)
    if document is not None:
        return document_row(base, document, sizes)
    try:
        file = await to_thread.run_sync(app.store.files.get, file_id)
    except NotFoundError:
        raise _not_in(file_id) from None
    if not sees.everything and f"principal:{file.principal}" not in sees.identities:
        # What became of another's upload is told only by a document that one may read.
        raise _not_in(file_id)
    jobs = await to_thread.run_sync(lambda: app.store.jobs.list(kind=Ingestion.KIND, limit=1000))
    asked = [job for job in jobs if file.id in dict(job.arguments.get("files", {})).values()]
    if not asked or asked[0].arguments["knowledge_base"] != base.id:
        raise _not_in(file_id)
    if asked[0].state not in WAITING and (document := await _of_file(app, base, file_id, sees)) is not None:
        return document_row(base, document, sizes)  # it came while the jobs were read
    status = "in_progress" if asked[0].state in WAITING else "failed"
    return file_row(base, file.id, file.created_at, status, error=asked[0].message, size=file.size, sizes=sizes)


def _not_in(file: str) -> NotFoundError:
    return NotFoundError("This file is not in the knowledge base.", where=file)


def document_row(base: KnowledgeBase, document: Document, sizes: Mapping[str, int]) -> dict[str, Any]:
    """A document as a file of its base; `sizes` are `passage_sizes`."""
    assert document.file is not None
    return file_row(
        base,
        document.file,
        document.created_at,
        STATES[document.status],
        error=document.error,
        size=document.size,
        sizes=sizes,
        attributes=document.attributes,
    )


def file_row(
    base: KnowledgeBase,
    file: str,
    created: float,
    status: str,
    *,
    sizes: Mapping[str, int],
    error: str | None = None,
    size: int = 0,
    attributes: Attributes | None = None,
) -> dict[str, Any]:
    aim = sizes.get(file)
    chunks = {"max_chunk_size_tokens": aim * 8 // 5, "chunk_overlap_tokens": 0} if aim is not None else None
    return {
        "id": file,
        "object": "vector_store.file",
        "created_at": int(created),
        "vector_store_id": base.id,
        "usage_bytes": size,
        "status": status,
        "last_error": {"code": "invalid_file", "message": error} if status == "failed" else None,
        "attributes": dict(attributes or {}),
        # "other": how it was cut is not known any more.
        "chunking_strategy": {"type": "other"} if chunks is None else {"type": "static", "static": chunks},
    }
