"""Files that a parser's process may write: in one folder, without names wherever the system allows it."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import BinaryIO, cast

_PREFIX = "athanor-parser-"
_LEFT_SECONDS = 86_400.0
_NAMELESS = sys.platform == "linux"


class Scratch:
    """Gives files that are gone when they are closed, and with their process.

    On Linux they have no name from the start and are read again through `/proc/self/fd`, so that nothing stays behind
    even if both processes are killed. Elsewhere the parent removes the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> BinaryIO:
        """A new file, empty, for writing and reading. Raises OSError."""
        # Not NamedTemporaryFile: it opens the folder itself, with an opener, and a parser may not write that.
        number, path = tempfile.mkstemp(dir=self._folder)
        if _NAMELESS:
            Path(path).unlink()
            return os.fdopen(number, "w+b", buffering=1 << 16)
        os.close(number)
        return cast("BinaryIO", _Named(path))

    @staticmethod
    def path(file: BinaryIO) -> Path:
        """Where a file that `open` gave can be opened again."""
        return Path(f"/proc/self/fd/{file.fileno()}") if _NAMELESS else Path(file.name)


def make_folder() -> str:
    """A new folder for one process. Removes what processes left behind that were killed with their parents.

    A folder is left behind if nothing has changed in it for a day: a living process writes for every member that it
    reads, and leaves after a minute without work. Their ids would not tell: containers may share the folder.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = old.lstat()
            mine = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
            if stat.S_ISDIR(found.st_mode) and mine and time.time() - found.st_mtime > _LEFT_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    return tempfile.mkdtemp(prefix=_PREFIX)


class _Named(io.BufferedRandom):
    """A file that removes its name when it is closed."""

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path, "r+"), 1 << 16)

    def close(self) -> None:
        if not self.closed:
            super().close()
            Path(self.name).unlink(missing_ok=True)
