"""Running the server inside this process: for `athanor up`, and for a command that finds none running."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import anyio
import uvicorn
from anyio import TASK_STATUS_IGNORED, to_thread
from anyio.abc import TaskGroup, TaskStatus
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from starlette.types import ASGIApp

from athanor.config import Settings
from athanor.config.modes import close_up
from athanor.errors import AthanorError, ConfigError
from athanor.gateway import App, open_app
from athanor.observe.anchors import Anchors
from athanor.observe.retention import expire
from athanor.server import create_app, front
from athanor.server.protocol import bounded
from athanor.worker import Runner

log = logging.getLogger(__name__)

LOOP = {"use_uvloop": find_spec("uvloop") is not None}
"""For anyio: a request costs a third less processor time on it than on asyncio's own loop."""

KEEP_ALIVE = 20
"""Seconds for which an idle connection is kept: longer than clients keep theirs (httpx 5, aiohttp 15), so that none
sends into a connection that is being closed."""


def listen(settings: Settings) -> socket.socket:
    """Bind the server's port.

    Raises:
        ConfigError: the port is taken, or the address is not of this machine.
    """
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets that say they are TCP; with it, answers wait 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"Port {port} on {host} cannot be opened: {error.strerror}.",
            where="server.port",
            hint="Choose another: --port 8701, or 0 for any free one.",
        ) from error
    return bound


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, app: ASGIApp, max_connections: int, at_end: Callable[[], Awaitable[None]]) -> None:
        # The lifespan is ours: `open_app` outlives every request.
        config = uvicorn.Config(
            app,
            http=bounded(max_connections),
            log_level="warning",
            access_log=False,  # the ledger has every request
            lifespan="off",
            proxy_headers=False,  # nothing here depends on a client's address, least of all on one that it names itself
            timeout_graceful_shutdown=3,
            timeout_keep_alive=KEEP_ALIVE,
            server_header=False,
            ws="websockets-sansio" if find_spec("websockets") else "none",  # the console's; it brings the package
        )
        super().__init__(config)
        self.listens = anyio.Event()
        self._at_end = at_end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # Here and not behind it: uvicorn raises the signal again when it is done, and SIGTERM then ends the process.
        await self._at_end()


async def serve(
    settings: Settings,
    bound: socket.socket,
    *,
    console: bool,
    task_status: TaskStatus[str] = TASK_STATUS_IGNORED,
) -> None:
    """Serve until stopped: the API first, then the models, the worker and the console behind it.

    Reports its URL as started when requests are answered and the console, if asked for, can be opened.
    """
    address = bound.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{host}:{address[1]}"
    with holding(settings.home) as home:
        async with open_app(settings) as app, anyio.create_task_group() as group:
            if settings.store.url is None:
                # This process alone holds the database: whoever ran these jobs is dead, and nobody waits for a lease.
                await to_thread.run_sync(app.store.jobs.release)
            if settings.traces.otlp_url is not None:
                _export(app, group)
            http = create_app(app)
            server = _Server(front(http), settings.server.max_connections, partial(_note_head, app))
            group.start_soon(_until_stopped, server, bound, group.cancel_scope)
            await server.listens.wait()
            _announce(home, url, app.instance)
            group.start_soon(app.start)
            for kind, handler in app.handlers.items():  # a batch may take a day: the other jobs do not wait for it
                group.start_soon(Runner(app.store, {kind: handler}).run_forever)
            group.start_soon(app.sources.run_forever)
            group.start_soon(app.expiry.run_forever)
            group.start_soon(_collect_daily, app)
            if console:
                await group.start(_console, app, http)
            task_status.started(url)


def _export(app: App, group: TaskGroup) -> None:
    from athanor.observe.otlp import Exporter  # noqa: PLC0415  most servers have no collector

    exporter = Exporter(app.settings, app.metrics, instance=app.instance)
    app.ledger.sinks.append(exporter.add)
    group.start_soon(exporter.run)


async def _collect_daily(app: App) -> None:
    """Remove blobs that nothing refers to any more, and what of requests is older than it may be."""
    while True:
        try:
            await to_thread.run_sync(app.store.collect)
            await to_thread.run_sync(app.store.resealing.prune)
            await to_thread.run_sync(Anchors(app.store, app.settings.home).note)
            await to_thread.run_sync(expire, app.store, app.settings.traces, time.time())
            await app.batches.settle_all()
        except AthanorError as error:
            log.error("the daily clearing failed, and is tried again tomorrow: %s", error)
        await anyio.sleep(86_400)


async def _note_head(app: App) -> None:
    with anyio.CancelScope(shield=True), suppress(AthanorError):
        await to_thread.run_sync(Anchors(app.store, app.settings.home).note)


async def _until_stopped(server: _Server, bound: socket.socket, scope: anyio.CancelScope) -> None:
    await server.serve(sockets=[bound])
    scope.cancel()


async def _console(app: App, http: FastAPI, *, task_status: TaskStatus[None]) -> None:
    # Imported when the API already answers: it is the slowest import of all.
    from athanor.console import mounted  # noqa: PLC0415

    async with mounted(app, http):
        task_status.started()
        await anyio.sleep_forever()


def _announce(home: Path, url: str, instance: str) -> None:
    note = home / "server.json"
    fresh = note.with_suffix(".new")
    fresh.write_text(json.dumps({"url": url, "pid": os.getpid(), "instance": instance}))
    fresh.replace(note)


@contextmanager
def holding(home: Path) -> Iterator[Path]:
    """The home folder, held by this process alone.

    Raises:
        ConfigError: another server holds it.
    """
    os.umask(0o077)  # whatever this process writes is its owner's alone
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for found in close_up(home):
        log.warning("others could read it, and cannot any more: %s", found)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                "Another Athanor runs on this home folder.",
                where=str(home),
                hint="Use that one, stop it, or give this one its own: --home FOLDER.",
            ) from error
        try:
            yield home
        finally:
            with suppress(FileNotFoundError):
                (home / "server.json").unlink()


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """A server in a thread of this process, on a free port, for the length of the block. Yields its URL."""
    private = settings.model_copy(
        update={"server": settings.server.model_copy(update={"host": "127.0.0.1", "port": 0})}
    )
    bound = listen(private)
    with start_blocking_portal(backend_options=LOOP) as portal:
        running, url = portal.start_task(partial(serve, private, bound, console=False))
        try:
            yield url
        finally:
            running.cancel()
            wait([running])
