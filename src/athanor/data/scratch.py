"""Files that a parser's process may write: in one folder, without names wherever the system allows it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, cast


class Scratch:
    """Gives files that are gone when they are closed, and with their process.

    On Linux they have no name from the start and are read again through `/proc/self/fd`, so that nothing stays behind
    even if both processes are killed. Elsewhere the parent removes the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> BinaryIO:
        """A new file, empty, for writing and reading. Raises OSError."""
        # Not TemporaryFile: its path is the number of the descriptor, and it cannot be opened a second time everywhere.
        file = tempfile.NamedTemporaryFile(dir=self._folder, delete=sys.platform != "linux", buffering=1 << 16)  # noqa: SIM115
        if sys.platform == "linux":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.name)  # noqa: PTH108
        return cast(BinaryIO, file)

    @staticmethod
    def path(file: BinaryIO) -> Path:
        """Where a file that `open` gave can be opened again."""
        return Path(f"/proc/self/fd/{file.fileno()}") if sys.platform == "linux" else Path(file.name)
