"""`/v1/vector_stores`: knowledge bases in OpenAI's words. A name is accepted wherever an id is."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.gateway import App
from athanor.gateway.search import admitted
from athanor.governance import opens
from athanor.observe import Action
from athanor.server import vector_store_files
from athanor.server.auth import application, context, principal
from athanor.server.paging import PAGING, Paging, page
from athanor.server.reach import key, may_name, reach, reader
from athanor.server.vector_store_files import attach, uploads_of
from athanor.server.wire import SearchRequest, VectorStoreRequest, VectorStoreUpdate
from athanor.types import ApiKey, Context, Hit, KnowledgeBase, Principal, Reader, new_id

router = APIRouter(prefix="/v1/vector_stores", tags=["knowledge"], dependencies=[Depends(reach)])


@router.post("", summary="Make a knowledge base")
async def create(
    body: VectorStoreRequest,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    own: ApiKey = Depends(key),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    may_name(own, body.name)
    tokens = body.chunking_strategy.tokens() if body.chunking_strategy else None
    # Before the base is made: a file that is not there leaves no base behind.
    found = await vector_store_files.own_files(app, body.file_ids, who)
    base = await app.knowledge.create(body.name or new_id("kb"), by=who)
    base = await _describe(app, base, body, who, sees)
    if found:
        await attach(app, base, found, who, chunk_tokens=tokens)
    return await _store(app, base, sees)


@router.get("", summary="List knowledge bases")
async def list_stores(
    app: App = Depends(application),
    own: ApiKey = Depends(key),
    sees: Reader = Depends(reader),
    paging: Paging = PAGING,
) -> dict[str, Any]:
    found = [base for base in await app.knowledge.bases(reader=sees) if opens(own, "knowledge", base.name)]
    chosen, more = paging.cut(found, lambda base: (base.created_at, base.id))
    return page([await _store(app, base, sees) for base in chosen], more)


@router.get("/{store}", summary="One knowledge base")
async def get(store: str, app: App = Depends(application), sees: Reader = Depends(reader)) -> dict[str, Any]:
    return await _store(app, await app.knowledge.base(store, reader=sees), sees)


@router.post("/{store}", summary="Change what is said of a knowledge base")
async def update(
    store: str,
    body: VectorStoreUpdate,
    app: App = Depends(application),
    who: Principal = Depends(principal),
    own: ApiKey = Depends(key),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    if body.name:
        may_name(own, body.name)
        base = await app.knowledge.rename(base, body.name, by=who)
    return await _store(app, await _describe(app, base, body, who, sees), sees)


@router.delete("/{store}", summary="Delete a knowledge base and all its documents")
async def delete(
    store: str, app: App = Depends(application), who: Principal = Depends(principal), sees: Reader = Depends(reader)
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    await app.knowledge.delete(base, reader=sees, by=who)
    return {"id": base.id, "object": "vector_store.deleted", "deleted": True}


@router.post("/{store}/search", summary="Find passages")
async def search(
    store: str,
    body: SearchRequest,
    app: App = Depends(application),
    ctx: Context = Depends(context),
    sees: Reader = Depends(reader),
) -> dict[str, Any]:
    base = await app.knowledge.base(store, reader=sees)
    query = await admitted(body.text(), ctx, app, base=base.name)
    condition = body.filters.filter() if body.filters else None
    ranked = base
    if body.ranking_options is not None and body.ranking_options.ranker == "none":
        ranked = replace(base, settings=replace(base.settings, rerank=0.0))
    hits = await app.knowledge.search(ranked, query, limit=body.max_num_results, reader=sees, filter=condition)
    hits = await app.guards.screened(hits, ctx, base=base.name)  # they are for a model to read
    documents = {d.id: d for d in await app.knowledge.documents_of(hits, reader=sees)}
    uploads = await to_thread.run_sync(uploads_of, app, [*documents.values()])
    least = body.ranking_options.score_threshold if body.ranking_options else 0.0
    data = [
        {
            "file_id": uploads.get(hit.chunk.document, hit.chunk.document),
            "filename": hit.source,
            "score": share(hit.score),
            "attributes": dict(documents[hit.chunk.document].attributes),
            "content": [{"type": "text", "text": hit.chunk.text}],
            "athanor": _place(hit),
        }
        for hit in hits
        if hit.chunk.document in documents and share(hit.score) >= least
    ]
    return {
        "object": "vector_store.search_results.page",
        "search_query": [body.text()],
        "data": data,
        "has_more": False,
        "next_page": None,
    }


def share(score: float) -> float:
    """A hit's score, in deviations above the query's own candidates, as 0 to 1: the logistic function of it.

    It keeps the order, and 0.5 is a hit like the average candidate. It is no probability that the passage answers.
    """
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, score))))


def _place(hit: Hit) -> dict[str, Any]:
    chunk = hit.chunk
    place = {"page": chunk.page, "place": chunk.place, "start": chunk.start, "end": chunk.end}
    return {"document": chunk.document, "version": hit.document_version, **place}


async def _describe(
    app: App, base: KnowledgeBase, body: VectorStoreRequest | VectorStoreUpdate, who: Principal, sees: Reader
) -> KnowledgeBase:
    """Write what the body says of `base`; what it leaves out stays.

    Raises:
        PermissionDeniedError: it is to be deleted some day, which is not for those who may not delete it now.
    """
    change: dict[str, Any] = {"description": body.description, "metadata": body.metadata}
    if "expires_after" in body.model_fields_set:
        change["expires_after"] = body.expires_after.days if body.expires_after else None
    if "expires_after" not in change and body.description is None and body.metadata is None:
        return base

    def write() -> None:
        with app.store.write() as conn:
            if change.get("expires_after") is not None:
                app.knowledge.permissions.check_deletion(base, sees, conn)
            app.store.knowledge.update(base.id, **change, conn=conn)
            fields = [name for name, value in change.items() if value is not None or name == "expires_after"]
            app.audit.record(Action.KNOWLEDGE_CHANGED, by=who, subject=base.id, details={"fields": fields}, conn=conn)

    await to_thread.run_sync(write)
    return await app.knowledge.base(base.id, reader=sees)


async def _store(app: App, base: KnowledgeBase, sees: Reader) -> dict[str, Any]:
    whole = await to_thread.run_sync(app.store.knowledge.get, base.id)
    ends = None if whole.expires_at is None else int(whole.expires_at)
    days = whole.expires_after
    told = ends
    if days is not None and not sees.everything:
        # The end is counted from the last use, which is others' business: a reader is told what follows from the
        # making of the base, as long as that is still to come, and then no more than the days.
        first = int(base.created_at + 86_400 * days)
        told = first if first > time.time() else None
    counts = await app.knowledge.counts(base, reader=sees)
    return {
        "id": base.id,
        "object": "vector_store",
        "created_at": int(base.created_at),
        "last_active_at": int(base.last_active_at or base.created_at),
        "name": base.name,
        "description": base.description or None,
        "status": _status(ends, counts.in_progress),
        "usage_bytes": counts.size,
        "file_counts": {
            "in_progress": counts.in_progress,
            "completed": counts.ready,
            "failed": counts.failed,
            "cancelled": 0,
            "total": counts.in_progress + counts.ready + counts.failed,
        },
        "metadata": dict(base.metadata),
        "expires_after": None if days is None else {"anchor": "last_active_at", "days": days},
        "expires_at": told,
    }


def _status(ends: int | None, waiting: int) -> str:
    if ends is not None and ends <= time.time():
        return "expired"
    return "in_progress" if waiting else "completed"
