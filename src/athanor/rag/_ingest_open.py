"""Containers in an ingestion: their members are found and sent to the parsers; when all are in, the container follows.

A container counts as read only from its own last commit on; until then a next run looks through it again, and reads
those members whose bytes the base does not hold yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import PurePosixPath

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectSendStream

from athanor.data import FileKind, Member, ParserPool
from athanor.data.containers.names import Names
from athanor.errors import DocumentError, NotFoundError
from athanor.rag._ingest_gate import Gate
from athanor.rag._ingest_source import Source, held, named
from athanor.rag._ingest_tally import Tally
from athanor.rag.listing import Listing
from athanor.store import Store
from athanor.types import DocumentStatus, SourceState

Refuse = Callable[[Source, DocumentError], Awaitable[None]]


class Opened:
    """A container whose members are being read."""

    def __init__(self, source: Source, left: dict[str, SourceState]) -> None:
        self.source = source
        self.left = left
        """Members that the base has and that were not met yet."""
        self.listing = Listing()
        self.begun = False
        self.broken: list[str] = []
        """Names below which not everything was seen."""
        self._names = Names()
        self._way: list[Source] = []
        self._waiting = 0
        self._settled = anyio.Event()

    def relative(self, name: str) -> str:
        """A member's name inside the container."""
        return name.removeprefix(f"{self.source.name}/")

    def met(self, member: Member) -> Source:
        """The source that a member is."""
        while self._way and not (member.key or "").startswith(f"{self._way[-1].member}>"):
            self._way.pop()
        name = f"{self.source.name}/{self._names.unique(member.name)}"
        state = self.left.get(name)
        found = Source(
            name=name,
            path=self.source.path,
            sha256=member.sha256,
            size=member.size,
            title=PurePosixPath(member.name).name,
            member=member.key,
            outer=self._way[-1] if self._way else self.source,
            document=None if state is None else state.document,
        )
        if member.problem is None:
            self._way.append(found)
        return found

    def contents_of(self, member: Member) -> Source | None:
        """The member with the same key that was met just before: the problem is of what it holds."""
        while self._way and not f"{member.key}>".startswith(f"{self._way[-1].member}>"):
            self._way.pop()
        return self._way[-1] if self._way and self._way[-1].member == member.key else None

    def expect(self) -> None:
        """One more member is on its way."""
        self._waiting += 1

    def settle(self) -> None:
        """A member is committed, or will never be."""
        self._waiting -= 1
        self._settled.set()

    async def settled(self) -> None:
        """Wait until no member is on its way. After the last `expect`."""
        while self._waiting:
            await self._settled.wait()
            self._settled = anyio.Event()

    def vanished(self) -> list[str]:
        """Ids of the members that are there no more."""
        return [
            state.document
            for name, state in self.left.items()
            if not any(name == outer or name.startswith(f"{outer}/") for outer in self.broken)
        ]


Task = tuple[Source, Opened | None]


class Opener:
    """Finds the members of containers.

    Args:
        reject, skip: record that a source was not read, as a failure or as none.
    """

    def __init__(self, store: Store, parsers: ParserPool, gate: Gate, tally: Tally, reject: Refuse, skip: Refuse):
        self._store = store
        self._parsers = parsers
        self._gate = gate
        self._tally = tally
        self._reject = reject
        self._skip = skip
        self._opened: list[Source] = []

    async def open(self, source: Source, queue: MemoryObjectSendStream[Task], since: float) -> Opened | None:
        """Send the members that the base does not hold (read at `since` or later) to `queue`.

        None if the container cannot be read at all, or was deleted meanwhile.
        """
        left = await to_thread.run_sync(self._store.knowledge.sources_inside, self._gate.base, source.name)
        opened = Opened(source, left)
        if source.kind is FileKind.DOCUMENT:
            return opened
        last: Member | None = None
        try:
            async with aclosing(self._parsers.members(source.path, source.title)) as members:
                async for member in members:
                    if not await self._begin(opened):
                        return None
                    last = member
                    self._tally.where = (
                        f" {source.title}: {opened.listing.members + 1:,} members, {member.progress:.0%}"
                    )
                    await self._meet(opened, member, queue, since)
        except DocumentError as error:
            opened.broken.append(source.name)
            if source.kind is FileKind.CONTAINER:
                await opened.settled()
                await self._reject(source, error)
                return None
            await self._tally.miss(source, f"{source.name}/(contents)", error)
        finally:
            self._tally.where = ""
        if last is not None and last.problem is not None and last.problem.reason == "expands_too_much":
            opened.broken.append(source.name)  # what is behind it was not seen
        return opened

    async def _meet(self, opened: Opened, member: Member, queue: MemoryObjectSendStream[Task], since: float) -> None:
        if member.problem is not None and (outer := opened.contents_of(member)) is not None:
            opened.broken.append(outer.name)
            name = f"{outer.name}/(contents)"
            opened.listing.add(opened.relative(name), 0)
            opened.listing.refuse(opened.relative(name), 0, member.problem.message)
            await self._tally.miss(outer, name, member.problem)
            return
        source = opened.met(member)
        state = opened.left.pop(source.name, None)
        opened.listing.add(opened.relative(source.name), source.size)
        self._tally.total += 1
        if member.problem is not None:
            opened.broken.append(source.name)
            await self.refuse(opened, source, member.problem)
        elif held(state, source.sha256, since):
            self._tally.done += 1
            self._tally.unchanged += 1
            await self._tally.tick("Reading")
        else:
            opened.expect()
            await queue.send((source, opened))

    async def refuse(self, opened: Opened, source: Source, error: DocumentError) -> None:
        """Record that a member was not read. What nobody could read before is no failure."""
        opened.listing.refuse(opened.relative(source.name), source.size, error.message)
        if error.reason == "unsupported_type" and source.document is None:
            await self._skip(source, error)
        else:
            await self._reject(source, error)

    async def tidy(self, opened: Opened) -> None:
        """Remove the members that vanished, and mark those that could not be read, once all others are in."""
        gone = opened.vanished()
        if gone and not await self._begin(opened):
            return

        def remove() -> int:
            count = 0
            for document in gone:
                try:
                    self._store.knowledge.delete_document(document, asked=self._gate.asked)
                    count += 1
                except NotFoundError:  # it went with its container
                    continue
            return count

        self._tally.removed += await to_thread.run_sync(remove)
        base, name = self._gate.base, opened.source.name
        inside = await to_thread.run_sync(self._store.knowledge.sources_inside, base, name)
        for source, state in inside.items():
            if state.status is DocumentStatus.READING:
                error = DocumentError("Only what it holds could be read.", reason="unsupported_type", where=source)
                outer = (
                    opened.source
                    if state.container == name
                    else replace(named(state.container or name), outer=opened.source)
                )
                await self._reject(replace(named(source), document=state.document, outer=outer), error)

    async def abandon(self) -> None:
        """Say of the containers that were read for the first time that this did not come to its end."""

        def record() -> None:
            with self._store.write() as conn:
                for source in self._opened:
                    name = source.name
                    found = self._store.knowledge.document_by_source(self._gate.base, name, conn=conn)
                    if found is not None and found.status is DocumentStatus.READING:
                        self._store.knowledge.fail_document(found, "It was not read to its end.", conn=conn)

        await to_thread.run_sync(record)

    async def _begin(self, opened: Opened) -> bool:
        """Record, before the first change, that the container is being read; False if it was deleted meanwhile."""
        if opened.begun:
            return True

        def begin() -> bool:
            with self._store.write() as conn:
                if self._gate.gone([opened.source], conn):
                    return False
                self._gate.begin(opened.source, conn)
            return True

        self._opened.append(opened.source)
        opened.begun = await to_thread.run_sync(begin)
        return opened.begun
