"""Ways to a local model, asked all alike: its engine in this process, and HTTP servers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from athanor.engines import LocalEngine
from athanor.engines.adapters.llamacpp import LlamaCppEngine
from athanor.engines.adapters.openvino import OpenVINOEngine
from athanor.models import resolve_chat
from athanor.testing.engines import chat, context
from athanor.types import Request, TextDelta

_TEXT = re.compile(rb'"content": ?"[^"]')
_USAGE = re.compile(rb'"usage": ?(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
KINDS: dict[str, type[LocalEngine]] = {"openvino": OpenVINOEngine, "llamacpp": LlamaCppEngine}
# Some 400 tokens; a number in front of each keeps the prefix cache out of the prompt's figure.
PASSAGE = "The keeper of the lighthouse wrote the weather and the ships into a book every evening. " * 20
STORY = "Write a long story about the sea."


class Door(Protocol):
    """A way to a model: seconds to the first piece, prompt tokens, completion tokens."""

    async def ask(self, request: Request) -> tuple[float, int, int]: ...


class Direct:
    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    async def ask(self, request: Request) -> tuple[float, int, int]:
        started, first, prompt, completion = time.perf_counter(), 0.0, 0, 0
        async for event in self.engine.run(request, context()):
            if isinstance(event, TextDelta) and not first:
                first = time.perf_counter() - started
            prompt += event.usage.prompt_tokens
            completion += event.usage.completion_tokens
        return first, prompt, completion


class Http:
    """Chat completions over HTTP, by a client that does next to nothing: it runs on the same processors."""

    def __init__(self, url: str, model: str, key: str = "-") -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._model = model
        self._head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {key}\r\n"
            "content-type: application/json\r\nconnection: close\r\n"
        )

    async def ask(self, request: Request) -> tuple[float, int, int]:
        body = json.dumps(
            {
                "model": self._model,
                "messages": [{"role": m.role.value, "content": m.content} for m in request.messages],
                "max_tokens": request.sampling.max_tokens,
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ).encode()
        started, first, tail = time.perf_counter(), 0.0, b""
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(f"{self._head}content-length: {len(body)}\r\n\r\n".encode() + body)
            while piece := await reader.read(65536):
                # A piece of text that is neither empty nor null.
                if not first and _TEXT.search(piece):
                    first = time.perf_counter() - started
                tail = (tail + piece)[-4096:]
        finally:
            writer.close()
        found = _USAGE.findall(tail)
        if not found or b"[DONE]" not in tail:
            raise RuntimeError(f"The stream did not end well: {tail[-500:]!r}")
        usage = json.loads(found[-1])
        return first, usage["prompt_tokens"], usage["completion_tokens"]


async def measure(door: Door, streams: int, number: int, tokens: int) -> float:
    """Tokens per second over `streams` at once."""
    requests = [chat(f"{STORY} Number {number}, part {i}.", max_tokens=tokens) for i in range(streams)]
    started = time.perf_counter()
    answers = await asyncio.gather(*map(door.ask, requests))
    return sum(answer[2] for answer in answers) / (time.perf_counter() - started)


@asynccontextmanager
async def server(
    model: str, backends: Sequence[str], home: Path, *, threads: int, wait: str
) -> AsyncIterator[tuple[str, str]]:
    """Our own server on a free port, with one model per backend: its URL and a key."""
    path = resolve_chat(model, None, home).path
    tables = "".join(
        f'[models.{name}]\nsource = "file:{path}"\nbackend = "{name}"\nthreads = {threads}\n' for name in backends
    )
    settings = f'chat = "{backends[0]}"\nprocessor_wait = "{wait}"\n[server]\nconsole = false\n{tables}'
    (home / "athanor.toml").write_text(settings)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ATHANOR_")}
    command = [sys.executable, "-m", "athanor", "up", "--port", "0", "--no-browser"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220  # its start is not what is measured
            command, cwd=home, env={**environment, "ATHANOR_HOME": str(home)}, stdout=log, stderr=log
        )
    try:
        while not ((home / "server.json").exists() and (home / "local.key").exists()):
            if process.poll() is not None:
                raise SystemExit(f"the server did not start: {(home / 'log').read_text()[-500:]}")
            await asyncio.sleep(0.1)
        url = json.loads((home / "server.json").read_text())["url"]
        key = (home / "local.key").read_text().strip()
        async with httpx.AsyncClient(base_url=url) as client:
            for _ in range(300):
                try:
                    await client.get("/health")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.1)
        yield url, key
    finally:
        process.terminate()
        process.wait()
