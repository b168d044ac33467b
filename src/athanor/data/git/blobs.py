"""Taking contents out of a repository: into files of ours, each with its hash."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from athanor.data.git.program import Git, Running
from athanor.errors import JobError

_PIECE = 1 << 20
_INLINE = 1 << 16
"""Bytes that are hashed and written without a thread of their own."""
HEAD = 256
"""Bytes of the beginning that are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A content that was written to a file."""

    path: Path
    sha256: str
    size: int
    head: bytes
    """Its first bytes."""


async def take(git: Git, objects: Sequence[str], folder: Path) -> AsyncIterator[tuple[str, Taken]]:
    """Write each object to a file of its own in `folder`, and give it under its id, in order.

    Raises:
        GitFailed: git cannot read one.
        JobError: an object is missing, or no content.
    """
    async with git.started("cat-file", "--batch", "--buffer", stdin=True) as running, _asking(running, objects):
        for number, name in enumerate(objects):
            yield name, await _one(running, name, folder / str(number))
        await running.finish()


@asynccontextmanager
async def _asking(running: Running, objects: Sequence[str]) -> AsyncIterator[None]:
    """Write the ids while the contents are read, so that neither side waits for the other."""

    async def write() -> None:
        for start in range(0, len(objects), 1000):
            running.stdin.write("".join(f"{name}\n" for name in objects[start : start + 1000]).encode())
            await running.stdin.drain()
        running.stdin.close()

    writer = asyncio.create_task(write())
    try:
        yield
    finally:
        writer.cancel()
        await asyncio.wait([writer])


async def _one(running: Running, name: str, path: Path) -> Taken:
    try:
        head = (await running.stdout.readuntil(b"\n")).decode("ascii", "replace").split()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await running.finish()
        raise _damaged(name) from None
    if len(head) != 3 or head[1] != "blob" or not head[2].isdigit():
        raise _damaged(name)
    size = left = int(head[2])
    digest, first = hashlib.sha256(), b""
    with path.open("wb", buffering=0) as file:

        def keep(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        while left:
            data = await running.stdout.read(min(left, _PIECE))
            if not data:
                raise _damaged(name)
            left -= len(data)
            first = first or data[:HEAD]
            if len(data) <= _INLINE:
                keep(data)
            else:
                await to_thread.run_sync(keep, data)
    if await running.stdout.readexactly(1) != b"\n":
        raise _damaged(name)
    return Taken(path=path, sha256=digest.hexdigest(), size=size, head=first)


def _damaged(name: str) -> JobError:
    return JobError(f"The repository is damaged: its content {name[:12]} cannot be read.", where="git")
