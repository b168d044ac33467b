"""`/v1/vector_stores`: knowledge bases in OpenAI's words. A name is accepted wherever an id is."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.errors import NotFoundError
from athanor.gateway import App
from athanor.governance import Right, may, opens, require
from athanor.rag import Ingestion
from athanor.server.auth import application, principal
from athanor.server.reach import key, may_name, reach, reader
from athanor.server.wire import SearchRequest, VectorStoreFileRequest, VectorStoreRequest, VectorStoreUpdate
from athanor.types import ApiKey, Document, DocumentStatus, File, JobState, KnowledgeBase, Principal, Reader, new_id

router = APIRouter(prefix="/v1/vector_stores", tags=["knowledge"], dependencies=[Depends(reach)])


@router.post("", summary="Make a knowledge base")
async def create(
    body: VectorStoreRequest,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    own: ApiKey = Depends(key),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    require(who, Right.BUILD)
    may_name(own, body.name)
    base = await app.knowledge.create(body.name or new_id("kb"), by=who)
    if body.file_ids:
        await _attach(app, base, body.file_ids, who)
    return await _store(app, base, sees)


@router.get("", summary="List knowledge bases")
async def list_stores(
    app: App = Depends(application),
    _: Principal = Depends(principal),
    own: ApiKey = Depends(key),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    found = [base for base in await app.knowledge.bases(reader=sees) if opens(own, "knowledge", base.name)]
    return _page([await _store(app, base, sees) for base in found])


@router.get("/{store}", summary="One knowledge base")
async def get(
    store: str, app: App = Depends(application), _: Principal = Depends(principal), sees: Reader = Depends(reader)
) -> dict[str, Any]:
    return await _store(app, await app.knowledge.base(store, reader=sees), sees)


@router.post("/{store}", summary="Rename a knowledge base")
async def update(
    store: str,
    body: VectorStoreUpdate,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    own: ApiKey = Depends(key),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    require(who, Right.BUILD)
    base = await app.knowledge.base(store, reader=sees)
    if body.name:
        may_name(own, body.name)
        base = await app.knowledge.rename(base, body.name, by=who)
    return await _store(app, base, sees)


@router.delete("/{store}", summary="Delete a knowledge base and all its documents")
async def delete(
    store: str, app: App = Depends(application), who: Principal = Depends(principal), sees: Reader = Depends(reader)
) -> dict[str, Any]:
    require(who, Right.BUILD)
    base = await app.knowledge.base(store, reader=sees)
    await app.knowledge.delete(base, reader=sees, by=who)
    return {"id": base.id, "object": "vector_store.deleted", "deleted": True}


@router.post("/{store}/search", summary="Find passages")
async def search(
    store: str,
    body: SearchRequest,
    app: App = Depends(application),
    _: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    hits = await app.knowledge.search(base, body.text(), limit=body.max_num_results, reader=sees)
    documents = {d.id: d for d in await app.knowledge.documents_of(hits, reader=sees)}
    data = [
        {
            "file_id": documents[hit.chunk.document].file or hit.chunk.document,
            "filename": hit.source,
            "score": max(0.0, min(1.0, hit.score)),
            "attributes": {
                "document": hit.chunk.document,
                "version": hit.document_version,
                "start": hit.chunk.start,
                "end": hit.chunk.end,
                **({"page": hit.chunk.page} if hit.chunk.page else {}),
            },
            "content": [{"type": "text", "text": hit.chunk.text}],
        }
        for hit in hits
        if hit.chunk.document in documents
    ]
    return {
        "object": "vector_store.search_results.page",
        "search_query": [body.text()],
        "data": data,
        "has_more": False,
        "next_page": None,
    }


@router.post("/{store}/files", summary="Add an uploaded file")
async def attach(
    store: str,
    body: VectorStoreFileRequest,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    require(who, Right.BUILD)
    base = await app.knowledge.base(store, reader=sees)
    (file,) = await _attach(app, base, [body.file_id], who)
    return await _file(app, base, file.id, sees)


@router.get("/{store}/files", summary="List the files of a knowledge base")
async def list_files(
    store: str, app: App = Depends(application), _: Principal = Depends(principal), sees: Reader = Depends(reader)
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    documents = await app.knowledge.documents(base, reader=sees)
    return _page([_document(base, document) for document in documents if document.file])


@router.get("/{store}/files/{file}", summary="One file of a knowledge base, and whether it is ready")
async def get_file(
    store: str,
    file: str,
    app: App = Depends(application),
    _: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    return await _file(app, base, file, sees)


@router.delete("/{store}/files/{file}", summary="Take a file out of a knowledge base")
async def detach(
    store: str,
    file: str,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    require(who, Right.BUILD)
    base = await app.knowledge.base(store, reader=sees)
    document = await _of_file(app, base, file, sees)
    if document is None:
        raise _not_in(file)
    await app.knowledge.remove(document.id, reader=sees, by=who)
    return {"id": file, "object": "vector_store.file.deleted", "deleted": True}


async def _attach(app: App, base: KnowledgeBase, ids: list[str], who: Principal) -> list[File]:
    files = []
    for file in ids:
        found = await to_thread.run_sync(app.store.files.get, file)
        if found.principal != who.id and not may(who, Right.ADMINISTER):
            # Another's file is not there, in the store's own words.
            raise NotFoundError(f"There is no file {file!r}.")
        files.append(found)
    # The id keeps two uploads of one name apart, as this API promises.
    await app.ingestion.enqueue_files(base, {f"{file.id}/{file.name}": file.id for file in files}, by=who)
    return files


async def _of_file(app: App, base: KnowledgeBase, file: str, sees: Reader) -> Document | None:
    documents = await app.knowledge.documents(base, reader=sees)
    return next((document for document in documents if document.file == file), None)


async def _file(app: App, base: KnowledgeBase, file_id: str, sees: Reader) -> dict[str, Any]:
    document = await _of_file(app, base, file_id, sees)
    if document is not None:
        return _document(base, document)
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
    waiting = asked[0].state in {JobState.QUEUED, JobState.RUNNING}
    return _vector_store_file(
        base, file.id, file.size, file.created_at, "in_progress" if waiting else "failed", asked[0].message
    )


def _not_in(file: str) -> NotFoundError:
    return NotFoundError("This file is not in the knowledge base.", where=file)


def _document(base: KnowledgeBase, document: Document) -> dict[str, Any]:
    status = "completed" if document.status is DocumentStatus.READY else "failed"
    assert document.file is not None
    return _vector_store_file(base, document.file, document.size, document.created_at, status, document.error)


def _vector_store_file(
    base: KnowledgeBase, file: str, size: int, created: float, status: str, error: str | None
) -> dict[str, Any]:
    return {
        "id": file,
        "object": "vector_store.file",
        "created_at": int(created),
        "vector_store_id": base.id,
        "usage_bytes": size,
        "status": status,
        "last_error": {"code": "invalid_file", "message": error} if status == "failed" else None,
        "attributes": {},
    }


async def _store(app: App, base: KnowledgeBase, sees: Reader) -> dict[str, Any]:
    counts = await app.knowledge.counts(base, reader=sees)
    return {
        "id": base.id,
        "object": "vector_store",
        "created_at": int(base.created_at),
        "last_active_at": None,
        "name": base.name,
        "status": "in_progress" if counts.in_progress else "completed",
        "usage_bytes": counts.size,
        "file_counts": {
            "in_progress": counts.in_progress,
            "completed": counts.ready,
            "failed": counts.failed,
            "cancelled": 0,
            "total": counts.in_progress + counts.ready + counts.failed,
        },
        "metadata": {},
    }


def _page(data: list[dict[str, Any]]) -> dict[str, Any]:
    ids = [entry["id"] for entry in data]
    edges = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return {"object": "list", "data": data, **edges, "has_more": False}
