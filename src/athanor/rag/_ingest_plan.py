"""The first half of an ingestion: which files have to be read, and which documents have lost theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from anyio import to_thread

from athanor.data import FileKind, SourceFile, file_kind
from athanor.errors import DocumentError, JobError, NotFoundError
from athanor.rag._ingest_gate import Gate
from athanor.rag._ingest_source import Source, held, named
from athanor.rag._ingest_tally import Tally
from athanor.rag.origins import Find
from athanor.store import Store
from athanor.types import UNFINISHED, DocumentStatus, SourceState


class Planner:
    """Compares what a job is about with what the base holds.

    Args:
        reject: records that a source cannot be read.
        find: lists the files of what is synchronised; `None` for uploads.
    """

    def __init__(
        self,
        store: Store,
        gate: Gate,
        tally: Tally,
        reject: Callable[[Source, DocumentError], Awaitable[None]],
        find: Find | None,
    ) -> None:
        self._store = store
        self._gate = gate
        self._tally = tally
        self._reject = reject
        self._find = find
        self._arguments = tally.job.arguments
        self.since: float = tally.job.created_at if self._arguments.get("full") else 0.0
        """Unix seconds from which on a document must have been read to be left alone: a `full` run reads all once."""

    async def plan(self) -> list[Source]:
        """Everything that the base does not hold yet as it is. Documents whose file is gone are deleted."""
        known = await to_thread.run_sync(partial(self._store.knowledge.sources, self._gate.base, members=False))
        found = await self._uploads() if self._find is None else await self._scan(self._find, known)
        changed = [source for source in found if not held(known.get(source.name), source.sha256, self.since)]
        await self._restamp(found, known)
        self._tally.total = len(found) + self._tally.failed
        self._tally.unchanged = self._tally.done = len(found) - len(changed)
        return await to_thread.run_sync(self._looked_at, changed, known)

    def _looked_at(self, sources: Iterable[Source], known: Mapping[str, SourceState]) -> list[Source]:
        """`sources` with what each is: a document, a container, or both."""
        containers = self._store.knowledge.containers(self._gate.base)
        found = []
        for source in sources:
            try:
                kind = file_kind(source.path, source.title)
            except OSError:  # the parser says what is wrong with it
                kind = FileKind.DOCUMENT
            state = known.get(source.name)
            document = None if state is None else state.document
            emptied = kind is FileKind.DOCUMENT and source.name in containers
            found.append(replace(source, kind=kind, emptied=emptied, document=document))
        return found

    async def _scan(self, find: Find, known: Mapping[str, SourceState]) -> list[Source]:
        full = bool(self._arguments.get("full"))
        listing = await find({} if full else self._stamps(known))
        if not (full or listing.files or listing.problems):
            self._keep_what_was_there(known)
        files = await self._unclaimed(listing.files, known)
        for name, problem in listing.problems:
            state = known.get(name)
            await self._reject(replace(named(name), document=None if state is None else state.document), problem)
        for name, reason in listing.skipped:
            self._tally.total += 1  # `skip` takes it off again
            await self._tally.skip(named(name), DocumentError(reason, reason="unsupported_type"))
        present = {file.source for file in listing.files} | {name for name, _ in listing.problems}
        gone = [s.document for name, s in known.items() if s.origin == self._gate.origin and name not in present]
        for document in gone:
            delete = partial(self._store.knowledge.delete_document, document, asked=self._gate.asked)
            with suppress(NotFoundError):  # deleted meanwhile
                await to_thread.run_sync(delete)
        self._tally.removed = len(gone)
        return [
            Source(name=f.source, path=f.path, sha256=f.sha256, size=f.size, title=Path(f.source).name, stamp=f.stamp)
            for f in files
        ]

    def _keep_what_was_there(self, known: Mapping[str, SourceState]) -> None:
        """A disk that is not mounted is an empty folder: it must not take the documents with it. Raises JobError."""
        folder = self._arguments.get("folder")
        if folder is not None and any(state.origin == self._gate.origin for state in known.values()):
            raise JobError(
                "The folder is empty now; its documents were kept.",
                where=folder,
                hint="If it is meant to be empty, say so: --full.",
            )

    async def _unclaimed(self, files: Sequence[SourceFile], known: Mapping[str, SourceState]) -> list[SourceFile]:
        """Those of `files` whose names are not those of documents that another source keeps in step.

        Else two sources with a file of one name would take it from each other for ever.
        """
        base, own = self._gate.base, self._gate.origin
        sources = await to_thread.run_sync(self._store.sync_sources.list, base)
        others = {source.origin for source in sources} - {own}
        free = []
        for file in files:
            state = known.get(file.source)
            if state is None or state.origin not in others:
                free.append(file)
                continue
            message = f"{state.origin} has a file of this name. Give the files of one of the two a --prefix."
            error = DocumentError(message, reason="unreadable", where=file.source)
            await self._tally.miss(named(file.source), file.source, error)
        return free

    def _stamps(self, known: Mapping[str, SourceState]) -> dict[str, tuple[str, str]]:
        """What needs no reading while its stamp stays: files of this folder whose last version was good."""
        return {
            name: (state.stamp, state.sha256)
            for name, state in known.items()
            if state.stamp not in {"", UNFINISHED}
            and state.origin == self._gate.origin
            and state.status is DocumentStatus.READY
        }

    async def _restamp(self, found: list[Source], known: Mapping[str, SourceState]) -> None:
        """Keep the new stamps of files that have the same bytes, so that the next run need not read them."""
        stamps = {}
        for source in found:
            state = known.get(source.name)
            if state is None or state.origin != self._gate.origin or state.stamp == source.stamp:
                continue
            if held(state, source.sha256, self.since):
                stamps[state.document] = source.stamp
        if stamps:
            await to_thread.run_sync(self._store.knowledge.set_stamps, stamps)

    async def _uploads(self) -> list[Source]:
        sources = []
        for name, file_id in self._arguments["files"].items():
            try:
                file = await to_thread.run_sync(self._store.files.get, file_id)
            except NotFoundError:
                message = "The upload was deleted before it was read."
                await self._reject(named(name), DocumentError(message, reason="unreadable", where=name))
                continue
            path = self._store.blobs.path(file.sha256)
            sources.append(
                Source(name=name, path=path, sha256=file.sha256, size=file.size, title=file.name, file=file.id)
            )
        return sources
