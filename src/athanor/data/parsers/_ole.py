"""The sector table of OLE files (MS-CFB, sections 2.2 to 2.5), looked over before a library follows it.

calamine follows a chain of sectors that leads back into itself until memory is at its end.
"""

from __future__ import annotations

import struct
from array import array
from pathlib import Path
from typing import BinaryIO

from athanor.errors import DocumentError

_HEADER = 512
_IN_HEADER = 109
_MAX_REGULAR = 0xFFFFFFFA


def check_chains(path: Path, name: str) -> None:
    """Raises DocumentError, reason `corrupt`, where a chain of sectors never ends."""
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(_HEADER)
        if len(head) < _HEADER:
            raise _damaged(name)
        shift, mini = struct.unpack_from("<H", head, 30)[0], struct.unpack_from("<I", head, 60)[0]
        if shift not in {9, 12}:
            raise _damaged(name)
        sectors = (size >> shift) + 1
        places = _table_places(file, head, shift, sectors, name)
        table = _read(file, places, shift)
        _check(table, name)
        chain: list[int] = []
        at = mini
        while at < min(len(table), sectors) and len(chain) < sectors:
            chain.append(at)
            at = table[at]
        _check(_read(file, chain, shift), name)


def _table_places(file: BinaryIO, head: bytes, shift: int, sectors: int, name: str) -> list[int]:
    """Sectors of the sector table: the first are named in the header, the others in a chain of their own."""
    places = list(struct.unpack_from(f"<{_IN_HEADER}I", head, 76))
    following, seen = struct.unpack_from("<I", head, 68)[0], set()
    while following < sectors:
        if following in seen:
            raise _damaged(name)
        seen.add(following)
        *more, following = _read(file, [following], shift) or [_MAX_REGULAR]
        places += more
    found = [place for place in places if place < sectors]
    if len(found) > len(set(found)):
        raise _damaged(name)
    return found


def _read(file: BinaryIO, sectors: list[int], shift: int) -> array[int]:
    numbers = array("I")
    for sector in sectors:
        file.seek((sector + 1) << shift)
        data = file.read(1 << shift)
        numbers.extend(struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]))
    return numbers


def _check(table: array[int], name: str) -> None:
    """Refuse a table in which a chain returns into itself; each entry is looked at once."""
    state = bytearray(len(table))  # 1: on the present chain, 2: known to end
    for start in range(len(table)):
        at, walked = start, []
        while at < len(table) and not state[at]:
            state[at] = 1
            walked.append(at)
            at = table[at]
        if at < len(table) and state[at] == 1:
            raise _damaged(name)
        for sector in walked:
            state[sector] = 2


def _damaged(name: str) -> DocumentError:
    message = "The workbook is damaged: its sectors do not form a file."
    return DocumentError(message, reason="corrupt", where=name)
