"""`POST /v1/embeddings` and `POST /v1/rerank`."""

from __future__ import annotations

import base64
import math
from array import array
from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from athanor.errors import UnsupportedError
from athanor.gateway import App
from athanor.gateway.vectors import embed, rerank
from athanor.server.answers import answer_headers
from athanor.server.auth import application, context
from athanor.server.door import Door
from athanor.server.sse import JSON
from athanor.server.wire import EmbeddingRequest, RerankRequest
from athanor.types import Context

router = APIRouter(tags=["models"], route_class=Door)


@router.post("/v1/embeddings", name="embeddings", summary="Texts to unit vectors", response_class=JSON)
async def embeddings(
    body: EmbeddingRequest, app: App = Depends(application), ctx: Context = Depends(context)
) -> Response:
    native = app.router.embedder(body.model, ctx).profile.dimension
    if native and body.dimensions not in {None, native}:  # 0: its first answer will tell
        raise _other_dimension(native)
    started, found = await embed(body.model, body.texts(), ctx, app)
    if body.dimensions not in {None, found.dimension}:
        raise _other_dimension(found.dimension)
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(row, body.encoding_format)}
        for index, row in enumerate(found.rows())
    ]
    usage = {"prompt_tokens": found.tokens, "total_tokens": found.tokens}
    whole = {"object": "list", "data": data, "model": body.model, "usage": usage}
    return JSON(whole, headers=answer_headers(started, ctx))


@router.post("/v1/rerank", name="rerank", summary="Passages in the order in which they answer a query")
async def rerank_passages(
    body: RerankRequest, app: App = Depends(application), ctx: Context = Depends(context)
) -> Response:
    texts = body.texts()
    started, scores, tokens = await rerank(body.model, body.query, texts, ctx, app)
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: body.top_n]
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": 1 / (1 + math.exp(-max(-700.0, scores[index])))} for index in order
    ]
    if body.return_documents:
        for result in results:
            result["document"] = {"text": texts[result["index"]]}
    whole = {
        "id": ctx.trace,
        "object": "list",
        "model": body.model,
        "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "meta": {"billed_units": {"search_units": 1}},
    }
    return JSON(whole, headers=answer_headers(started, ctx))


def _other_dimension(native: int) -> UnsupportedError:
    return UnsupportedError(f"This model gives {native} dimensions only.", where="dimensions", hint="Leave it out.")


def _vector(row: bytes, encoding: str | None) -> str | list[float]:
    return base64.b64encode(row).decode() if encoding == "base64" else array("f", row).tolist()
