"""What a ZIP container claims, checked before anything in it is unpacked."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from athanor.errors import DocumentError

MAX_ENTRIES = 10_000
MAX_TOTAL = 1 << 30
"""Bytes of all entries, unpacked."""
MAX_ENTRY = 256 << 20
"""Bytes of one entry, unpacked."""
MAX_RATIO = 200
"""Unpacked over packed bytes, of entries past a mebibyte. XML of real documents reaches 50; a bomb has 1,000."""


DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    OSError,
    ValueError,
    struct.error,
)
"""What `zipfile` raises over a damaged container: an offset of nonsense is an OSError of `seek`, for one."""


def open_checked(path: Path, name: str) -> zipfile.ZipFile:
    """Open the container, or refuse it by its directory alone.

    The directory can lie, but only downwards: `zipfile` never reads more of an entry than the directory claims.

    Raises:
        DocumentError: reason `corrupt`, `encrypted` or `expands_too_much`.
    """
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise DocumentError(
            "The file is cut short or damaged: its ZIP directory cannot be read.",
            reason="corrupt",
            where=name,
            hint="Open it in the program that made it and save it again.",
        ) from error
    try:
        _check(archive.infolist(), name)
    except BaseException:
        archive.close()
        raise
    return archive


def _check(entries: list[zipfile.ZipInfo], name: str) -> None:
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_ENTRIES:
        raise _bomb(name, f"It holds {len(entries):,} entries; the limit is {MAX_ENTRIES:,}.")
    if total > MAX_TOTAL:
        raise _bomb(name, f"It would unpack to {total / 2**20:,.0f} MiB; the limit is {MAX_TOTAL >> 20:,} MiB.")
    for entry in entries:
        if entry.file_size > MAX_ENTRY:
            size = entry.file_size / 2**20
            raise _bomb(
                name, f"{entry.filename!r} would unpack to {size:,.0f} MiB; the limit is {MAX_ENTRY >> 20} MiB."
            )
        if entry.file_size > 1 << 20 and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise _bomb(name, f"{entry.filename!r} would unpack to more than {MAX_RATIO} times its size.")
        if entry.flag_bits & 1:
            raise DocumentError("The container is encrypted.", reason="encrypted", where=name)


def _bomb(name: str, message: str) -> DocumentError:
    return DocumentError(message, reason="expands_too_much", where=name)
