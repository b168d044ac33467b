"""Mailboxes of the mbox family (mboxo, mboxrd): one long file, read in pieces, in which `From ` begins a message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from pathlib import Path
from typing import BinaryIO

from athanor.data.base import Entry, FileKind
from athanor.data.containers.names import clean_part
from athanor.data.containers.zips import PIECE, changed

_FROM = re.compile(rb"From \S[^\r\n]{0,200}\d\d:\d\d[^\r\n]{0,40}\r?\n")
"""`From sender date`, as every writer makes it; a line of text that begins with `From ` seldom has a time."""
_HEADER = re.compile(rb"[!-9;-~]{1,76}:")
_SUBJECT = re.compile(rb"^subject:[ \t]*([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)
_TICK = 64 << 20
_HEAD = 1 << 15
SCAN = 1 << 20
"""Bytes in which the beginnings of messages are looked for at a time."""


class MboxContainer:
    """A file is a mailbox if it begins with `From sender date` and a header."""

    def holds(self, head: bytes, path: Path, name: str) -> FileKind | None:
        found = _FROM.match(head)
        return FileKind.CONTAINER if found and _HEADER.match(head, found.end()) else None

    def open(self, path: Path, name: str, max_entries: int) -> OpenMbox:
        return OpenMbox(path.open("rb"), name)


class OpenMbox:
    """A mailbox in reading. Its keys are offset, length and number of a message, so a listing goes on anywhere.

    One `>` is taken from lines like `>From ` and `>>From `, as mboxrd wants it. Of mboxo, which quotes `From ` only and
    cannot be told apart, a `>>From ` that the author wrote so loses one; the other choice would lose every mboxrd's.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._size = file.seek(0, 2)

    def entries(self, start: str | None) -> Iterator[Entry | float]:
        begin, number = 0, 1
        if start is not None:
            begin, _, number = self._place(start)
        for offset, end, head in self._messages(begin):
            if head is None:
                yield end / max(self._size, 1)
                continue
            fields = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
            yield Entry(
                key=f"{offset}:{end - offset}:{number}",
                name=f"{number:04d} {_subject(fields)}".strip() + ".eml",
                size=end - offset,
                progress=end / max(self._size, 1),
                plain=len(fields) < len(head) and b"multipart/" not in fields.lower()
                and b"application/" not in fields.lower() and b"message/" not in fields.lower(),
            )  # fmt: skip
            number += 1

    def read(self, key: str) -> Iterator[bytes]:
        offset, length, _ = self._place(key)
        self._file.seek(offset)
        left = length - len(self._file.readline(300))
        quoted = re.compile(rb"^>(>*From )", re.MULTILINE)
        # Pieces end at line ends where lines have any sensible length, so that no quoted `>From ` is cut in two.
        while left > 0 and (piece := self._file.read(min(PIECE, left))):
            if len(piece) < left and not piece.endswith(b"\n"):
                piece += self._file.readline(min(PIECE, left - len(piece)))
            left -= len(piece)
            yield quoted.sub(rb"\1", piece)

    def close(self) -> None:
        self._file.close()

    def _place(self, key: str) -> tuple[int, int, int]:
        parts = key.split(":")
        if len(parts) != 3 or not all(part.isdecimal() and len(part) < 19 for part in parts):
            raise changed(self._name)
        offset, length, number = map(int, parts)
        self._file.seek(offset)
        if offset + length > self._size or not _FROM.match(self._file.read(300)):
            raise changed(self._name)
        return offset, length, number

    def _messages(self, begin: int) -> Iterator[tuple[int, int, bytes | None]]:
        """Start, end and first bytes of each message; without the bytes, how far a long one has been read."""
        starts = self._starts(begin)
        offset = begin
        for at in starts:
            if at < 0:
                yield offset, -at, None
            elif at > offset:
                yield offset, at, self._head(offset, at)
                offset = at
        if self._size > offset:
            yield offset, self._size, self._head(offset, self._size)

    def _head(self, offset: int, end: int) -> bytes:
        self._file.seek(offset)
        first = len(self._file.readline(300))
        return self._file.read(max(min(_HEAD, end - offset - first), 0))

    def _starts(self, begin: int) -> Iterator[int]:
        """Offsets of `From ` lines behind an empty line; negative ones are progress."""
        at, tail, told = begin, b"", begin
        while True:
            self._file.seek(at)
            data = self._file.read(SCAN)
            if not data:
                return
            block, base = tail + data, at - len(tail)
            at += len(data)
            found = block.find(b"\nFrom ")
            while found >= 0 and (found + 400 <= len(block) or at >= self._size):
                empty = found == 0 or block[found - 1 : found] == b"\n" or block[max(found - 2, 0) : found] == b"\n\r"
                match = _FROM.match(block, found + 1) if empty else None
                if match and _HEADER.match(block, match.end()):
                    yield base + found + 1
                found = block.find(b"\nFrom ", found + 1)
            # Without one that is undecided, only what may be half of one: what was decided must not be found twice.
            tail = block[-8:] if found < 0 else block[max(found - 2, 0) :]
            if at - told >= _TICK:
                told = at
                yield -at


def _subject(fields: bytes) -> str:
    found = _SUBJECT.search(fields)
    return clean_part(unfold(found[1]))[:120].strip() if found and found[1].strip() else ""


def unfold(raw: bytes | str) -> str:
    """A header's value as text, whatever its damage."""
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    text = re.sub(r"\r?\n[ \t]", " ", text).strip()
    try:
        return str(make_header(decode_header(text)))
    except Exception:
        return text
