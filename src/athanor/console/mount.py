"""Putting the console on a server that already answers, and taking it off again."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from starlette.routing import Mount

from athanor.console.gate import Gate
from athanor.gateway import App
from athanor.plugins import require

PREFIX = "/console"


@asynccontextmanager
async def mounted(app: App, http: FastAPI) -> AsyncIterator[None]:
    """Serve the console of `app` under `/console` of `http` for the length of the block.

    `http` may be serving already. NiceGUI is imported here, in a thread: no other import takes as long.

    Raises:
        MissingExtraError: NiceGUI is not installed.
    """
    async with (await to_thread.run_sync(_interface)).running() as inner:
        route = Mount(PREFIX, Gate(app, inner))
        http.router.routes.append(route)
        try:
            yield
        finally:
            http.router.routes.remove(route)


def _interface() -> Any:
    require("nicegui", extra="console")
    return importlib.import_module("athanor.console.interface")
