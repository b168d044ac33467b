"""One parser process, as its parent sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from athanor.data.limits import EXIT_MEMORY, ParserLimits
from athanor.data.scratch import make_folder
from athanor.data.wire import LENGTH, MAX_HEADER, PAYLOAD_EXTRA, Request, pack_request, unpack_header
from athanor.errors import JobError

START_SECONDS = 60.0
_SAMPLE_SECONDS = 0.2
_STDERR_BYTES = 2048


class ChildDiedError(Exception):
    """The child ended, or answered nonsense, in the middle of a document."""


class Child:
    """One process and the pipes to it."""

    def __init__(self, process: asyncio.subprocess.Process, limits: ParserLimits, scratch: str) -> None:
        self._process = process
        self._scratch = scratch
        self._payload_limit = limits.text_bytes + PAYLOAD_EXTRA
        self._clock: asyncio.TimerHandle | None = None
        self._largest = 0
        self._stderr = bytearray()
        self._listener = asyncio.create_task(self._listen())
        self.documents = 0
        self.closed = False
        self.failed = False
        """It crashed, ran out of memory, or met an error that its parser did not expect."""

    @classmethod
    async def start(cls, limits: ParserLimits) -> Child:
        scratch = await asyncio.to_thread(make_folder)
        try:
            process = await _spawn(limits, scratch)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        child = cls(process, limits, scratch)
        try:
            # Its start is not the document's fault, nor on the document's time.
            async with asyncio.timeout(START_SECONDS):
                await child._answer()
        except (TimeoutError, ChildDiedError):
            await child.bury()
            raise JobError("The process that parses documents does not start.", hint=child.last_words()) from None
        except BaseException:
            child.kill()
            raise
        return child

    @property
    def alive(self) -> bool:
        return not self.closed and self._process.returncode is None

    async def ask(
        self, request: Request, heard: Callable[[float, float], None] | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Send one request and read its answer, of a listing the first part.

        `heard` is called with the share of the document that was read and the seconds that its OCR may take, now and
        then.

        Raises:
            ChildDiedError: it died first, or its answer breaks the rules.
        """
        self.documents += 1
        writer = self._process.stdin
        assert writer is not None
        watch = asyncio.create_task(self._measure())
        try:
            writer.write(pack_request(request))
            await writer.drain()
            header, payload = await self._answer()
            while "working" in header:
                if heard is not None:
                    heard(float(header["working"]), float(header["extra"]))
                header, payload = await self._answer()
            return header, payload
        except OSError as error:
            raise ChildDiedError("its process ended") from error
        finally:
            watch.cancel()

    async def more(self) -> tuple[dict[str, Any], bytes]:
        """The next part of a listing. Raises as `ask`."""
        return await self._answer()

    async def _answer(self) -> tuple[dict[str, Any], bytes]:
        reader = self._process.stdout
        assert reader is not None
        try:
            size = LENGTH.unpack(await reader.readexactly(LENGTH.size))[0]
            if size > MAX_HEADER:
                raise ChildDiedError("its answer is too long")
            header = unpack_header(await reader.readexactly(size))
            if header["payload"] > self._payload_limit:
                raise ChildDiedError("its answer is too long")
            return header, await reader.readexactly(header["payload"])
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            raise ChildDiedError("its process ended") from error

    def kill(self) -> None:
        """End the process now."""
        self.stop_clock()
        self.closed = True
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
                os.killpg(self._process.pid, signal.SIGKILL)  # with the program for OCR that it may have started
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def bury(self) -> None:
        """Wait for the end of a child that is dying, so that its own exit status is known; then kill it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended(), 0.5)
        self.failed = True
        self.kill()

    async def ended(self) -> None:
        """Wait for the end of the process and for its last words."""
        await self._process.wait()
        await asyncio.wait([self._listener])

    def start_clock(self, seconds: float, idle: deque[Child]) -> None:
        """Leave after `seconds` without work."""

        def leave() -> None:
            with contextlib.suppress(ValueError):
                idle.remove(self)
            self.closed = True
            if self._process.stdin is not None:
                self._process.stdin.close()  # the child ends at the end of its input

        self._clock = asyncio.get_running_loop().call_later(seconds, leave)

    def stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def out_of_memory(self, limits: ParserLimits) -> bool:
        """Whether the dead child died of its memory limit."""
        said = (
            b"bad_alloc" in self._stderr or b"out of memory" in self._stderr.lower() or b"MemoryError" in self._stderr
        )
        return self._process.returncode == EXIT_MEMORY or said or self._largest > 0.8 * limits.memory_bytes

    def obituary(self) -> str:
        """How the dead child died, in a few words."""
        code = self._process.returncode
        if code is None or code == 0:
            return ""
        if code > 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"

    def last_words(self) -> str:
        """The last line that the child printed on stderr, or how it ended."""
        lines = self._stderr.decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else self.obituary() or "It took too long."

    async def _measure(self) -> None:
        """Follow the child's address space: a native library that finds no memory just crashes."""
        statm = Path(f"/proc/{self._process.pid}/statm")
        page = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
        while True:
            try:
                self._largest = max(self._largest, _pages(statm) * page)
            except (OSError, ValueError, IndexError):
                return
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def _listen(self) -> None:
        """Keep the end of what the child prints: it must not fill its pipe and stop. Then clear up behind it."""
        assert self._process.stderr is not None
        try:
            while data := await self._process.stderr.read(4096):
                self._stderr = (self._stderr + data)[-_STDERR_BYTES:]
            await self._process.wait()
        finally:
            # Here, because every end comes by here: killed, crashed, never started, idle, or the loop itself closes.
            shutil.rmtree(self._scratch, ignore_errors=True)


async def _spawn(limits: ParserLimits, scratch: str) -> asyncio.subprocess.Process:
    # -P: a file called `lxml.py` in the current folder must not be imported. The environment stays here, with its
    # secrets.
    kept = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SYSTEMROOT", "TMPDIR")
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-B",
        "-m",
        "athanor.data.worker",
        json.dumps(asdict(limits)),
        str(os.getpid()),
        scratch,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
        env={key: value for key, value in os.environ.items() if key in kept},
        start_new_session=True,  # a Ctrl-C in the terminal is for the server to handle
    )


def _pages(statm: Path) -> int:
    """Size of a process's address space. `/proc` never blocks."""
    return int(statm.read_text().split()[0])
