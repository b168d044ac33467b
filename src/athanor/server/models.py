"""`/v1/models`."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Depends

from athanor.errors import NotFoundError
from athanor.gateway import App
from athanor.governance import opens
from athanor.server.auth import application
from athanor.server.reach import key
from athanor.types import ApiKey

router = APIRouter(prefix="/v1", tags=["models"])


@router.get("/models", summary="List models; knowledge bases are models too")
async def list_models(app: App = Depends(application), own: ApiKey = Depends(key)) -> dict[str, Any]:
    return {"object": "list", "data": [_wire(name, owner) for name, owner in await _names(app, own)]}


@router.get("/models/{model:path}", summary="One model")
async def get_model(model: str, app: App = Depends(application), own: ApiKey = Depends(key)) -> dict[str, Any]:
    for name, owner in await _names(app, own):
        if name == model:
            return _wire(name, owner)
    raise NotFoundError("There is no such model.", where=model, hint="GET /v1/models lists them.")


async def _names(app: App, own: ApiKey) -> list[tuple[str, str]]:
    """What the key opens, with its kind."""
    models = [(name, owner) for name, owner in app.router.names() if opens(own, "models", name)]
    bases = [
        base.name for base in await to_thread.run_sync(app.store.knowledge.list) if opens(own, "knowledge", base.name)
    ]
    return [*models, *((name, "knowledge-base") for name in bases)]


def _wire(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
