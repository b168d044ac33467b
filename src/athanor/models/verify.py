"""Proof that a file is the pinned one, remembered so that the next start need not read it again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import orjson

from athanor.errors import ModelError, WeightsMismatchError


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
            known = self._load()
            entry = known.get(key)
            if isinstance(entry, list) and entry[:3] == stamp and len(entry) == 4 and isinstance(entry[3], str):
                return entry[3]
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            after = path.stat()
        except OSError as error:
            raise ModelError(f"The weights cannot be read: {error.strerror}.", where=str(path)) from error
        if [after.st_size, after.st_mtime_ns, after.st_ino] == stamp:
            self._save({**self._load(), key: [*stamp, digest]})
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

    def _load(self) -> dict[str, object]:
        if self._cache is None:
            return {}
        try:
            known = orjson.loads(self._cache.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return {}
        return known if isinstance(known, dict) else {}

    def _save(self, known: dict[str, object]) -> None:
        if self._cache is None:
            return
        temporary = self._cache.with_name(f"{self._cache.name}.{os.getpid()}.tmp")
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(orjson.dumps(known, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
            temporary.replace(self._cache)
        except OSError:  # a read-only state folder costs speed, nothing else
            temporary.unlink(missing_ok=True)
