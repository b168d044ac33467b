"""Parsing in child processes: a pool of warm ones, each with limits, each replaced when it fails.

A parser that crashes, hangs or eats memory costs its own process and one clear `DocumentError`; the server imports none
of the parsing libraries.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from athanor.data.base import Member
from athanor.data.child import Child, ChildDiedError
from athanor.data.limits import ParserLimits, check_file, memory_error
from athanor.data.members import unpack_members
from athanor.data.wire import Request, unpack_document, unpack_error
from athanor.errors import AthanorError, DocumentError
from athanor.types import ParsedDocument

_THREAD_BYTES = 1 << 20
"""Answers larger than this are unpacked in a thread, so that the event loop goes on."""


@dataclass(slots=True, kw_only=True)
class ParserStatistics:
    """What the pool has done so far; for metrics and tests."""

    documents: int = 0
    refused: int = 0
    started: int = 0
    """Children started."""
    killed: int = 0
    """Children that were ended for their time, crashed, or ran out of memory."""
    peak_bytes: int = 0
    """Largest resident memory that any child reported."""


class ParserPool:
    """Reads documents in at most `size` child processes at a time. One pool belongs to one event loop.

    Children start on demand, are used again for up to `documents_per_child` documents, and leave after `idle_seconds`
    without work. Use as an async context manager, or call `aclose`.
    """

    def __init__(
        self,
        *,
        size: int = 1,
        limits: ParserLimits | None = None,
        documents_per_child: int = 200,
        idle_seconds: float = 60.0,
    ) -> None:
        self.limits = limits or ParserLimits()
        self.statistics = ParserStatistics()
        self._places = asyncio.Semaphore(size)
        self._listings = asyncio.Semaphore(size)
        self._idle: deque[Child] = deque()
        self._documents_per_child = documents_per_child
        self._idle_seconds = idle_seconds
        self._closed = False

    async def parse(
        self, path: Path, name: str, *, member: str | None = None, progress: Callable[[float], None] | None = None
    ) -> ParsedDocument:
        """Read the file at `path`, or the member of it with that key.

        `name` is what the user calls the document, and what errors call it; of a member `archive.zip/notes.txt`.
        `progress` is called with the share of a long document that was read, from 0 to 1, at most twice a second.

        Raises:
            DocumentError: the document cannot be read; `reason` says why.
            MissingExtraError: a parsing library is not installed.
            JobError: no parser process can be started.
        """
        try:
            check_file(path, name, self.limits, container=member is not None)
            async with self._places:
                document = await self._judge(Request(path=path, name=name, member=member), progress)
        except AthanorError:
            self.statistics.refused += 1
            raise
        self.statistics.documents += 1
        return document

    async def aclose(self) -> None:
        """End all idle children. A document that is being read ends its child when it is done."""
        self._closed = True
        while self._idle:
            child = self._idle.popleft()
            child.kill()
            await child.ended()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _take(self) -> Child | None:
        while self._idle:
            child = self._idle.pop()
            child.stop_clock()
            if child.alive:
                return child
        return None

    async def members(self, path: Path, name: str, *, after: str | None = None) -> AsyncGenerator[Member, None]:
        """The members of a container, in order, those behind the one with the key `after`.

        They come as they are found, and no faster than they are taken: a mailbox may hold millions. Each is read once
        for its hash. A listing has a child of its own beside the `size` that parse; so members may be parsed meanwhile.

        Raises:
            DocumentError: the container cannot be read, or not to its end; what came before holds.
            JobError: no parser process can be started.
        """
        check_file(path, name, self.limits, container=True)
        async with self._listings:
            child, used = self._take(), True
            while True:
                if child is None:
                    child, used = await self._start(), False
                try:
                    async with aclosing(
                        self._listing(child, Request(path=path, name=name, member=after, listing=True))
                    ) as found:
                        async for member in found:
                            after = member.key or after
                            yield member
                    return
                except DocumentError as error:
                    if not (used and child.failed and error.reason in {"memory", "corrupt"}):
                        raise
                    child = None

    async def _listing(self, child: Child, request: Request) -> AsyncGenerator[Member, None]:
        header: dict[str, Any] = {}
        reusable = False
        ask = child.ask(request)
        try:
            while not header.get("last"):
                async with self._blame(child, request.name):
                    header, _ = await ask
                    self._note(child, header)
                    if "error" in header:
                        reusable = self._may_be_used_again(child, header)
                        raise unpack_error(header)
                    found = unpack_members(header)
                for member in found:
                    yield member
                ask = child.more()
            reusable = self._may_be_used_again(child, header)
        finally:
            ask.close()
            await self._release(child, reusable=reusable)

    async def _start(self) -> Child:
        child = await Child.start(self.limits)
        self.statistics.started += 1
        return child

    async def _judge(self, request: Request, progress: Callable[[float], None] | None) -> ParsedDocument:
        child = self._take()
        if child is not None:
            try:
                return await self._attempt(child, request, progress)
            except DocumentError as error:
                # A used child may have failed of what came before: the document is judged by a fresh one.
                if not (child.failed and error.reason in {"memory", "corrupt"}):
                    raise
        return await self._attempt(await self._start(), request, progress)

    async def _attempt(
        self, child: Child, request: Request, progress: Callable[[float], None] | None
    ) -> ParsedDocument:
        reusable = False
        started = asyncio.get_running_loop().time()
        try:
            async with self._blame(child, request.name) as clock:

                def heard(share: float, extra: float) -> None:
                    # What a child says of its time is believed up to a limit.
                    more = min(max(extra, 0.0), self.limits.ocr_seconds + self.limits.ocr_page_seconds)
                    clock.reschedule(started + self.limits.seconds + more)
                    if progress is not None:
                        progress(min(max(share, 0.0), 1.0))

                header, payload = await child.ask(request, heard)
                self._note(child, header)
                reusable = "error" in header and self._may_be_used_again(child, header)
                document = await self._unpack(header, payload)
                reusable = self._may_be_used_again(child, header)
        finally:
            await self._release(child, reusable=reusable)
        return document

    def _note(self, child: Child, header: dict[str, Any]) -> None:
        self.statistics.peak_bytes = max(self.statistics.peak_bytes, int(header.get("peak", 0)))
        child.failed = bool(header.get("spent"))

    @asynccontextmanager
    async def _blame(self, child: Child, name: str) -> AsyncIterator[asyncio.Timeout]:
        """Gives one answer its time, and says in the document's terms what went wrong."""
        try:
            async with asyncio.timeout(self.limits.seconds) as clock:
                yield clock
        except TimeoutError:
            self.statistics.killed += 1
            message = f"Reading it took more than {self.limits.seconds:,.0f} seconds."
            hint = "Split it, or raise ingest.timeout_s."
            raise DocumentError(message, reason="timeout", where=name, hint=hint) from None
        except (ChildDiedError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            self.statistics.killed += 1
            await child.bury()
            if child.out_of_memory(self.limits):
                raise memory_error(name, self.limits) from None
            message = f"The parser crashed on it ({child.obituary() or error})."
            raise DocumentError(message, reason="corrupt", where=name) from None

    async def _release(self, child: Child, *, reusable: bool) -> None:
        if reusable and not self._closed and child.alive:
            self._idle.append(child)
            child.start_clock(self._idle_seconds, self._idle)
        else:
            child.kill()
            await asyncio.shield(child.ended())

    def _may_be_used_again(self, child: Child, header: dict[str, Any]) -> bool:
        return (
            not child.failed
            and child.documents < self._documents_per_child
            and int(header.get("resident", 0)) < self.limits.memory_bytes // 3
        )

    async def _unpack(self, header: dict[str, Any], payload: bytes) -> ParsedDocument:
        if "error" in header:
            raise unpack_error(header)
        if len(payload) > _THREAD_BYTES:
            return await asyncio.to_thread(unpack_document, header, payload)
        return unpack_document(header, payload)
