"""Tar archives, plain or packed with gzip, bzip2 or xz, and single files packed so."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from athanor.data.base import Entry, FileKind
from athanor.data.containers.names import Names, clean_name, clean_part
from athanor.data.containers.zips import PIECE, changed
from athanor.data.zipguard import MAX_RATIO
from athanor.errors import DocumentError

_PACKED = ((b"\x1f\x8b\x08", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_DAMAGE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError)
_FREE = 64 << 20
"""Bytes that a packed stream may unpack to, whatever its ratio."""


class TarContainer:
    """Known by their first bytes; a packed file is a tar archive if what is in it is one."""

    def holds(self, head: bytes, path: Path, name: str) -> FileKind | None:
        packed = any(head.startswith(magic) for magic, _ in _PACKED) and not (
            head[:3] == b"BZh" and head[4:10] != b"1AY&SY"
        )
        return FileKind.CONTAINER if packed or head[257:262] == b"ustar" else None

    def open(self, path: Path, name: str, max_entries: int) -> OpenTar:
        return OpenTar(path, name)


class OpenTar:
    """An archive in reading, forwards. Its keys are offset and size in the unpacked stream."""

    def __init__(self, path: Path, name: str) -> None:
        self._raw = path.open("rb")
        self._name = name
        self._size = max(self._raw.seek(0, 2), 1)
        self._raw.seek(0)
        head = self._raw.read(6)
        self._raw.seek(0)
        opener = next((opener for magic, opener in _PACKED if head.startswith(magic)), None)
        self._packed = opener is not None
        self._stream = cast("BinaryIO", self._raw if opener is None else opener(self._raw, "rb"))
        try:
            self._tar = self._peek()[257:262] == b"ustar"
        except _DAMAGE as error:
            self.close()
            raise self._damaged(error) from error

    def entries(self, start: str | None) -> Iterator[Entry | float]:
        if not self._tar:
            stem = PurePosixPath(clean_part(self._name.rsplit("/", maxsplit=1)[-1])).stem or "contents"
            yield Entry(key="0:-1", name=stem, size=-1, progress=1.0)
            return
        names, at = Names(), 0
        self._stream.seek(0)
        try:
            with tarfile.open(fileobj=self._stream, mode="r:", errorlevel=1) as archive:
                while (info := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined] # it would remember all of them
                    at = info.offset_data
                    self._weigh(at)
                    if info.isdir():
                        continue
                    name = names.unique(clean_name(info.name))
                    problem = None
                    if not info.isreg() or info.issparse():
                        message = "It is a link, a device or a sparse file, and was not followed."
                        problem = DocumentError(message, reason="unsupported_type", where=name)
                    size = info.size if info.isreg() else 0
                    yield Entry(key=f"{at}:{size}", name=name, size=size, progress=self._progress(), problem=problem)
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def read(self, key: str) -> Iterator[bytes]:
        parts = key.split(":")
        if len(parts) != 2 or not parts[0].isdecimal() or len(key) > 40 or not parts[1].lstrip("-").isdecimal():
            raise changed(self._name)
        at, left = int(parts[0]), int(parts[1])
        endless = left < 0
        try:
            self._stream.seek(at)
            while (endless or left > 0) and (data := self._stream.read(PIECE if endless else min(PIECE, left))):
                left -= len(data)
                at += len(data)
                self._weigh(at)
                yield data
        except _DAMAGE as error:
            raise self._damaged(error) from error
        if not endless and left > 0:
            raise self._damaged(EOFError("cut short"))

    def close(self) -> None:
        self._stream.close()
        self._raw.close()

    def _peek(self) -> bytes:
        head = self._stream.read(512)
        self._stream.seek(0)
        return head

    def _progress(self) -> float:
        return min(self._raw.tell() / self._size, 1.0)

    def _weigh(self, unpacked: int) -> None:
        if self._packed and unpacked > _FREE and unpacked > MAX_RATIO * self._size:
            message = f"It would unpack to more than {MAX_RATIO} times its size."
            raise DocumentError(message, reason="expands_too_much", where=self._name)

    def _damaged(self, error: Exception) -> DocumentError:
        detail = str(error)[:200] or type(error).__name__
        return DocumentError(f"The archive is cut short or damaged ({detail}).", reason="corrupt", where=self._name)
