"""Mails: a document each, whose attachments are its members."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from pathlib import Path

from athanor.data.base import Entry, FileKind
from athanor.data.containers.names import Names
from athanor.data.containers.zips import changed
from athanor.data.mail import content, file_name, is_attachment, looks_like_mail, parts, read_mail


class MailContainer:
    """`.eml` and what begins with the headers of a mail."""

    def holds(self, head: bytes, path: Path, name: str) -> FileKind | None:
        if not looks_like_mail(head, name):
            return None
        lower = head.lower()
        has = b"multipart/" in lower or b"application/" in lower or b"message/" in lower
        return FileKind.BOTH if has else FileKind.DOCUMENT

    def open(self, path: Path, name: str, max_entries: int) -> OpenMail:
        return OpenMail(read_mail(path), name)


class OpenMail:
    """A mail in reading. Its keys are numbers of parts."""

    def __init__(self, message: Message, name: str) -> None:
        self._parts = {number: part for number, part in parts(message) if is_attachment(part)}
        self._name = name

    def entries(self, start: str | None) -> Iterator[Entry | float]:
        names = Names()
        for place, (number, part) in enumerate(self._parts.items(), start=1):
            name = names.unique(file_name(part, number))
            yield Entry(key=str(number), name=name, size=-1, progress=place / len(self._parts))

    def read(self, key: str) -> Iterator[bytes]:
        part = self._parts.get(int(key)) if key.isdecimal() and len(key) < 9 else None
        if part is None:
            raise changed(self._name)
        yield content(part)

    def close(self) -> None:
        self._parts = {}
