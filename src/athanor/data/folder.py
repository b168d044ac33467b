"""The files of a folder: which to read, under which names, and which cannot be read and why.

Nothing outside the folder is read, nothing that is no ordinary file is opened, and the same folder gives the same list.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from athanor.data.base import FileKind
from athanor.data.containers import file_kind
from athanor.errors import DocumentError, NotFoundError

JUNK = frozenset(
    {"node_modules", "__pycache__", "venv", "site-packages", "thumbs.db", "desktop.ini", "$recycle.bin", "__macosx"}
)
"""Names that are skipped, in small letters; names that begin with a dot or with `~$` (Office locks) are too."""
RACY_SECONDS = 2.0
"""Coarsest times of file systems in use (FAT)."""
_CHUNK = 1 << 20
_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file to ingest."""

    source: str
    """Name inside the folder: relative, with `/`, in Unicode's composed form (NFC)."""
    path: Path
    size: int
    """Bytes."""
    sha256: str
    """Of the bytes."""
    stamp: str = ""
    """Size, times and inode; as long as they are the same, so are the bytes. Empty where that cannot be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderListing:
    """What `scan_folder` found, both sorted by source name."""

    files: tuple[SourceFile, ...]
    problems: tuple[tuple[str, DocumentError], ...]
    """Source name and what is wrong with it."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Source name and why nobody expects it to be read."""


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name, without its path, is skipped."""
    return name.startswith((".", "~$")) or name.lower() in JUNK


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces of a mebibyte. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            digest.update(data)
    return digest.hexdigest()


def file_stamp(found: os.stat_result, now: float) -> str:
    """The stamp of a file that was seen so at `now` (Unix seconds), to be taken before the file is read.

    Empty while the file is so young that a change after the reading might leave the same times (Git's racy entries).
    The time of the last change of the inode is in it: tools that copy set the other one back, and cannot set this.
    """
    if now - max(found.st_mtime, found.st_ctime) < RACY_SECONDS:
        return ""
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def scan_folder(
    root: Path,
    *,
    max_bytes: int,
    container_bytes: int = 0,
    ignore: Sequence[str] = (),
    known: Mapping[str, tuple[str, str]] | None = None,
) -> FolderListing:
    """List a folder. `ignore` holds shell patterns for names or relative paths (`*.log`, `drafts/*`).

    `known` holds the stamp and SHA-256 that names had before: a file whose stamp is still the same is not read.

    Links to files and folders inside `root` are followed when nothing else leads to their target; others are problems.
    Files over `max_bytes` are problems and are not read; archives and mailboxes may have `container_bytes` instead.

    Raises:
        NotFoundError: there is no such folder.
    """
    top = root.expanduser().resolve()
    if not top.is_dir():
        raise NotFoundError("There is no such folder.", where=str(root))
    return _Scan(top, max_bytes, container_bytes, tuple(ignore), known or {}).run()


@dataclass(slots=True)
class _Scan:
    top: Path
    max_bytes: int
    container_bytes: int
    ignore: tuple[str, ...]
    known: Mapping[str, tuple[str, str]]
    files: dict[str, SourceFile] = field(default_factory=dict)
    problems: dict[str, DocumentError] = field(default_factory=dict)
    links: list[tuple[Path, str]] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)

    def run(self) -> FolderListing:
        self._folder(self.top, "")
        # Real files first: a link counts only where it is the one way to its target.
        while self.links:
            pending, self.links = sorted(self.links, key=lambda link: link[1]), []
            for path, name in pending:
                self._link(path, name)
        return FolderListing(
            files=tuple(self.files[name] for name in sorted(self.files)),
            problems=tuple((name, self.problems[name]) for name in sorted(self.problems)),
        )

    def _folder(self, path: Path, prefix: str) -> None:
        stack = [(path, prefix)]
        while stack:
            folder, above = stack.pop()
            try:
                found = folder.stat()
                if (found.st_dev, found.st_ino) in self.seen:
                    continue
                self.seen.add((found.st_dev, found.st_ino))
                for entry in self._entries(folder):
                    name = f"{above}{_printable(entry.name)}"
                    if self._ignored(entry.name, name):
                        continue
                    if entry.is_symlink():
                        self.links.append((Path(entry.path), name))
                    elif entry.is_dir(follow_symlinks=False):
                        stack.append((Path(entry.path), f"{name}/"))
                    else:
                        self._file(Path(entry.path), name)
            except OSError as error:
                self._problem(above.rstrip("/") or ".", f"The folder cannot be read: {error.strerror}.", "unreadable")

    @staticmethod
    def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)

    def _ignored(self, last: str, name: str) -> bool:
        if is_junk(last):
            return True
        return any(fnmatchcase(name, pattern) or fnmatchcase(last, pattern.rstrip("/")) for pattern in self.ignore)

    def _file(self, path: Path, name: str) -> None:
        try:
            found = path.stat()
            kind = stat.S_IFMT(found.st_mode)
            if kind != stat.S_IFREG:
                what = _SPECIAL.get(kind, "something special")
                self._problem(name, f"It is {what}, not a file, and was not opened.", "unsupported_type")
                return
            if (found.st_dev, found.st_ino) in self.seen and found.st_nlink == 1:
                return
            self.seen.add((found.st_dev, found.st_ino))
            most = self.max_bytes
            if most < found.st_size <= self.container_bytes and file_kind(path, name) is FileKind.CONTAINER:
                most = self.container_bytes
            if found.st_size > most:
                size, limit = found.st_size / 2**20, most / 2**20
                self._problem(name, f"The file has {size:,.0f} MiB; the limit is {limit:,.0f} MiB.", "too_large")
                return
            if name in self.files:
                self._problem(f"{name} (2)", "Two files have this name, written in two ways of Unicode.", "unreadable")
                return
            self.files[name] = self._source(name, path, found)
        except OSError as error:
            self._problem(name, f"The file cannot be read: {error.strerror}.", "unreadable")

    def _source(self, name: str, path: Path, found: os.stat_result) -> SourceFile:
        stamp = file_stamp(found, time.time())
        before, sha256 = self.known.get(name, ("", ""))
        if not stamp or stamp != before:
            sha256 = file_sha256(path)
        return SourceFile(source=name, path=path, size=found.st_size, sha256=sha256, stamp=stamp)

    def _link(self, path: Path, name: str) -> None:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            self._problem(name, "The link leads nowhere, or in a circle.", "unreadable")
            return
        if not target.is_relative_to(self.top):
            self._problem(name, "The link leads out of the folder and was not followed.", "outside_folder")
        elif target.is_dir():
            if target not in path.parents:
                self._folder(target, f"{name}/")
        elif not self._known(target):
            self._file(target, name)

    def _known(self, target: Path) -> bool:
        found = target.stat()
        return (found.st_dev, found.st_ino) in self.seen

    def _problem(self, name: str, message: str, reason: str) -> None:
        hints = {
            "outside_folder": "Copy the file into the folder, or ingest its own folder.",
            "too_large": "Split it, or raise ingest.max_file_mb.",
        }
        self.problems[name] = DocumentError(message, reason=reason, where=name, hint=hints.get(reason))


def _printable(name: str) -> str:
    """A file name as text: composed, and with the bytes that are no UTF-8 written out."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))
