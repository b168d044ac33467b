"""The policies that are in force, the file that they come from, and those that were in force before."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from athanor.errors import ConfigError, NotFoundError
from athanor.guards.policy import Policies
from athanor.guards.reading import parse, shipped, version_of

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often the file is looked at for changes by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A version of the policies that was in force."""

    version: str
    at: float
    """Unix seconds when it was first kept."""


class Book:
    """Reads the policies' file, and again when it changes; keeps every version beside it, by its hash.

    Args:
        path: the file; where there is none, the shipped policies count. `None` never looks for one.

    Raises:
        ConfigError: the file is there and wrong. Later mistakes in it are logged, and what was in force stays so.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._looked = time.monotonic()
        self._current = self._read()
        self.problem: ConfigError | None = None
        """What is wrong with the file since it was changed by hand."""
        self._keep(self._current.text)

    @property
    def current(self) -> Policies:
        """What is in force."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._refresh()
        return self._current

    @property
    def source(self) -> str:
        """Where it comes from."""
        return str(self.path) if self.path is not None and self._stamp is not None else "default.toml"

    def check(self, text: str) -> Policies:
        """What `text` would be.

        Raises:
            ConfigError: it is wrong.
        """
        return parse(text, where=self.path.name if self.path is not None else "guards.toml")

    def save(self, text: str) -> Policies:
        """Put `text` in force, and into the file, whole or not at all.

        Raises:
            ConfigError: it is wrong, or the file cannot be written.
        """
        policies = self.check(text)
        if self.path is None:
            raise ConfigError("These policies have no file.")
        with self._lock:
            self._keep(text)
            try:
                _write(self.path, text)
            except OSError as error:
                raise ConfigError(f"The policies cannot be written: {error.strerror}.", where=str(self.path)) from error
            self._stamp = self._look()
            self._current, self.problem = policies, None
        return policies

    def versions(self) -> list[Kept]:
        """Every version that was in force, the latest first."""
        folder = self._folder()
        if folder is None or not folder.is_dir():
            return []
        found = [Kept(version=file.stem, at=file.stat().st_mtime) for file in folder.glob("*.toml")]
        return sorted(found, key=lambda kept: -kept.at)

    def text(self, version: str) -> str:
        """The file's text as it was at `version`.

        Raises:
            NotFoundError: it was never in force here.
        """
        if version == self._current.version:
            return self._current.text
        folder = self._folder()
        if folder is None or not version.isalnum() or not (file := folder / f"{version}.toml").is_file():
            raise NotFoundError(f"No policies of version {version!r} were in force here.")
        return file.read_text(encoding="utf-8")

    def _refresh(self) -> None:
        with self._lock:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                self._current = self._read()
            except ConfigError as error:
                self.problem = error
                log.error("the policies were changed and cannot be used; those from before stay in force: %s", error)
            else:
                self.problem = None
                self._keep(self._current.text)
                log.info("the policies were changed: now %s", self._current.version)

    def _look(self) -> tuple[int, int, int] | None:
        if self.path is None:
            return None
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read(self) -> Policies:
        if self.path is None or self._stamp is None:
            return shipped()
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"The policies cannot be read: {error}.", where=str(self.path)) from error
        return parse(text, where=str(self.path))

    def _folder(self) -> Path | None:
        return None if self.path is None else self.path.with_name(f"{self.path.stem}.versions")

    def _keep(self, text: str) -> None:
        """So that an event's version can be read whatever came after it."""
        folder = self._folder()
        if folder is None:
            return
        file = folder / f"{version_of(text)}.toml"
        if file.exists():
            return
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(file, text)
        except OSError as error:
            log.error("the policies of version %s could not be kept: %s", file.stem, error)


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
