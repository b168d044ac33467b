"""Requests for every route: a path with ids for its parameters, and a body that gets as far as looking them up."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from athanor.config import ModelSettings, Settings
from athanor.gateway import App, open_app
from athanor.governance import Grant
from athanor.server import create_app, front
from athanor.testing import HashEmbedder, OverlapReranker
from athanor.types import ALL_SCOPES, RoleName, Scopes

PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")

# Route → a body that is right but for what it names.
BODIES: Mapping[str, Mapping[str, Any]] = {
    "POST /v1/vector_stores/{store}": {"metadata": {}},
    "POST /v1/vector_stores/{store}/search": {"query": "porter"},
    "POST /v1/vector_stores/{store}/files": {"file_id": "file_nothing"},
    "POST /v1/vector_stores/{store}/files/{file}": {"attributes": {}},
    "POST /v1/vector_stores/{store}/file_batches": {"file_ids": ["file_nothing"]},
    "POST /api/knowledge/{base}/access": {"what": "pay.md", "nobody": True},
    "POST /api/knowledge/{base}/sources/sync": {},
    "POST /api/knowledge/{base}/sync": {"folder": "/nowhere"},
    "POST /api/knowledge/{base}/erase": {"source": "pay.md"},
    "POST /api/knowledge/{base}/questions": {"questions": [{"text": "Who?", "relevant": ["pay.md"]}]},
    "POST /api/knowledge/{base}/rollback": {"version": 0},
    "PATCH /api/knowledge/{base}/settings": {},
    "PATCH /api/keys/{key}": {},
    "PATCH /api/teams/{team}": {},
    "PATCH /api/principals/{name}": {"team": None},
    "PATCH /api/users/{user}": {},
    "PATCH /api/groups/{group}": {"labels": []},
    "POST /api/groups/{group}/members": {"principal": "nobody"},
}
QUERIES: Mapping[str, str] = {
    "GET /api/knowledge/{base}/search": "?query=porter",
    "GET /api/knowledge/{base}/access": "?source=pay.md",
    "DELETE /api/knowledge/{base}/sources": "?origin=/nowhere",
    "DELETE /api/knowledge/{base}/questions": "?origin=own",
}


def asked(route: str, ids: Mapping[str, str] | None = None) -> tuple[str, str, Mapping[str, Any] | None]:
    """Method, path with query, and body of a request for `route`."""
    method, _, path = route.partition(" ")
    method = "POST" if method == "*" else method
    filled = PARAMETER.sub(lambda found: (ids or {}).get(found[1], "nothing"), path)
    body = BODIES.get(route, {}) if method in {"POST", "PATCH", "PUT"} else None
    return method, filled + QUERIES.get(route, ""), body


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A whole application with fake models, without a socket."""

    app: App
    http: FastAPI
    client: httpx.AsyncClient

    def key(self, role: RoleName, *, name: str = "", scopes: Scopes = ALL_SCOPES, over: str = "") -> dict[str, str]:
        """Headers with a new key; `over` is `revoked` or `expired`."""
        end = time.time() - 1 if over == "expired" else None
        grant = Grant(scopes=scopes, expires_at=end)
        key, secret = self.app.keys.create(name or f"the {role.value}", role, grant=grant)
        if over == "revoked":
            self.app.keys.revoke(key.id)
        return {"authorization": f"Bearer {secret.reveal()}"}

    async def ask(
        self, route: str, headers: Mapping[str, str] | None = None, ids: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request for `route`."""
        method, path, body = asked(route, ids)
        return await self.client.request(method, path, json=body, headers=headers)


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[House]:
    """A house for the length of the block."""
    echo = ModelSettings(source="scripted:", backend="scripted")
    settings = Settings(home=home / "home", chat="echo", models={"echo": echo})
    async with open_app(settings, embedder=HashEmbedder(), reranker=OverlapReranker()) as app:
        http = create_app(app)
        transport = httpx.ASGITransport(app=front(http))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as client:
            yield House(app=app, http=http, client=client)
