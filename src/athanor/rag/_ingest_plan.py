"""The first half of an ingestion: which files have to be read, and which documents have lost theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio import to_thread

from athanor.data import ParserLimits, scan_folder
from athanor.errors import DocumentError
from athanor.rag._ingest_tally import Tally
from athanor.store import Store
from athanor.types import DocumentStatus, KnowledgeBase, SourceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file that has to be read."""

    name: str
    path: Path
    sha256: str
    size: int
    title: str
    stamp: str = ""
    file: str | None = None


class Planner:
    """Compares what a job is about with what the base holds.

    Args:
        reject: records that a source (by name) cannot be read.
    """

    def __init__(
        self,
        base: KnowledgeBase,
        store: Store,
        limits: ParserLimits,
        tally: Tally,
        reject: Callable[[str, DocumentError], Awaitable[None]],
    ) -> None:
        self._base = base
        self._store = store
        self._limits = limits
        self._tally = tally
        self._reject = reject
        self._arguments = tally.job.arguments
        self.origin = f"folder:{self._arguments['folder']}" if "folder" in self._arguments else "upload"

    async def plan(self, known: Mapping[str, SourceState]) -> list[Source]:
        """Everything whose bytes the base does not hold yet. Documents whose file is gone are deleted."""
        if "folder" in self._arguments:
            found = await self._scan(known)
        else:
            found = await to_thread.run_sync(self._uploads)
        changed = [source for source in found if not _held(known.get(source.name), source.sha256)]
        await self._restamp(found, known)
        self._tally.total = len(found) + self._tally.failed
        self._tally.unchanged = self._tally.done = len(found) - len(changed)
        return changed

    async def _scan(self, known: Mapping[str, SourceState]) -> list[Source]:
        folder = Path(self._arguments["folder"])
        held = {} if self._arguments.get("full") else self._stamps(known)
        scan = partial(scan_folder, folder, max_bytes=self._limits.file_bytes, known=held)
        listing = await to_thread.run_sync(scan)
        for name, problem in listing.problems:
            await self._reject(name, problem)
        present = {file.source for file in listing.files} | {name for name, _ in listing.problems}
        gone = [s.document for name, s in known.items() if s.origin == self.origin and name not in present]
        for document in gone:
            await to_thread.run_sync(self._store.knowledge.delete_document, document)
        self._tally.removed = len(gone)
        return [
            Source(name=f.source, path=f.path, sha256=f.sha256, size=f.size, title=Path(f.source).name, stamp=f.stamp)
            for f in listing.files
        ]

    def _stamps(self, known: Mapping[str, SourceState]) -> dict[str, tuple[str, str]]:
        """What needs no reading while its stamp stays: files of this folder whose last version was good."""
        return {
            name: (state.stamp, state.sha256)
            for name, state in known.items()
            if state.stamp and state.origin == self.origin and state.status is DocumentStatus.READY
        }

    async def _restamp(self, found: list[Source], known: Mapping[str, SourceState]) -> None:
        """Keep the new stamps of files that have the same bytes, so that the next run need not read them."""
        stamps = {}
        for source in found:
            state = known.get(source.name)
            if state and state.origin == self.origin and _held(state, source.sha256) and state.stamp != source.stamp:
                stamps[state.document] = source.stamp
        if stamps:
            await to_thread.run_sync(self._store.knowledge.set_stamps, stamps)

    def _uploads(self) -> list[Source]:
        sources = []
        for name, file_id in self._arguments["files"].items():
            file = self._store.files.get(file_id)
            path = self._store.blobs.path(file.sha256)
            sources.append(
                Source(name=name, path=path, sha256=file.sha256, size=file.size, title=file.name, file=file.id)
            )
        return sources


def _held(state: SourceState | None, sha256: str) -> bool:
    return state is not None and state.status is DocumentStatus.READY and state.sha256 == sha256
