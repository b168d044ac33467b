"""Large bytes on disk, named by their SHA-256. A blob is whole or absent, also after a crash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, select, union

from athanor.errors import NotFoundError, StoreError
from athanor.store import tables as t

_CHUNK = 1 << 20
_NAME = re.compile(r"[0-9a-f]{64}")
FRESH_SECONDS = 60.0
"""A blob written or re-used this recently may belong to a transaction that has not committed yet."""
GRACE_SECONDS = 3600.0
"""The same for a full collection, which knows nothing of long-running work."""


class Blobs:
    """A folder of blobs: `ab/cdef…` holds the bytes whose SHA-256 is `abcdef…`."""

    def __init__(self, root: Path) -> None:
        """Use `root`; folders are made when the first blob is."""
        self.root = root

    def put(self, data: bytes | Path | BinaryIO) -> str:
        """Store bytes, the content of a file, or what is left of a stream; return the SHA-256.

        On return the blob is on disk (fsync). Storing the same bytes twice costs one reading.

        Raises:
            StoreError: the disk refused.
        """
        try:
            if isinstance(data, Path):
                with data.open("rb") as stream:
                    return self._put(_read(stream))
            return self._put([data] if isinstance(data, bytes) else _read(data))
        except OSError as error:
            raise StoreError(f"A blob could not be written: {error}.", where=str(self.root)) from error

    def path(self, sha256: str) -> Path:
        """Where the blob is.

        Raises:
            NotFoundError: there is none.
        """
        path = self._path(sha256)
        if not path.is_file():
            raise NotFoundError(f"There is no blob {sha256}.", where=str(self.root))
        return path

    def read(self, sha256: str) -> bytes:
        """Its bytes, checked against the name.

        Raises:
            NotFoundError: there is none.
            StoreError: the file is damaged.
        """
        data = self.path(sha256).read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StoreError(f"Blob {sha256} is damaged.", where=str(self.root), hint="Restore it from a backup.")
        return data

    def exists(self, sha256: str) -> bool:
        """Whether it is stored."""
        return self._path(sha256).is_file()

    def size(self, sha256: str) -> int:
        """Bytes.

        Raises:
            NotFoundError: there is none.
        """
        return self.path(sha256).stat().st_size

    def delete(self, sha256: str) -> None:
        """Remove it; does nothing where there is none."""
        self._path(sha256).unlink(missing_ok=True)

    def discard(self, sha256: str, *, older: float = FRESH_SECONDS) -> bool:
        """Remove it unless it was put within the last `older` seconds; whether it was removed. Never raises."""
        path = self._path(sha256)
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime >= older:
                path.unlink()
                return True
        return False

    def __iter__(self) -> Iterator[str]:
        """The names of all blobs."""
        for path in self.root.glob("??/*"):
            name = path.parent.name + path.name
            if _NAME.fullmatch(name):
                yield name

    def _path(self, sha256: str) -> Path:
        if not _NAME.fullmatch(sha256):
            raise NotFoundError(f"{sha256!r} is not the SHA-256 of a blob.")
        return self.root / sha256[:2] / sha256[2:]

    def _put(self, parts: Iterable[bytes]) -> str:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        handle, name = tempfile.mkstemp(prefix="new-", dir=self.root)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                for part in parts:
                    digest.update(part)
                    out.write(part)
                sha256 = digest.hexdigest()
                target = self._path(sha256)
                # Touched before it is looked for, so that a collection that runs now lets it be.
                with contextlib.suppress(FileNotFoundError):
                    os.utime(target)
                if target.is_file():
                    return sha256
                out.flush()
                os.fsync(out.fileno())
            if not target.parent.is_dir():
                target.parent.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self.root)
            temporary.replace(target)
            sync_folder(target.parent)
            return sha256
        finally:
            temporary.unlink(missing_ok=True)


def referenced(conn: Connection, names: Collection[str] | None = None) -> set[str]:
    """Those of `names` (of all blobs: `None`) that some row refers to."""
    wanted = None if names is None else list(names)
    parts = [select(column.label("sha256")).where(column.is_not(None)) for column in t.BLOB_REFERENCES]
    if wanted is None:
        return set(conn.scalars(union(*parts)))
    found: set[str] = set()
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        narrowed = [part.where(c.in_(some)) for part, c in zip(parts, t.BLOB_REFERENCES, strict=True)]
        found |= set(conn.scalars(union(*narrowed)))
    return found


def collect(conn: Connection, blobs: Blobs, *, older: float = GRACE_SECONDS) -> list[str]:
    """Remove the blobs that no row refers to and that are older than `older` seconds; their names.

    Also removes what crashed writers left behind.
    """
    for leftover in blobs.root.glob("new-*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime >= older:
                leftover.unlink()
    kept = referenced(conn)
    return [name for name in sorted(blobs) if name not in kept and blobs.discard(name, older=older)]


def _read(stream: BinaryIO) -> Iterator[bytes]:
    while part := stream.read(_CHUNK):
        yield part


def sync_folder(folder: Path) -> None:
    """See to it that what was renamed into `folder` is there after a loss of power."""
    # Windows cannot open a folder; its rename is journalled.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
