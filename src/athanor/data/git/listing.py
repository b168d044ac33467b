"""Sorting the entries of a commit into files that are read, those that are not, and links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from athanor.data.folder import FolderListing, SourceFile
from athanor.data.git.blobs import take
from athanor.data.git.program import Git
from athanor.data.git.tree import FILE, LINK, MODULE, Entry, entries, link_problem, name_problem
from athanor.errors import DocumentError, JobError

_LFS = b"version https://git-lfs.github.com/spec/"
_LINK_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLimits:
    """What of a commit is read."""

    file_bytes: int
    entries: int
    bytes: int
    """Of all files that are taken out at once."""


class Listing:
    """Sorts the entries of a commit."""

    def __init__(
        self, git: Git, commit: str, known: Mapping[str, tuple[str, str]], limits: TreeLimits, scratch: Path
    ) -> None:
        self._git = git
        self._commit = commit
        self._known = known
        self._limits = limits
        self._scratch = scratch / "files"
        self._link_scratch = scratch / "links"
        self._files: dict[str, SourceFile] = {}
        self._problems: dict[str, DocumentError] = {}
        self._skipped: dict[str, str] = {}
        self._wanted: dict[str, list[Entry]] = {}
        self._links: list[Entry] = []
        self._names: set[str] = set()
        self._bytes = 0

    async def make(self) -> FolderListing:
        """Take out what is not known, and list everything."""
        self._scratch.mkdir()
        self._link_scratch.mkdir()
        async for entry in entries(self._git, self._commit, most=self._limits.entries):
            self._sort(entry)
        async for name, taken in take(self._git, [*self._wanted], self._scratch):
            for entry in self._wanted[name]:
                if taken.head.startswith(_LFS):
                    self._skipped[entry.name] = "It is kept in Git LFS, which is not read."
                else:
                    self._add(entry, taken.path, taken.sha256)
        await self._follow()
        return FolderListing(
            files=tuple(self._files[name] for name in sorted(self._files)),
            problems=tuple(sorted(self._problems.items())),
            skipped=tuple(sorted(self._skipped.items())),
        )

    def _sort(self, entry: Entry) -> None:
        name = entry.name
        if (problem := name_problem(name)) is not None:
            self._problems[ascii(name[:100])] = problem
        elif name in self._names:
            problem = DocumentError("Two files have this name, written in two ways of Unicode.", reason="unreadable")
            self._problems[f"{name} (2)"] = problem
        elif entry.kind == LINK and entry.size <= _LINK_BYTES:
            self._links.append(entry)
        elif entry.kind == MODULE:
            self._skipped[name] = "It is a submodule: a repository of its own, to be kept in step with by itself."
        elif entry.kind != FILE:
            self._skipped[name] = "It is no file."
        elif entry.size > self._limits.file_bytes:
            size, limit = entry.size / 2**20, self._limits.file_bytes / 2**20
            self._problems[name] = DocumentError(
                f"The file has {size:,.0f} MiB; the limit is {limit:,.0f} MiB.",
                reason="too_large",
                where=name,
                hint="Raise ingest.max_file_mb.",
            )
        else:
            self._file(entry)
        self._names.add(name)
        self._names.update(name[:at] for at in range(len(name)) if name[at] == "/")

    def _file(self, entry: Entry) -> None:
        stamp, sha256 = self._known.get(entry.name, ("", ""))
        if stamp == entry.object:
            self._add(entry, self._scratch, sha256)
            return
        if entry.object not in self._wanted:
            self._bytes += entry.size
            if self._bytes > self._limits.bytes:
                limit = self._limits.bytes >> 20
                raise JobError(f"The files of the repository have more than {limit:,} MiB.", hint="See git.max_mb.")
        self._wanted.setdefault(entry.object, []).append(entry)

    def _add(self, entry: Entry, path: Path, sha256: str) -> None:
        self._files[entry.name] = SourceFile(
            source=entry.name, path=path, size=entry.size, sha256=sha256, stamp=entry.object
        )

    async def _follow(self) -> None:
        targets = {entry.object: "" for entry in self._links}
        async for name, taken in take(self._git, [*targets], self._link_scratch):
            targets[name] = (await to_thread.run_sync(taken.path.read_bytes)).decode("utf-8", "replace")
        for entry in self._links:
            problem = link_problem(entry.name, targets[entry.object], self._names)
            if problem is not None:
                self._problems[entry.name] = problem
