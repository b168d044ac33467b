"""Running the server inside this process: for `athanor up`, and for a command that finds none running."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO

import anyio
import uvicorn
from fastapi import FastAPI

from athanor.config import Settings
from athanor.errors import ConfigError
from athanor.gateway import App, open_app
from athanor.server import create_app, is_loopback
from athanor.worker import Runner

Ready = Callable[[str], None]


def listen(settings: Settings) -> socket.socket:
    """Bind the server's port.

    Raises:
        ConfigError: the port is taken, or the address is not of this machine.
    """
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
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


async def serve(settings: Settings, bound: socket.socket, *, console: bool, ready: Ready | None = None) -> None:
    """Serve until stopped: the API first, then the models, the worker and the console behind it."""
    address = bound.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{host}:{address[1]}"
    with holding(settings.home) as home:
        async with open_app(settings) as app:
            http = create_app(app)
            config = uvicorn.Config(
                http, log_level="warning", lifespan="off", timeout_graceful_shutdown=3, server_header=False, ws="websockets-sansio"
            )
            server = uvicorn.Server(config)
            async with anyio.create_task_group() as group:
                group.start_soon(_behind, server, app, http, url, home, console, ready)
                await server.serve(sockets=[bound])
                group.cancel_scope.cancel()


async def _behind(
    server: uvicorn.Server, app: App, http: FastAPI, url: str, home: Path, console: bool, ready: Ready | None
) -> None:
    while not server.started:
        await anyio.sleep(0.005)
    _announce(home, url, app.instance)
    async with anyio.create_task_group() as group:
        group.start_soon(app.start)
        group.start_soon(Runner(app.store, app.handlers).run_forever)
        if console:
            await group.start(_console, app, http)
        if ready is not None:
            ready(url)


async def _console(app: App, http: FastAPI, *, task_status: anyio.abc.TaskStatus[None]) -> None:
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
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock: IO[str]
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
    private = settings.model_copy(update={"server": settings.server.model_copy(update={"host": "127.0.0.1", "port": 0})})
    bound = listen(private)
    started = threading.Event()
    urls: list[str] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def ready(url: str) -> None:
        urls.append(url)
        started.set()

    async def run() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(_stopper, stop, group.cancel_scope)
            await serve(private, bound, console=False, ready=ready)

    def main() -> None:
        try:
            anyio.run(run)
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=main, name="athanor-server", daemon=True)
    thread.start()
    started.wait()
    try:
        if failures:
            raise _cause(failures[0])
        yield urls[0]
    finally:
        stop.set()
        thread.join(timeout=15)


async def _stopper(stop: threading.Event, scope: anyio.CancelScope) -> None:
    while not stop.is_set():
        await anyio.sleep(0.05)
    scope.cancel()


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
