"""One life of a model's process: spawn, frames in and out, the last words on stderr, the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from athanor.engines.frames import Decoder, Frame, encode

# The child reads model files of unknown origin with native code: it gets no credential from our environment.
_KEPT = {"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TEMP", "TMP", "TMPDIR", "TZ", "VIRTUAL_ENV", "USER"}
_KEPT_PREFIXES = ("DYLD_", "GGML_", "GOMP_", "KMP_", "LC_", "MALLOC_", "OMP_", "OV_", "PYTHON", "TBB_", "ASAN_")

_STDERR_LINES = 40
_STDERR_WIDTH = 500


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a model's process: what native libraries need, plus `extra`."""
    kept = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
    return kept | dict(extra)


class Child:
    """A running worker process. Made by `spawn`; `stop` must be awaited once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stderr_task = asyncio.create_task(self._drain_stderr(), name=f"stderr of {process.pid}")
        self.killed_for: str | None = None
        """Why we killed it, where we did."""

    @classmethod
    async def spawn(cls, environment: Mapping[str, str]) -> Child:
        """Start a worker that waits for its `load` frame."""
        # -P: a file in the working directory must not shadow a module. A session of its own: Ctrl-C in the terminal
        # is for the server, which then stops its children in order.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "athanor.engines.worker",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment(environment),
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def post(self, header: dict[str, Any], blob: bytes = b"") -> None:
        """Queue a frame without waiting; to a dead process it is dropped, as the read side reports the death."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, RuntimeError):
            self._process.stdin.write(encode(header, blob))

    async def send(self, header: dict[str, Any], blob: bytes = b"") -> None:
        """Queue a frame and wait while the pipe is full."""
        self.post(header, blob)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            await self._process.stdin.drain()

    async def frames(self) -> AsyncIterator[Frame]:
        """Frames until the process closes its side.

        Raises:
            FrameError: it wrote something else.
        """
        assert self._process.stdout is not None
        decoder = Decoder()
        while data := await self._process.stdout.read(1 << 16):
            for frame in decoder.feed(data):
                yield frame

    def kill(self, reason: str) -> None:
        """SIGKILL, remembering why."""
        self.killed_for = self.killed_for or reason
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self, grace: float) -> None:
        """End it: closed input, then SIGKILL after `grace` seconds; reap it and close every pipe."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        # Grandchildren could hold stderr open; their words are not ours to wait for.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(self._stderr_task)
        self._stderr_task.cancel()
        await asyncio.gather(self._stderr_task, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self._process.stdin.wait_closed()
        # asyncio closes this only with the Process object's collection; waiting for that leaks descriptors.
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()

    def epitaph(self) -> str:
        """How it ended, for people. Only after `stop`."""
        if self.killed_for:
            return self.killed_for
        code = self._process.returncode or 0
        if code == -signal.SIGKILL:
            return "was killed (SIGKILL: by hand, or by the system for want of memory)"
        if code < 0:
            return f"died of {signal.Signals(-code).name}{self._last_words()}"
        return f"ended with exit code {code}{self._last_words()}"

    def _last_words(self) -> str:
        words = next((line for line in reversed(self._stderr) if line.strip()), "")
        return f", after: {words}" if words else ""

    def complaint(self) -> str:
        """The first line on stderr that speaks of an error: libraries say there what their exceptions leave out."""
        return next((line.strip() for line in self._stderr if "error" in line.lower()), "")

    async def _drain_stderr(self) -> None:
        # read(), not readline(): a native library may print megabytes without a line break.
        assert self._process.stderr is not None
        rest = b""
        while data := await self._process.stderr.read(1 << 14):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-_STDERR_WIDTH:]
            self._stderr.extend(line[-_STDERR_WIDTH:].decode("utf-8", "replace") for line in lines)
        self._stderr.append(rest.decode("utf-8", "replace"))
