"""The ports of reading: a Parser makes text of one file, a Container opens a file that holds others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from athanor.errors import DocumentError
from athanor.types import ParsedDocument


@runtime_checkable
class Parser(Protocol):
    """Reads one family of formats. Registered under the entry-point group `athanor.parsers`.

    The registered object is called without arguments, in a child process that has no network. Importing its module and
    calling it must be cheap: heavy libraries are imported by `parse`.
    """

    @property
    def mimes(self) -> tuple[str, ...]:
        """MIME types it reads, the main one first."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """File name endings it reads, lower case, with the dot."""
        ...

    def parse(self, path: Path, name: str) -> ParsedDocument:
        """Read the file at `path`. `name` is what the user calls it; `path` may be a blob without a suffix.

        The blocks of the result are in order, disjoint and inside its text.

        Raises:
            DocumentError: the document cannot be read; any other exception is reported as a corrupt document.
            MissingExtraError: a library that it needs is not installed.
        """
        ...


class FileKind(StrEnum):
    """What a file is to ingestion."""

    DOCUMENT = "document"
    """To be parsed."""
    CONTAINER = "container"
    """It has no text of its own, only members: an archive, a mailbox."""
    BOTH = "both"
    """To be parsed, and it has members besides: a mail and its attachments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A document inside a container, at any depth."""

    key: str
    """What `ParserPool.parse` and `.members` find it by; opaque, and good for the container's present bytes only."""
    name: str
    """Relative to the container, clean, with `/`, in NFC; `inner.zip/notes.txt` where containers are nested."""
    size: int
    """Bytes, unpacked."""
    sha256: str = ""
    """Of the unpacked bytes; empty where there is a problem."""
    progress: float = 0.0
    """Share of the outermost container that has been read, from 0 to 1."""
    problem: DocumentError | None = None
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a container says of one thing that it holds, before that is read."""

    key: str
    """Of the letters, digits, `:`, `.`, `-` only."""
    name: str
    size: int
    """Bytes, unpacked, as claimed; -1 where only reading tells."""
    progress: float
    problem: DocumentError | None = None
    plain: bool = False
    """It certainly holds nothing itself, so it need not be looked into."""


@runtime_checkable
class OpenContainer(Protocol):
    """A container that is being read, by one thread."""

    def entries(self, start: str | None) -> Iterator[Entry | float]:
        """Its entries in order; from `start` on where it can begin there, otherwise from the first.

        A bare number is the progress of long work that has found nothing new.
        """
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes of one entry, in pieces. Cheap for the entry that `entries` has just given.

        Raises:
            DocumentError: damaged, encrypted, or not the entry that had this key.
        """
        ...

    def close(self) -> None: ...


@runtime_checkable
class Container(Protocol):
    """Opens one family of files that hold others. Registered under the entry-point group `athanor.containers`.

    The registered object is called without arguments. `holds` also runs in the server, so it looks at few bytes and
    trusts none; `open` runs in a child process only.
    """

    def holds(self, head: bytes, path: Path, name: str) -> FileKind | None:
        """What the file is; None if it is none of its own. `head` is its first 8 KiB."""
        ...

    def open(self, path: Path, name: str, max_entries: int) -> OpenContainer:
        """Open it.

        Raises:
            DocumentError: it cannot be read, or holds more than `max_entries` by its own account.
        """
        ...
