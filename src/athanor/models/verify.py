"""Proof that a file is the pinned one, remembered so that the next start need not read it again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from athanor.errors import ModelError, WeightsMismatchError
from athanor.models.memory import read_memory, write_memory


class Verifier:
    """SHA-256 of files, cached under path, size, modification time and inode.

    Args:
        cache: JSON file in the state folder; None keeps nothing. It is a shortcut, not a defence: who can write the
            state folder can also write the settings.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache

    def sha256(self, path: Path) -> str:
        """The file's hash; reads it only if it changed since the last time.

        Raises:
            ModelError: it cannot be read.
        """
        try:
            before = path.stat()
            key = str(path.resolve())
            stamp = [before.st_size, before.st_mtime_ns, before.st_ino]
            known = read_memory(self._cache)
            entry = known.get(key)
            if isinstance(entry, list) and entry[:3] == stamp and len(entry) == 4 and isinstance(entry[3], str):
                return entry[3]
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            after = path.stat()
        except OSError as error:
            raise ModelError(f"The weights cannot be read: {error.strerror}.", where=str(path)) from error
        if [after.st_size, after.st_mtime_ns, after.st_ino] == stamp:
            write_memory(self._cache, {**read_memory(self._cache), key: [*stamp, digest]})
        return digest

    def check(self, path: Path, expected: str) -> str:
        """The file's hash, which is `expected`.

        Raises:
            WeightsMismatchError: it is another file.
            ModelError: it cannot be read.
        """
        found = self.sha256(path)
        if found != expected:
            raise WeightsMismatchError(
                f"The weights are not the pinned file: expected sha256 {expected}, found {found}.",
                where=str(path),
                hint="Install the pinned version again. Change the pin only if you trust the new file.",
            )
        return found
