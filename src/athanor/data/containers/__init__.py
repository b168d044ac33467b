"""Files that hold other files: archives, mailboxes and mails with attachments."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from athanor import plugins
from athanor.data.base import Container, FileKind

HEAD = 8192
"""Bytes by which a container is known."""


@cache
def containers() -> Mapping[str, Container]:
    """All containers by name, the innermost look first: a mailbox begins with a mail, a `.tar.gz` is a gzip file.

    One that cannot be loaded is left out and named on stderr.
    """
    found: dict[str, Container] = {}
    for name in plugins.names("containers"):
        try:
            found[name] = plugins.load("containers", name)()
        except Exception as error:
            print(f"The container plug-in {name!r} cannot be loaded: {error}", file=sys.stderr)
    return dict(sorted(found.items(), key=lambda item: type(item[1]).__module__.startswith("athanor.")))


def look(path: Path, name: str) -> tuple[FileKind, str]:
    """What the file at `path`, called `name`, is, and the name of the container that opens it (empty for none).

    Cheap, and safe in the server: it reads a few kilobytes and unpacks nothing. Raises OSError.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    for kind, container in containers().items():
        if (holds := container.holds(head, path, name)) is not None:
            return holds, kind
    return FileKind.DOCUMENT, ""


def file_kind(path: Path, name: str) -> FileKind:
    """Whether the file at `path` is a document, a container, or both. Raises OSError."""
    return look(path, name)[0]


def is_container(path: Path, name: str) -> bool:
    """Whether the file at `path` may have members. Raises OSError."""
    return file_kind(path, name) is not FileKind.DOCUMENT
