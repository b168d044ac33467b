"""The master key: it wraps the keys of the data, and is kept outside the database.

A key is 32 random bytes, written as `athanor-key:` and 43 characters of base64url. A passphrase is not a key, and is
refused: nothing here slows down who guesses.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from athanor.config import EncryptionSettings
from athanor.errors import ConfigError, EncryptionError
from athanor.store.blobs import sync_folder

_PREFIX = "athanor-key:"
_BYTES = 32
_COMMAND_SECONDS = 30
_MAKE = "`athanor encryption key` prints a new one."
FILE = "master.key"


@dataclass(frozen=True, slots=True)
class MasterKey:
    """32 bytes, and where they came from. Neither `repr` nor `str` shows them."""

    _key: bytes
    where: str

    def __repr__(self) -> str:
        return f"MasterKey({self.id}, {self.where!r})"

    @classmethod
    def fresh(cls, where: str = "memory") -> MasterKey:
        """A new random key."""
        return cls(secrets.token_bytes(_BYTES), where)

    @classmethod
    def parse(cls, text: str, where: str) -> MasterKey:
        """The key that `text` writes.

        Raises:
            EncryptionError: it is not a key; the text is not quoted.
        """
        body = text.strip().removeprefix(_PREFIX)
        try:
            key = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _BYTES or not text.strip().startswith(_PREFIX):
            raise EncryptionError("This is not a master key.", where=where, hint=_MAKE)
        return cls(key, where)

    @property
    def id(self) -> str:
        """Tells keys apart, and nothing else of them: 12 hex digits of a hash."""
        return hashlib.sha256(b"athanor master key id\0" + self._key).hexdigest()[:12]

    def text(self) -> str:
        """As it is written to a file. Secret."""
        return _PREFIX + base64.urlsafe_b64encode(self._key).decode().rstrip("=")

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """`key` encrypted (AES-256-GCM); it opens only with the same `about`."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  start-up need not pay for it

        nonce = os.urandom(12)
        return nonce + AESGCM(self._key).encrypt(nonce, key, about)

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """The key that was wrapped.

        Raises:
            EncryptionError: it was wrapped by another master key, or was changed.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        try:
            return AESGCM(self._key).decrypt(wrapped[:12], wrapped[12:], about)
        except (InvalidTag, ValueError) as error:
            raise EncryptionError(
                "A data key cannot be unwrapped: its row in `data_keys` was changed.",
                where=self.where,
                hint="Restore the database from a backup.",
            ) from error


class MasterSource:
    """Where the master key is kept: a file, the environment, or what a command prints."""

    def __init__(self, settings: EncryptionSettings, home: Path) -> None:
        self._settings = settings
        self.file = home / FILE
        """Of keys that are made here; unused where the settings name another place."""

    @property
    def own(self) -> bool:
        """Is the key ours to make: the settings name no place for it."""
        return self._settings.key is None and self._settings.key_command is None

    def read(self, wanted: str | None = None) -> MasterKey | None:
        """The key; `None` where the place is our own file and there is none yet.

        Args:
            wanted: id of the key that wrapped the data keys. A change of the master key that was cut off after the
                database had it, and before the file, is finished here.

        Raises:
            EncryptionError: what is there is not a key.
            ConfigError: the place named by the settings cannot be read.
        """
        if self._settings.key is not None:
            where = f"${self._settings.key.env}" if self._settings.key.env else str(self._settings.key.file)
            return MasterKey.parse(self._settings.key.resolve().get_secret_value(), where)
        if self._settings.key_command is not None:
            return _printed(self._settings.key_command)
        found = _in_file(self.file)
        if wanted is not None and (found is None or found.id != wanted):
            prepared = _in_file(self._prepared)
            if prepared is not None and prepared.id == wanted:
                self.adopt()
                return _in_file(self.file)
        return found

    def make(self) -> MasterKey:
        """A new key in our own file (mode 0600), or the one that another process was faster to write.

        Raises:
            EncryptionError: the folder cannot be written.
        """
        self._write(self.file, MasterKey.fresh(), replace=False)
        found = _in_file(self.file)
        assert found is not None
        return found

    def prepare(self) -> MasterKey:
        """A new key beside the one in use, in a file of its own; `adopt` puts it in its place."""
        self._write(self._prepared, MasterKey.fresh(), replace=True)
        found = _in_file(self._prepared)
        assert found is not None
        return MasterKey.parse(found.text(), str(self.file))

    def adopt(self) -> None:
        """Put the prepared key in the place of the old one."""
        self._prepared.replace(self.file)
        sync_folder(self.file.parent)

    @property
    def _prepared(self) -> Path:
        return self.file.with_name(f"{FILE}.new")

    def _write(self, path: Path, key: MasterKey, *, replace: bool) -> None:
        # Whole or absent: an empty key file after a crash would stand in the way of every later start.
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as out:
                out.write(key.text() + "\n")
                out.flush()
                os.fsync(out.fileno())
            if replace:
                temporary.replace(path)
            else:
                with suppress(FileExistsError):
                    os.link(temporary, path)
            sync_folder(path.parent)
        except OSError as error:
            raise EncryptionError(f"The master key cannot be written: {error.strerror}.", where=str(path)) from error
        finally:
            temporary.unlink(missing_ok=True)


def readable_by_others(path: Path) -> bool:
    """May anybody but the owner read the file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _in_file(path: Path) -> MasterKey | None:
    try:
        return MasterKey.parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise EncryptionError(f"The master key cannot be read: {error}.", where=str(path)) from error


def _printed(command: tuple[str, ...]) -> MasterKey:
    where = "encryption.key_command"
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise ConfigError(f"{command[0]} did not print the key ({type(error).__name__}).", where=where) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise ConfigError(f"{command[0]} failed with {done.returncode}: {last}", where=where)
    return MasterKey.parse(done.stdout, where)
