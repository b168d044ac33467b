"""Who may read the home folder: its owner, and nobody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
_OTHERS = 0o077
_SECRET = (".key", "athanor.db", "signers.json", "server.json", "audit.heads")
"""How the names of files begin or end that are secrets, or hold what was said."""
_PLAIN = {"athanor.toml"}
"""Files that people write by hand, with secrets by reference alone; the folder around them is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A file or folder that others may read, write or enter."""

    path: Path
    mode: int
    wanted: int

    def __str__(self) -> str:
        return f"{self.path} has mode {self.mode:04o} instead of {self.wanted:04o}"


def exposed(home: Path, *, deep: bool = True) -> Iterator[Open]:
    """What others may read, write or enter of the home folder and in it. Nothing where modes mean nothing (Windows).

    Links are not followed. Models that were downloaded are others' files: only their folder counts.

    Args:
        deep: look at every file, and not only at what lies directly in the home folder.
    """
    if os.name != "posix" or not home.is_dir():
        return
    yield from _checked(home)
    for folder, folders, files in os.walk(home):
        here = Path(folder)
        for name in sorted(folders) + sorted(set(files) - _PLAIN):
            yield from _checked(here / name)
        if not deep:
            return
        if here == home:
            folders[:] = [name for name in folders if name != "hub"]


def close(found: Open) -> None:
    """Take from others what they may do.

    Raises:
        OSError: it belongs to somebody else.
    """
    found.path.chmod(found.mode & ~_OTHERS)


def close_up(home: Path) -> list[Open]:
    """At a start: close the home folder to others, and with it all inside; what was open, and is no more.

    Who could enter it may hold what they opened, so the secrets directly in it are closed as well.
    """
    closed = []
    for found in exposed(home, deep=False):
        name = found.path.name
        if found.path == home or name.startswith(_SECRET) or name.endswith(_SECRET):
            with suppress(OSError):
                close(found)
                closed.append(found)
    return closed


def _checked(path: Path) -> Iterator[Open]:
    with suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISLNK(found.st_mode) and found.st_mode & _OTHERS:
            wanted = FOLDER if stat.S_ISDIR(found.st_mode) else FILE
            yield Open(path=path, mode=stat.S_IMODE(found.st_mode), wanted=wanted)
