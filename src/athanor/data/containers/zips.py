"""ZIP archives."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from athanor.data.base import Entry, FileKind
from athanor.data.containers.names import Names, clean_name
from athanor.data.zipguard import DAMAGE, MAX_RATIO
from athanor.errors import DocumentError

PIECE = 1 << 18
_SUFFIXES = frozenset(["", ".zip"])
_DIRECTORY = 1 << 20
"""Bytes of the directory that are looked at to tell an archive from an Office file."""
_MARKS = (b"[Content_Types].xml", b"mimetype", b"META-INF/container.xml", b"META-INF/MANIFEST.MF", b"content.xml")
"""Entries, at the top, of documents that happen to be ZIP files."""
_UTF8 = 0x800


class ZipContainer:
    """Knows an archive from an Office file by its entries. Only `.zip` and nameless files are opened."""

    def holds(self, head: bytes, path: Path, name: str) -> FileKind | None:
        if not head.startswith((b"PK\x03\x04", b"PK\x05\x06")) or PurePosixPath(name).suffix.lower() not in _SUFFIXES:
            return None
        return None if _is_document(path) else FileKind.CONTAINER

    def open(self, path: Path, name: str, max_entries: int) -> OpenZip:
        try:
            archive = zipfile.ZipFile(path)
        except DAMAGE as error:
            message = "The archive is cut short or damaged: its ZIP directory cannot be read."
            raise DocumentError(message, reason="corrupt", where=name) from error
        if len(archive.filelist) > max_entries:
            archive.close()
            message = f"It holds {len(archive.filelist):,} entries; the limit is {max_entries:,}."
            raise DocumentError(message, reason="expands_too_much", where=name, hint="Raise ingest.max_members.")
        return OpenZip(archive, name)


class OpenZip:
    """An archive in reading. Its keys are an entry's number and CRC."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._name = name

    def entries(self, start: str | None) -> Iterator[Entry | float]:
        # All of them whatever `start`: a name depends on those before it.
        names, found = Names(), self._archive.filelist
        for number, info in enumerate(found):
            if info.filename.endswith("/"):  # `is_dir` fails of an empty name
                continue
            name = names.unique(clean_name(_decoded(info), windows=info.create_system == 0))
            yield Entry(
                key=f"{number}:{info.CRC:x}",
                name=name,
                size=info.file_size,
                progress=(number + 1) / len(found),
                problem=_refusal(info, name),
            )

    def read(self, key: str) -> Iterator[bytes]:
        number, _, crc = key.partition(":")
        found = self._archive.filelist
        if not number.isdecimal() or int(number) >= len(found) or f"{found[int(number)].CRC:x}" != crc:
            raise changed(self._name)
        info = found[int(number)]
        name = clean_name(_decoded(info))
        if problem := _refusal(info, name):
            raise problem
        try:
            with self._archive.open(info) as file:
                while data := file.read(PIECE):
                    yield data
        except DAMAGE as error:
            message = f"The entry is damaged ({str(error)[:200] or type(error).__name__})."
            raise DocumentError(message, reason="corrupt", where=name) from error

    def close(self) -> None:
        self._archive.close()


def changed(name: str) -> DocumentError:
    """The key is of a container that has changed since."""
    message = "The container has changed since it was listed."
    return DocumentError(message, reason="unreadable", where=name, hint="List it again.")


def _is_document(path: Path) -> bool:
    """Whether an entry at the top says: an Office file, a book or a program. Looks at a mebibyte at most."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 65_557, 0))  # the longest end: 22 bytes and a comment of 65,535
        end = file.read()
        at = end.rfind(b"PK\x05\x06")
        if at < 0 or at + 20 > len(end):
            return False
        length, offset = (int.from_bytes(end[at + i : at + i + 4], "little") for i in (12, 16))
        file.seek(min(offset, size))
        directory = file.read(min(length, _DIRECTORY))
    at = 0
    while directory[at : at + 4] == b"PK\x01\x02" and at + 46 <= len(directory):
        name, extra, comment = (int.from_bytes(directory[at + i : at + i + 2], "little") for i in (28, 30, 32))
        if directory[at + 46 : at + 46 + name] in _MARKS:
            return True
        at += 46 + name + extra + comment
    return False


def _decoded(info: zipfile.ZipInfo) -> str:
    """The entry's name. Without the flag for UTF-8 it is what `zipfile` calls CP437; programs often meant UTF-8."""
    if info.flag_bits & _UTF8 or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _refusal(info: zipfile.ZipInfo, name: str) -> DocumentError | None:
    mode = info.external_attr >> 16 if info.create_system == 3 else 0
    if info.flag_bits & 1:
        message, reason = "The entry is encrypted with a password.", "encrypted"
    elif mode and stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        message, reason = "It is a link or a device, and was not followed.", "unsupported_type"
    elif info.file_size > 1 << 20 and info.file_size > MAX_RATIO * max(info.compress_size, 1):
        message, reason = f"It would unpack to more than {MAX_RATIO} times its size.", "expands_too_much"
    else:
        return None
    return DocumentError(message, reason=reason, where=name)
